#pragma once
// As whom a job runs.

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/host.h"

namespace polythrottle::job {

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  ///< supplementary; `gid` is among them
  std::string name, home;     ///< "" where /etc/passwd does not know the user
};

/// A job never has root's rights. Where we have them (`effective` is 0) it gets those of the user who called sudo (`sudo_uid`, `sudo_gid`:
/// the variables' texts or null), with that user's groups, for the GPU's device files belong to one; else those of "nobody". nullopt: we
/// are not root, and it runs as we do. Reads /etc/passwd and /etc/group itself: getpwnam(3) would load libraries at run time.
/// Errors: kInvalid for a variable that is no number.
Result<std::optional<User>> job_user(const Files& files, uid_t effective, const char* sudo_uid, const char* sudo_gid);

}  // namespace polythrottle::job
