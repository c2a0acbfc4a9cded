#include "knob/nvpmodel.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <sstream>
#include <string_view>

// Sources: nvpmodel.conf of TX2, Xavier, Nano and Orin as NVIDIA publishes them in its MLPerf code and owners on the web, with its own
// description of the format in the comments of the first; output of `nvpmodel -q --verbose` on JetPack 4 to 6.

namespace polythrottle {
namespace {

constexpr const char* kConf = "/etc/nvpmodel.conf";
constexpr const char* kStatus = "/var/lib/nvpmodel/status";

template <class T>
std::optional<T> number_of(std::string_view text) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// What a mode sets, told by the node's path: names differ from board to board (CPU_A57, CPU_DENVER_0, CPU_A78_0).
struct Target {
  enum class Kind { kOther, kCpuClock, kCpuOnline, kGpuClock, kMemoryClock } kind = Kind::kOther;
  int cpu = 0;
};

Target target_of(std::string_view path) {
  using Kind = Target::Kind;
  for (const std::string_view cpu : {"/sys/devices/system/cpu/cpu", "/sys/devices/system/cpu/cpufreq/policy"}) {
    if (!path.starts_with(cpu)) continue;
    const std::string_view rest = path.substr(cpu.size());
    const auto slash = rest.find('/');
    const auto number = number_of<int>(rest.substr(0, slash));
    if (!number || *number < 0) continue;
    if (rest.ends_with("/scaling_max_freq")) return {Kind::kCpuClock, *number};
    if (rest.ends_with("/online")) return {Kind::kCpuOnline, *number};
  }
  const auto has = [&](std::string_view part) { return path.find(part) != std::string_view::npos; };
  // bwmgr is the bandwidth manager (Thor).
  if (path.ends_with("/emc_iso_cap") || path.ends_with("/nvpmodel_clk_cap/emc") || path.ends_with("/bwmgr/max_freq")) {
    return {Kind::kMemoryClock};
  }
  // gpu-nvd is the clock of the video engines (Thor).
  if (path.ends_with("/max_freq") && has("devfreq") && !has("nvd")) return {Kind::kGpuClock};
  return {};
}

class Parser {
 public:
  void line(std::string_view text) {
    std::istringstream words(std::string(text.substr(0, text.find('#'))));
    std::vector<std::string> parts;
    for (std::string word; words >> word;) parts.push_back(std::move(word));
    if (parts.empty()) return;
    if (parts.front().starts_with('<')) {
      section(parts);
    } else if (section_ == Section::kParam && parts.size() >= 2) {
      param(parts[0], parts[1]);
    } else if (section_ == Section::kMode && parts.front().starts_with('/') && parts.size() >= 2) {
      set(target_of(parts[0]), parts[1]);
    } else if (section_ == Section::kMode && parts.size() >= 3) {
      set(target(parts[0], parts[1]), parts[2]);
    }
  }

  NvpModel take() { return std::move(model_); }

 private:
  enum class Section { kOther, kParam, kMode };

  /// "< POWER_MODEL ID=3 NAME=MAXP_CORE_ARM >", in any order.
  void section(const std::vector<std::string>& parts) {
    section_ = Section::kOther;
    std::string kind;
    std::map<std::string, std::string> keys;
    for (std::string part : parts) {
      part.erase(std::remove_if(part.begin(), part.end(), [](char c) { return c == '<' || c == '>'; }), part.end());
      const auto equals = part.find('=');
      if (equals != std::string::npos) {
        keys[part.substr(0, equals)] = part.substr(equals + 1);
      } else if (kind.empty()) {
        kind = part;
      }
    }
    const auto id = number_of<int>(keys["ID"]);
    if (kind == "PARAM") {
      section_ = Section::kParam;
      param_ = keys["NAME"];
    } else if (kind == "POWER_MODEL" && id && *id >= 0) {
      section_ = Section::kMode;
      PowerMode mode;
      mode.id = *id;
      mode.name = keys["NAME"];
      model_.modes.push_back(std::move(mode));
    } else if (kind == "PM_CONFIG") {
      model_.default_id = number_of<int>(keys["DEFAULT"]);
    }
  }

  /// "MAX_FREQ /sys/...": on newer kernels MAX_FREQ_KNEXT is the path instead. Either tells what is meant.
  void param(const std::string& arg, const std::string& path) {
    constexpr std::string_view kNext = "_KNEXT";
    const Target target = target_of(path);
    if (target.kind == Target::Kind::kOther) return;
    if (target.kind == Target::Kind::kCpuOnline) model_.cpus.insert(target.cpu);
    targets_[{param_, arg.ends_with(kNext) ? arg.substr(0, arg.size() - kNext.size()) : arg}] = target;
  }

  Target target(const std::string& param, const std::string& arg) const {
    if (const auto known = targets_.find({param, arg}); known != targets_.end()) return known->second;
    if (arg != "MAX_FREQ") return {};
    if (param == "GPU") return {Target::Kind::kGpuClock};
    if (param == "EMC") return {Target::Kind::kMemoryClock};
    return {};
  }

  void set(const Target& target, const std::string& text) {
    using Kind = Target::Kind;
    PowerMode& mode = model_.modes.back();
    const auto number = number_of<long long>(text);
    if (target.kind == Kind::kCpuOnline) {
      model_.cpus.insert(target.cpu);
      if (number && *number == 0) mode.offline.insert(target.cpu);
      return;
    }
    // -1 is the largest number there is; 0 is no cap for the memory clock (bandwidth manager) and for devfreq.
    if (!number) return;
    const double value = *number > 0 ? static_cast<double>(*number) : std::numeric_limits<double>::infinity();
    if (target.kind == Kind::kCpuClock) mode.cpu_max_hz[target.cpu] = value * 1e3;
    if (target.kind == Kind::kGpuClock) mode.gpu_max_hz = value;
    if (target.kind == Kind::kMemoryClock) mode.mem_max_hz = value;
  }

  Section section_ = Section::kOther;
  std::string param_;
  std::map<std::pair<std::string, std::string>, Target> targets_;  ///< by PARAM and argument
  NvpModel model_;
};

}  // namespace

std::string PowerMode::label() const { return std::to_string(id) + (name.empty() ? "" : " " + name); }

std::optional<double> PowerMode::cpu_cap(const std::set<int>& cpus) const {
  std::optional<double> cap;
  for (const auto& [cpu, hertz] : cpu_max_hz) {
    if (cpus.contains(cpu)) cap = std::min(cap.value_or(hertz), hertz);
  }
  return cap;
}

const PowerMode* NvpModel::in_force() const {
  const auto id = set_id ? set_id : default_id;
  const auto mode = std::find_if(modes.begin(), modes.end(), [&](const PowerMode& one) { return one.id == id; });
  return mode == modes.end() ? nullptr : &*mode;
}

Result<NvpModel> parse_nvpmodel(const std::string& conf) {
  Parser parser;
  std::istringstream lines(conf);
  for (std::string line; std::getline(lines, line);) parser.line(line);
  NvpModel model = parser.take();
  if (model.modes.empty()) return fail(Errc::kCorrupt, "read the power modes: there is no POWER_MODEL section");
  return model;
}

Result<NvpModel> read_nvpmodel(const Files& files) {
  TRY(const std::string conf, files.read(kConf));
  auto model = parse_nvpmodel(conf);
  if (!model) {
    model.error().what += std::string(" in ") + kConf;
    return model;
  }
  model->set_id = nvpmodel_status(files);
  return model;
}

std::optional<int> nvpmodel_status(const Files& files) {
  constexpr std::string_view kKey = "pmode:";
  const std::string text = files.read(kStatus).value_or("");
  const auto at = text.find(kKey);
  if (at == std::string::npos) return std::nullopt;
  const std::string_view rest = std::string_view(text).substr(at + kKey.size());
  // Leading zeros, and decimal all the same.
  const auto id = number_of<int>(rest.substr(0, rest.find_first_of(" \t\r\n")));
  return id && *id >= 0 ? id : std::nullopt;
}

double power_mode_ceiling(const std::vector<double>& table, double cap, double found) {
  const auto above = std::upper_bound(table.begin(), table.end(), cap);
  return std::max(above == table.begin() ? table.front() : *(above - 1), found);
}

}  // namespace polythrottle
