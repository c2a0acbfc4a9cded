#include "meter/supply_rails.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace polythrottle {
namespace {

constexpr const char* kChip = "ina3221";
constexpr const char* kHwmon = "/sys/class/hwmon";
constexpr const char* kInputChip = "ina238";
constexpr const char* kHwmonDriver = "/sys/bus/i2c/drivers/ina3221";
constexpr const char* kIioDriver = "/sys/bus/i2c/drivers/ina3221x";

/// A rail that feeds all others: then it alone is the energy.
constexpr std::array<std::string_view, 3> kInputs{"VDD_IN", "POM_5V_IN", "VIN"};
/// Rails beside one another that together feed the module, where no input rail has a sensor. AGX Orin's fourth, VDDQ_VDD2_1V8AO (DRAM), is
/// left out: boards report it at the very voltage of VIN_SYS_5V0, the 5 V supply that feeds it, so it is in there already.
const std::array<std::vector<std::string_view>, 2> kSums{{
    {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"},   // AGX Orin
    {"GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"},  // AGX Xavier
}};
/// On the module, behind its input rail, where that has a sensor. Others (VDD_MUX of the TX2) are on the carrier board.
constexpr std::array<std::string_view, 13> kBehindInput{"VDD_SYS_GPU", "VDD_SYS_SOC",     "VDD_4V0_WIFI", "VDD_SYS_CPU", "VDD_SYS_DDR",
                                                        "VDD_CPU_GPU", "VDD_CPU_GPU_CV",  "VDD_SOC",      "POM_5V_GPU",  "POM_5V_CPU",
                                                        "VDD_GPU",     "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"};

/// The chip's configuration after reset: 3 channels, no averaging, 1.1 ms each for volts and amperes.
constexpr Seconds kResetRefresh{0.007};
/// NVIDIA's driver in its continuous mode: 64 averages of the same. In the other mode each read starts a conversion of its own.
constexpr Seconds kContinuousRefresh{0.422};

Result<std::vector<std::string>> list_if_there(const Files& files, const std::string& folder) {
  auto names = files.list(folder);
  if (!names && names.error().code == Errc::kNotFound) return std::vector<std::string>();
  return names;
}

/// Channels of one chip under hwmon. A channel that is switched off has no current to read.
Status add_hwmon_rails(const Files& files, const std::string& folder, std::vector<SupplyRail>& rails) {
  const auto interval_ms = read_integer(files, folder + "/update_interval");
  const Seconds refresh = interval_ms && *interval_ms > 0 ? Seconds(static_cast<double>(*interval_ms) * 1e-3) : kResetRefresh;
  for (const char* channel : {"1", "2", "3"}) {  // above are shunt voltages and their sum
    const auto label = read_trimmed(files, folder + "/in" + channel + "_label");
    if (!label && label.error().code == Errc::kPermission) return tl::unexpected<Error>(label.error());
    if (!label || label->empty() || *label == "NC") continue;
    SupplyRail rail{.label = *label,
                    .volts_path = folder + "/in" + channel + "_input",
                    .amps_path = folder + "/curr" + channel + "_input",
                    .refresh = refresh};
    if (const auto shunt_uohm = read_integer(files, folder + "/shunt" + channel + "_resistor"); shunt_uohm && *shunt_uohm > 0) {
      rail.shunt_ohms = static_cast<double>(*shunt_uohm) * 1e-6;
    }
    rails.push_back(std::move(rail));
  }
  return {};
}

/// Elsewhere such a chip may measure anything.
bool is_thor(const Files& files) {
  return files.read("/proc/device-tree/compatible").value_or("").find("nvidia,tegra264") != std::string::npos;
}

/// Linux Documentation/hwmon/ina238.rst: uW, computed by the chip.
SupplyRail input_rail(const std::string& folder) {
  return {.label = "VIN",
          .volts_path = folder + "/in1_input",
          .watts_path = folder + "/power1_input",
          .watts_unit = 1e-6,
          .refresh = kResetRefresh};
}

Status add_iio_rails(const Files& files, const std::string& folder, std::vector<SupplyRail>& rails) {
  const auto continuous = read_integer(files, folder + "/running_mode");
  const bool converts = !continuous || *continuous == 0;
  for (const char* channel : {"0", "1", "2"}) {
    const auto label = read_trimmed(files, folder + "/rail_name_" + channel);
    if (!label && label.error().code == Errc::kPermission) return tl::unexpected<Error>(label.error());
    if (!label || label->empty() || *label == "NC") continue;
    rails.push_back({.label = *label,
                     .volts_path = folder + "/in_voltage" + channel + "_input",
                     .watts_path = folder + "/in_power" + channel + "_input",
                     .refresh = converts ? kResetRefresh : kContinuousRefresh,
                     .converts = converts});
  }
  return {};
}

Result<std::vector<SupplyRail>> find_rails(const Files& files) {
  std::vector<SupplyRail> rails;
  TRY(const auto devices, list_if_there(files, kHwmon));
  for (const auto& device : devices) {
    const std::string folder = std::string(kHwmon) + "/" + device;
    const std::string chip = read_trimmed(files, folder + "/name").value_or("");
    if (chip == kChip) TRY_STATUS(add_hwmon_rails(files, folder, rails));
    if (chip == kInputChip && is_thor(files)) rails.push_back(input_rail(folder));
  }
  if (!rails.empty()) return rails;
  TRY(const auto chips, list_if_there(files, kHwmonDriver));
  for (const auto& chip : chips) {
    if (chip.find('-') == std::string::npos) continue;  // "1-0040": bus and address
    const std::string folder = std::string(kHwmonDriver) + "/" + chip + "/hwmon";
    TRY(const auto children, list_if_there(files, folder));
    for (const auto& child : children) TRY_STATUS(add_hwmon_rails(files, folder + "/" + child, rails));
  }
  if (!rails.empty()) return rails;
  TRY(const auto old_chips, list_if_there(files, kIioDriver));
  for (const auto& chip : old_chips) {
    if (chip.find('-') == std::string::npos) continue;
    const std::string folder = std::string(kIioDriver) + "/" + chip;
    TRY(const auto children, list_if_there(files, folder));
    for (const auto& child : children) {
      if (child.starts_with("iio:device")) TRY_STATUS(add_iio_rails(files, folder + "/" + child, rails));
    }
  }
  return rails;
}

/// Says of each rail whether it is counted and in which it is contained; those counted come first.
Status sort_out(std::vector<SupplyRail>& rails) {
  const auto find = [&](std::string_view label) {
    return std::find_if(rails.begin(), rails.end(), [&](const SupplyRail& rail) { return rail.label == label; });
  };
  const auto put_in_front = [&] { std::stable_partition(rails.begin(), rails.end(), [](const SupplyRail& rail) { return rail.counted; }); };
  for (const auto& input : kInputs) {
    const auto rail = find(input);
    if (rail == rails.end()) continue;
    rail->counted = true;
    put_in_front();
    for (auto& one : rails) {
      if (!one.counted && std::find(kBehindInput.begin(), kBehindInput.end(), one.label) != kBehindInput.end()) one.inside = 0;
    }
    return {};
  }
  for (const auto& labels : kSums) {
    if (!std::all_of(labels.begin(), labels.end(), [&](auto label) { return find(label) != rails.end(); })) continue;
    for (const auto& label : labels) find(label)->counted = true;
    put_in_front();
    if (const auto dram = find("VDDQ_VDD2_1V8AO"); dram != rails.end()) {
      if (const auto feed = find("VIN_SYS_5V0"); feed != rails.end()) dram->inside = static_cast<std::size_t>(feed - rails.begin());
    }
    return {};
  }
  std::string found;
  for (const auto& rail : rails) found += (found.empty() ? "" : ", ") + rail.label;
  return fail(Errc::kUnsupported, "add up the rails " + found + ": it is not known which of them contain others",
              "an input rail (VDD_IN) or a known set of rails is needed");
}

}  // namespace

Result<std::vector<SupplyRail>> find_supply_rails(const Files& files) {
  TRY(auto rails, find_rails(files));
  if (!rails.empty()) TRY_STATUS(sort_out(rails));
  return rails;
}

}  // namespace polythrottle
