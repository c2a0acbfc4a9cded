#include "platform/nvidia.h"

#include <cstdlib>

#include "host/nvml_abi.h"
#include "host/nvml_gpu.h"

namespace polythrottle {

std::string nvidia_gpu(const Files& files) {
  if (is_jetson(files)) return {};
  const auto gpu = chosen_gpu(files);
  return gpu ? gpu->text() : std::string();
}

std::map<std::string, std::string> nvidia_facts(const Files& files) {
  if (is_jetson(files)) return {};
  const auto gpu = chosen_gpu(files);
  if (!gpu) return {};
  return {{"gpu", gpu->name},
          {"gpu_uuid", read_trimmed(files, gpu->folder + "/uuid").value_or("")},
          {"gpu_driver", read_trimmed(files, gpu->folder + "/driver").value_or("")}};
}

std::vector<std::string> nvidia_notes(const Files& files) {
  if (is_jetson(files)) return {};
  const auto gpu = chosen_gpu(files);
  if (!gpu) return {};
  const auto node = [&](const char* name) { return read_trimmed(files, gpu->folder + "/" + name).value_or(""); };
  std::vector<std::string> notes;
  if (gpu->listed > 1) {
    notes.push_back(gpu->text() + " of " + std::to_string(gpu->listed) +
                    " is tuned, the others are left alone; --gpu names another. The workload must run on the same one: "
                    "CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=" +
                    gpu->index);
  }
  if (node("locked_graphics_clocks") == "unknown") {
    const unsigned long long reasons = std::strtoull(node("clocks_event_reasons").c_str(), nullptr, 16);
    const bool limited = (reasons & nvml::kReasonApplicationsClocks) != 0;
    notes.push_back((limited
                         ? gpu->text() + " runs under a clock limit that somebody set (clocks event reason 0x2), and no driver tells which"
                         : "no driver tells whether the clocks of " + gpu->text() + " were locked before") +
                    ": in the end they are unlocked, unless --found-gpu-lock or --found-mem-lock says what to put back");
  }
  if (node("persistence_mode") == "0") {
    notes.push_back("persistence mode of " + gpu->text() +
                    " is off: its driver forgets locks and limits, also those set before, when the last program that uses it ends "
                    "(nvidia-smi -pm 1 turns it on)");
  }
  if (node("mig_mode") == "1") {
    notes.push_back("MIG is on: clocks and limits are those of all of " + gpu->text() + ", whoever else computes on a part of it");
  }
  const auto limit = read_integer(files, gpu->folder + "/power_limit_mw");
  const auto enforced = read_integer(files, gpu->folder + "/power_limit_enforced_mw");
  if (limit && enforced && *enforced < *limit) {
    notes.push_back("something else than this system limits the power of " + gpu->text() + " to " + std::to_string(*enforced / 1000) +
                    " W, below its limit of " + std::to_string(*limit / 1000) + " W");
  }
  return notes;
}

bool of_nvidia_gpu(const Knob& knob) {
  const auto paths = knob.paths();
  return !paths.empty() && paths.front().starts_with("/nvml/");
}

}  // namespace polythrottle
