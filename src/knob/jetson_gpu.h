#pragma once
// Where a Jetson's GPU is: its devfreq device has had another place and name with nearly every JetPack.

#include <string>

#include "base/result.h"
#include "host/host.h"

namespace polythrottle {

/// Folder of the devfreq device whose limits bound the GPU's clock. Errors: kNotFound with what would help, kPermission, kIo.
Result<std::string> find_jetson_gpu(const Files& files);

}  // namespace polythrottle
