#pragma once
// Errors as values. In this field a missing counter, a refused write and a failed trial are ordinary, so they are handled beside the call.

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace polythrottle {

/// What kind of failure. Absent (`kNotFound`), forbidden (`kPermission`) and broken (`kIo`, `kCorrupt`) are kept apart on purpose.
enum class Errc {
  kNotFound,     ///< the thing does not exist here
  kPermission,   ///< it exists, and we may not
  kUnsupported,  ///< this build, device or library cannot do it
  kBusy,         ///< somebody else holds it
  kInvalid,      ///< the request is malformed
  kOutOfRange,   ///< well formed, but not an allowed value
  kTimeout,      ///< it did not happen in time
  kIo,           ///< the operating system or the device failed
  kCorrupt,      ///< what was read cannot be right
};

/// The word for a code, as printed in messages and stored in the journal, e.g. "not_found".
const char* to_string(Errc code);

/// `what` names the act and the object ("read /sys/.../energy_uj: permission denied"); `hint` what the user can do, or nothing.
struct Error {
  Errc code = Errc::kIo;
  std::string what;
  std::string hint;

  /// "what; hint" on one line.
  std::string text() const { return hint.empty() ? what : what + "; " + hint; }
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> fail(Errc code, std::string what, std::string hint = {}) {
  return tl::unexpected<Error>(Error{code, std::move(what), std::move(hint)});
}

/// Error for a failed system call. `act` names act and object; `error_number` is errno: ENOENT and ENODEV become kNotFound, EACCES and
/// EPERM kPermission, EBUSY and EAGAIN kBusy, EINVAL kInvalid, everything else kIo.
Error system_error(std::string act, int error_number);

}  // namespace polythrottle

#define POLYTHROTTLE_CONCAT2(a, b) a##b
#define POLYTHROTTLE_CONCAT(a, b) POLYTHROTTLE_CONCAT2(a, b)
#define POLYTHROTTLE_TRY(tmp, declaration, expression)                   \
  auto tmp = (expression);                                               \
  if (!tmp) return ::tl::unexpected<::polythrottle::Error>(tmp.error()); \
  declaration = std::move(*tmp)

/// TRY(auto x, f()): x is the value, or the error is returned to our caller.
#define TRY(declaration, expression) POLYTHROTTLE_TRY(POLYTHROTTLE_CONCAT(try_result_, __LINE__), declaration, expression)

#define POLYTHROTTLE_TRY_STATUS(tmp, expression)                                                    \
  do {                                                                                              \
    if (auto tmp = (expression); !tmp) return ::tl::unexpected<::polythrottle::Error>(tmp.error()); \
  } while (false)

/// TRY_STATUS(f()): go on, or return the error to our caller.
#define TRY_STATUS(expression) POLYTHROTTLE_TRY_STATUS(POLYTHROTTLE_CONCAT(try_status_, __LINE__), expression)
