#pragma once
// Which of the GPUs below /nvml is meant, for everybody alike.

#include <string>
#include <string_view>

#include "host/host.h"

namespace polythrottle {

struct NvmlGpu {
  std::string folder;  ///< "/nvml/GPU-5a3c..."
  std::string name;    ///< "NVIDIA A100-PCIE-40GB"
  std::string index;
  int listed = 1;  ///< GPUs there are to choose from

  /// "GPU 0 (NVIDIA A100-PCIE-40GB)"
  std::string text() const { return "GPU " + index + " (" + name + ")"; }
};

/// The one that /nvml lists, or of several the one with the lowest index; never silently another because that one is broken.
/// Errors: kNotFound where there is none, with the reason; those of the GPU's nodes, where it is lost.
Result<NvmlGpu> chosen_gpu(const Files& files);

/// Is this a Jetson? Its GPU is set through a devfreq node, and on Orin its NVML does not answer for clocks (source: rbonghi/jetson_stats).
bool is_jetson(const Files& files);

/// Is an architecture, as /nvml names it, `oldest` or a later one? Names we do not know are taken for later ones.
bool architecture_from(std::string_view architecture, std::string_view oldest);

}  // namespace polythrottle
