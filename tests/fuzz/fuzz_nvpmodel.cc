// A board's nvpmodel.conf: modes whose numbers can be used as they are, or one line of complaint.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "knob/nvpmodel.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polythrottle;
  const auto model = parse_nvpmodel(std::string(reinterpret_cast<const char*>(data), size));
  if (!model) {
    if (model.error().what.empty()) std::abort();
    return 0;
  }
  if (model->modes.empty()) std::abort();
  for (const auto& mode : model->modes) {
    if (mode.id < 0) std::abort();
    for (const auto& [cpu, hertz] : mode.cpu_max_hz) {
      if (cpu < 0 || !(hertz > 0.0)) std::abort();
    }
    if (mode.gpu_max_hz && !(*mode.gpu_max_hz > 0.0)) std::abort();
    if (mode.mem_max_hz && !(*mode.mem_max_hz > 0.0)) std::abort();
    for (const int cpu : mode.offline) {
      if (!model->cpus.contains(cpu)) std::abort();
    }
  }
  (void)model->in_force();
  return 0;
}
