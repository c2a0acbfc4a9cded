#include "meter/hwmon_channels.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

namespace polythrottle {
namespace {

constexpr const char* kHwmon = "/sys/class/hwmon";
/// Buses whose devices may be such chips.
constexpr const char* kBuses[] = {"i2c", "spi", "platform", "pci", "acpi", "scmi_protocol", "hid"};

using Kind = HwmonChannel::Kind;

struct Chip {
  std::string number;  ///< "hwmon3"
  std::string folder;
  std::string name;
};

/// Is this chip read by another meter? An ina238 may measure anything, except on a Jetson Thor.
bool read_elsewhere(const Files& files, const std::string& chip) {
  return chip == "ina3221" || chip == "soctherm_oc" ||
         (chip == "ina238" && files.read("/proc/device-tree/compatible").value_or("").find("nvidia,tegra264") != std::string::npos);
}

/// "power12_input" for prefix "power" and suffix "_input" is "12"; else empty.
std::string index_of(std::string_view file, std::string_view prefix, std::string_view suffix) {
  if (!file.starts_with(prefix) || !file.ends_with(suffix) || file.size() <= prefix.size() + suffix.size()) return {};
  file = file.substr(prefix.size(), file.size() - prefix.size() - suffix.size());
  return std::all_of(file.begin(), file.end(), [](char letter) { return letter >= '0' && letter <= '9'; }) ? std::string(file) : "";
}

Seconds milliseconds(const Files& files, const std::string& path) {
  return Seconds(static_cast<double>(std::max(0LL, read_integer(files, path).value_or(0))) * 1e-3);
}

/// The label of a channel, fit for a name that is typed; `otherwise` where it has none.
std::string label_of(const Files& files, const std::string& folder, const std::string& stem, const std::string& otherwise) {
  std::string label = read_trimmed(files, folder + "/" + stem + "_label").value_or("");
  std::replace_if(
      label.begin(), label.end(), [](char letter) { return letter == ' ' || letter == ':'; }, '_');
  return label.empty() ? otherwise : label;
}

/// "i2c 0-004a": the device whose folder has this hwmonN in it.
std::string device_of(const Files& files, const std::string& number) {
  for (const char* bus : kBuses) {
    const std::string devices = std::string("/sys/bus/") + bus + "/devices";
    for (const auto& device : files.list(devices).value_or(std::vector<std::string>())) {
      const auto inside = files.list(devices + "/" + device + "/hwmon").value_or(std::vector<std::string>());
      if (std::find(inside.begin(), inside.end(), number) != inside.end()) return std::string(bus) + " " + device;
    }
  }
  return {};
}

void add_channels(const Files& files, const Chip& chip, const std::vector<std::string>& names, std::vector<HwmonChannel>& channels) {
  const std::set<std::string> all(names.begin(), names.end());
  const std::string in = chip.folder + "/";
  const Seconds update = milliseconds(files, in + "update_interval");
  std::set<std::string> measured;  // indices that have a better channel
  const std::size_t before = channels.size();
  const auto add = [&](Kind kind, const std::string& index, const std::string& stem, const std::string& file, Seconds refresh) {
    if (!measured.insert(index).second) return;
    channels.push_back({.kind = kind,
                        .chip = chip.name,
                        .label = label_of(files, chip.folder, stem, stem),
                        .device = chip.number,  // until we know better
                        .path = in + file,
                        .refresh = refresh});
  };
  for (const auto& file : names) {
    if (const auto index = index_of(file, "energy", "_input"); !index.empty()) add(Kind::kEnergy, index, "energy" + index, file, update);
  }
  for (const auto& file : names) {
    if (const auto index = index_of(file, "power", "_input"); !index.empty()) add(Kind::kPower, index, "power" + index, file, update);
  }
  for (const auto& file : names) {
    const auto index = index_of(file, "power", "_average");
    if (index.empty()) continue;
    const Seconds own = milliseconds(files, in + "power" + index + "_average_interval");
    add(Kind::kPower, index, "power" + index, file, own > Seconds(0) ? own : update);
  }
  if (channels.size() > before) return;  // volts and amperes of such a chip are the parts of its powers
  for (const auto& file : names) {
    const auto index = index_of(file, "in", "_input");
    if (index.empty() || index == "0" || !all.contains("curr" + index + "_input")) continue;
    const std::string label = label_of(files, chip.folder, "in" + index, "");
    if (label != label_of(files, chip.folder, "curr" + index, "")) continue;
    add(Kind::kPair, index, "in" + index, file, update);
    if (label.empty()) channels.back().label = "curr" + index;
    channels.back().amps_path = in + "curr" + index + "_input";
  }
}

/// Where the chip sits, for all; and in the names of those that would be alike without it.
void name_them(const Files& files, std::vector<HwmonChannel>& channels) {
  std::map<std::string, std::string> devices;
  std::map<std::string, int> alike;
  for (const auto& channel : channels) {
    if (!devices.contains(channel.device)) devices[channel.device] = device_of(files, channel.device);
    ++alike[channel.chip + ":" + channel.label];
  }
  std::map<std::string, int> still_alike;
  for (auto& channel : channels) {
    const std::string number = channel.device;
    channel.device = devices[number];
    channel.name = "hwmon:" + channel.chip;
    if (alike[channel.chip + ":" + channel.label] > 1) {
      const auto blank = channel.device.find(' ');
      channel.name += "@" + (blank == std::string::npos ? number : channel.device.substr(blank + 1));
    }
    channel.name += ":" + channel.label;
    ++still_alike[channel.name];
  }
  for (auto& channel : channels) {
    if (still_alike[channel.name] < 2) continue;
    const std::string file = channel.path.substr(channel.path.rfind('/') + 1);
    channel.name += "(" + file.substr(0, file.find('_')) + ")";
  }
  std::sort(channels.begin(), channels.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
}

}  // namespace

Result<HwmonChannels> hwmon_channels(const Files& files) {
  const auto numbers = files.list(kHwmon);
  if (!numbers && numbers.error().code != Errc::kNotFound) return tl::unexpected<Error>(numbers.error());
  HwmonChannels channels;
  for (const auto& number : numbers.value_or(std::vector<std::string>())) {
    Chip chip{.number = number, .folder = std::string(kHwmon) + "/" + number};
    auto name = read_trimmed(files, chip.folder + "/name");
    if (!name && name.error().code == Errc::kNotFound) {
      chip.folder += "/device";  // drivers that register in the old way (acpi_power_meter) have their files there
      name = read_trimmed(files, chip.folder + "/name");
    }
    chip.name = name.value_or("");
    if (chip.name.empty() || read_elsewhere(files, chip.name)) continue;
    const auto names = files.list(chip.folder);
    if (names) {
      add_channels(files, chip, *names, channels.found);
    } else if (names.error().code == Errc::kPermission) {
      channels.forbidden.push_back({"hwmon:" + chip.name, names.error()});
    }
  }
  name_them(files, channels.found);
  return channels;
}

}  // namespace polythrottle
