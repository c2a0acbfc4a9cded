#pragma once
// Pictures are drawn by the program gnuplot, if it is there.

#include <string>

#include "base/result.h"

namespace polythrottle {

/// Feeds `script`, which names no output, to gnuplot; the picture is then at `path`, or what stood there before if it fails.
/// Errors: kNotFound if gnuplot is not installed, kInvalid for a path that its language cannot hold, kIo.
Status run_gnuplot(const std::string& script, const std::string& path);

}  // namespace polythrottle
