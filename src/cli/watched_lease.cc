#include "cli/watched_lease.h"

#include "platform/platform.h"

namespace polythrottle {

LeaseOptions watched_lease(const std::string& sysroot) {
  LeaseOptions options{.record_path = default_record_path(sysroot)};
  return options;
}

}  // namespace polythrottle
