#pragma once
// Which file it was.

#include <string>

#include "base/result.h"

namespace polythrottle {

/// SHA-256 of a file's content, 64 lower-case hexadecimal digits. Errors: kNotFound, kPermission, kIo.
Result<std::string> sha256_of_file(const std::string& path);

}  // namespace polythrottle
