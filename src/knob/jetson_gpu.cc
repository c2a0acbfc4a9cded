#include "knob/jetson_gpu.h"

#include <algorithm>
#include <array>
#include <vector>

// Found by walking the class and by the names in the device tree, never by the name of the board. Thor has two devices: gpu-gpc-0, the
// clusters that compute, which is the one meant here, and gpu-nvd-0, the clock that the video decoders and encoders share.
// Sources: find_igpu and thor_power of rbonghi/jetson_stats; NVIDIA's jetson_clocks of JetPack 5; nvpmodel.conf of JetPack 4 to 6; scripts
// of owners of Orin with JetPack 6 and of Thor.

namespace polythrottle {
namespace {

constexpr const char* kClass = "/sys/class/devfreq";

std::string without_nul(std::string text) {
  text.erase(std::find(text.begin(), text.end(), '\0'), text.end());
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

/// "17000000.gp10b" is "gp10b".
std::string_view device_kind(std::string_view name) {
  const auto dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

/// The chips have names of their own up to JetPack 5; from JetPack 6 on the node is plainly called gpu, as on boards of other makers, and
/// Thor has one device for the graphics clusters (gpu-gpc-0) beside one for the video engines.
bool is_gpu_kind(std::string_view kind, bool tegra) {
  constexpr std::array<std::string_view, 5> kChips{"gp10b", "gv11b", "ga10b", "gb10b", "gm20b"};
  if (std::find(kChips.begin(), kChips.end(), kind) != kChips.end()) return true;
  return tegra && (kind == "gpu" || kind.starts_with("gpu-gpc"));
}

Result<std::vector<std::string>> list_if_there(const Files& files, const std::string& folder) {
  auto names = files.list(folder);
  if (!names && names.error().code == Errc::kNotFound) return std::vector<std::string>();
  return names;
}

bool is_tegra(const Files& files) {
  return files.read("/proc/device-tree/compatible").value_or("").find("nvidia,tegra") != std::string::npos;
}

/// Folders of the GPU itself, where releases without the class had the devfreq device.
Result<std::vector<std::string>> find_units(const Files& files) {
  const bool tegra = is_tegra(files);
  std::vector<std::string> units;
  for (const std::string parent : {"/sys/devices", "/sys/devices/platform", "/sys/devices/platform/bus@0"}) {
    TRY(const auto names, list_if_there(files, parent));
    for (const auto& name : names) {
      if (name == "gpu.0" || is_gpu_kind(device_kind(name), tegra)) units.push_back(parent + "/" + name);
    }
  }
  return units;
}

/// Folders of devfreq devices that are the GPU, best first: the class, then those in the unit's own folder.
Result<std::vector<std::string>> find_devices(const Files& files) {
  const bool tegra = is_tegra(files);
  std::vector<std::string> devices;
  TRY(const auto names, list_if_there(files, kClass));
  for (const auto& name : names) {
    const std::string folder = std::string(kClass) + "/" + name;
    const std::string in_tree = without_nul(files.read(folder + "/device/of_node/name").value_or(""));
    // A name of its own decides; gpu-nvd-0 may well be a child of a node called gpu.
    if (is_gpu_kind(device_kind(name), tegra) || (!name.starts_with("gpu-") && is_gpu_kind(device_kind(in_tree), tegra))) {
      devices.push_back(folder);
    }
  }
  TRY(const auto units, find_units(files));
  for (const auto& unit : units) {
    TRY(const auto children, list_if_there(files, unit + "/devfreq"));
    for (const auto& child : children) devices.push_back(unit + "/devfreq/" + child);
  }
  return devices;
}

Error no_device(const Files& files) {
  const auto units = find_units(files);
  if (units && !units->empty()) {
    return {Errc::kNotFound, std::string("look for the GPU in ") + kClass + ": not there, though " + units->front() + " is",
            "it may be missing until the GPU was powered once: run any program on the GPU, then look again; if it stays away, the GPU's "
            "driver did not start (dmesg)"};
  }
  if (is_tegra(files)) {
    return {Errc::kNotFound, std::string("look for the GPU of this Jetson in ") + kClass + ": none",
            "its driver shows it there: is /sys the host's (containers), and did the driver start (dmesg)?"};
  }
  return {Errc::kNotFound, std::string("look for a Jetson GPU in ") + kClass + ": none", {}};
}

}  // namespace

Result<std::string> find_jetson_gpu(const Files& files) {
  TRY(const auto devices, find_devices(files));
  if (devices.empty()) return tl::unexpected<Error>(no_device(files));
  return devices.front();
}

}  // namespace polythrottle
