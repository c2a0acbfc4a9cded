#pragma once
// What an NVIDIA GPU that is no part of a Jetson tells about itself.

#include <map>
#include <string>
#include <vector>

#include "host/host.h"
#include "knob/knob.h"

namespace polythrottle {

/// "GPU 0 (NVIDIA A100-PCIE-40GB)": the GPU that is tuned; empty where there is none.
std::string nvidia_gpu(const Files& files);

/// gpu ("NVIDIA A100-PCIE-40GB"), gpu_uuid and gpu_driver of that GPU; empty where there is none.
std::map<std::string, std::string> nvidia_facts(const Files& files);

/// What people should know before the clocks and limits of that GPU are moved: which of several it is, that a lock set before cannot be
/// read (and signs of one), persistence mode, MIG, limits from elsewhere. Empty where there is no GPU. Sources: nvml.h of NVML API version
/// 13 on nvmlDeviceResetGpuLockedClocks, the clocks event reasons, nvmlDeviceSetPersistenceMode and nvmlDeviceGetEnforcedPowerLimit.
std::vector<std::string> nvidia_notes(const Files& files);

/// Is it a knob of such a GPU? Its files say so.
bool of_nvidia_gpu(const Knob& knob);

}  // namespace polythrottle
