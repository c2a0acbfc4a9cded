#include "host/nvml_gpu.h"

#include <algorithm>
#include <array>
#include <optional>

namespace polythrottle {
namespace {

constexpr const char* kMount = "/nvml";

}  // namespace

Result<NvmlGpu> chosen_gpu(const Files& files) {
  TRY(const auto names, files.list(kMount));
  std::optional<std::pair<long long, std::string>> first;
  for (const auto& name : names) {
    TRY(const long long index, read_integer(files, std::string(kMount) + "/" + name + "/index"));
    if (!first || index < first->first) first = {index, name};
  }
  if (!first) return fail(Errc::kNotFound, "look for NVIDIA GPUs: the driver has none", "nvidia-smi -L lists them");
  NvmlGpu gpu{.folder = std::string(kMount) + "/" + first->second,
              .name = {},
              .index = std::to_string(first->first),
              .listed = static_cast<int>(names.size())};
  auto name = read_trimmed(files, gpu.folder + "/name");
  if (!name) {
    Error error = name.error();
    if (gpu.listed > 1) error.hint += (error.hint.empty() ? "" : "; ") + std::string("--gpu chooses another one");
    return tl::unexpected<Error>(std::move(error));
  }
  gpu.name = std::move(*name);
  return gpu;
}

bool is_jetson(const Files& files) {
  return files.read("/proc/device-tree/compatible").value_or("").find("nvidia,tegra") != std::string::npos;
}

bool architecture_from(std::string_view architecture, std::string_view oldest) {
  constexpr std::array<std::string_view, 10> kInOrder{"kepler", "maxwell", "pascal", "volta",     "turing",
                                                      "ampere", "ada",     "hopper", "blackwell", "rubin"};
  const auto place = [&](std::string_view name) { return std::find(kInOrder.begin(), kInOrder.end(), name); };
  return place(architecture) >= place(oldest);
}

}  // namespace polythrottle
