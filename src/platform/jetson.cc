#include "platform/jetson.h"

#include <charconv>
#include <optional>
#include <sstream>

namespace polythrottle {
namespace {

/// "# R35 (release), REVISION: 4.1, GCID: ..." is "R35.4.1".
std::string release_of(const std::string& text) {
  constexpr std::string_view kKey = "REVISION: ";
  const auto start = text.find('R');
  const auto revision = text.find(kKey);
  if (!text.starts_with("#") || start == std::string::npos || revision == std::string::npos || start >= revision) return {};
  const auto from = revision + kKey.size();
  return text.substr(start, text.find(' ', start) - start) + "." + text.substr(from, text.find(',', from) - from);
}

/// "pmode:0003 fmode:quiet" is 3: leading zeros, decimal.
std::optional<int> mode_of(const std::string& text) {
  constexpr std::string_view kKey = "pmode:";
  const auto at = text.find(kKey);
  if (at == std::string::npos) return std::nullopt;
  int mode = 0;
  const auto [end, error] = std::from_chars(text.data() + at + kKey.size(), text.data() + text.size(), mode);
  if (error != std::errc{}) return std::nullopt;
  return mode;
}

/// The name behind "< POWER_MODEL ID=3 NAME=MAXP_CORE_ARM >".
std::string mode_name(const std::string& conf, int mode) {
  std::istringstream lines(conf);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word;
    std::string id;
    std::string name;
    bool section = false;
    while (words >> word) {
      if (word == "POWER_MODEL") section = true;
      if (word.starts_with("ID=")) id = word.substr(3);
      if (word.starts_with("NAME=")) name = word.substr(5);
    }
    if (section && id == std::to_string(mode)) return name;
  }
  return {};
}

}  // namespace

std::map<std::string, std::string> jetson_facts(const Files& files) {
  std::map<std::string, std::string> facts;
  if (const auto text = files.read("/etc/nv_tegra_release")) {
    if (auto release = release_of(*text); !release.empty()) facts["l4t"] = std::move(release);
  }
  if (const auto mode = mode_of(files.read("/var/lib/nvpmodel/status").value_or(""))) {
    const std::string name = mode_name(files.read("/etc/nvpmodel.conf").value_or(""), *mode);
    facts["power_mode"] = std::to_string(*mode) + (name.empty() ? "" : " " + name);
  }
  return facts;
}

}  // namespace polythrottle
