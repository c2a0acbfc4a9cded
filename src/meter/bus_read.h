#pragma once
// Numbers of sensors behind a bus that others use too.

#include <string>

#include "base/result.h"
#include "host/host.h"

namespace polythrottle {

/// A decimal integer file times `unit`, asked for up to three times where the bus answers "try again". Errors: those of read_integer.
Result<double> read_scaled(const Files& files, const std::string& path, double unit);

}  // namespace polythrottle
