#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace polythrottle {

const char* to_string(Errc code) {
  switch (code) {
    case Errc::kNotFound: return "not_found";
    case Errc::kPermission: return "permission";
    case Errc::kUnsupported: return "unsupported";
    case Errc::kBusy: return "busy";
    case Errc::kInvalid: return "invalid";
    case Errc::kOutOfRange: return "out_of_range";
    case Errc::kTimeout: return "timeout";
    case Errc::kIo: return "io";
    case Errc::kCorrupt: return "corrupt";
  }
  return "unknown";
}

Error system_error(std::string act, int error_number) {
  Errc code = Errc::kIo;
  switch (error_number) {
    case ENOENT:
    case ENODEV:
    case ENOTDIR:
    case ENXIO: code = Errc::kNotFound; break;
    case EACCES:
    case EPERM:
    case EROFS: code = Errc::kPermission; break;
    case EBUSY:
    case EAGAIN: code = Errc::kBusy; break;
    case EINVAL: code = Errc::kInvalid; break;
    default: break;
  }
  return Error{code, std::move(act) + ": " + std::strerror(error_number), {}};
}

}  // namespace polythrottle
