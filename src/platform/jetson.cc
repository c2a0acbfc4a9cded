#include "platform/jetson.h"

#include "knob/nvpmodel.h"

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

}  // namespace

std::map<std::string, std::string> jetson_facts(const Files& files) {
  std::map<std::string, std::string> facts;
  if (const auto text = files.read("/etc/nv_tegra_release")) {
    if (auto release = release_of(*text); !release.empty()) facts["l4t"] = std::move(release);
  }
  if (const auto id = nvpmodel_status(files)) {
    const auto model = read_nvpmodel(files);
    const PowerMode* const mode = model ? model->in_force() : nullptr;
    facts["power_mode"] = mode != nullptr ? mode->label() : std::to_string(*id);
  }
  return facts;
}

}  // namespace polythrottle
