// The energy performance preference: how eagerly a CPU that chooses its clock by itself goes for a high one. All policies move together,
// on request only. Sources: Linux Documentation/admin-guide/pm/intel_pstate.rst (energy vs performance hints) and amd-pstate.rst (active
// mode); drivers/cpufreq/intel_pstate.c and amd-pstate.c.
//
// "default" is no level: both drivers set the preference of the boot then, and read back as the name or number of that.

#include <algorithm>
#include <array>
#include <map>
#include <sstream>

#include "knob/cpu_policy.h"
#include "knob/knob.h"

namespace polythrottle {
namespace {

constexpr const char* kName = "cpu_epp";
/// From the thriftiest on, so that the last level is the fastest, as of a clock.
constexpr std::array<std::string_view, 4> kInOrder{"power", "balance_power", "balance_performance", "performance"};

class EnergyPreference : public Knob {
 public:
  EnergyPreference(Files& files, std::vector<std::string> paths, Parameter parameter)
      : files_(files), paths_(std::move(paths)), parameter_(std::move(parameter)) {}

  const Parameter& parameter() const override { return parameter_; }

  /// Policies that differ read as all their texts, "power, performance, performance"; a preference without a name as its number.
  Result<Value> read() override {
    std::vector<std::string> texts;
    std::string all;
    for (const auto& path : paths_) {
      auto text = read_trimmed(files_, path);
      if (!text) return tl::unexpected<Error>(explained(text.error()));
      all += (all.empty() ? "" : ", ") + *text;
      texts.push_back(std::move(*text));
    }
    const bool one = std::all_of(texts.begin(), texts.end(), [&](const auto& text) { return text == texts.front(); });
    std::string value = one ? texts.front() : all;
    seen_.try_emplace(value, std::move(texts));
    return Value(std::move(value));
  }

  Result<Value> write(const Value& wanted) override {
    TRY(const auto texts, texts_of(wanted));
    for (std::size_t i = 0; i < paths_.size(); ++i) {
      if (auto written = files_.write(paths_[i], texts[i]); !written) {
        Error error = written.error();
        if (error.code == Errc::kBusy) error.hint = "refused under the governor performance, and while all CPUs of the policy are offline";
        return tl::unexpected<Error>(std::move(error));
      }
    }
    return read();
  }

  std::vector<std::string> paths() const override { return paths_; }

  Result<std::vector<FoundNode>> found_nodes() override {
    std::vector<FoundNode> nodes;
    for (const auto& path : paths_) {
      TRY(std::string text, files_.read(path));
      nodes.push_back({path, std::move(text)});
    }
    return nodes;
  }

 private:
  Result<std::vector<std::string>> texts_of(const Value& wanted) const {
    const auto& levels = parameter_.levels;
    if (std::find(levels.begin(), levels.end(), wanted) != levels.end()) {
      return std::vector<std::string>(paths_.size(), std::get<std::string>(wanted));
    }
    if (const auto* text = std::get_if<std::string>(&wanted)) {
      if (const auto seen = seen_.find(*text); seen != seen_.end()) return seen->second;
    }
    std::string all;
    for (const auto& level : levels) all += (all.empty() ? "one of " : ", ") + to_text(level);
    return fail(Errc::kOutOfRange, std::string("set ") + kName + " to " + to_text(wanted) + ": not one of its levels", all);
  }

  Files& files_;
  std::vector<std::string> paths_;
  Parameter parameter_;
  std::map<std::string, std::vector<std::string>> seen_;  ///< what each policy held when `read` first answered this
};

/// The governor performance takes the preference over where the driver is the governor too.
Status may_be_preferred(const Files& files, const std::string& folder) {
  const std::string driver = read_trimmed(files, folder + "/scaling_driver").value_or("");
  const bool governs = driver == "intel_pstate" || driver == "amd-pstate-epp";
  if (governs && read_trimmed(files, folder + "/scaling_governor").value_or("") == "performance") {
    return fail(Errc::kUnsupported, "set " + folder + "/energy_performance_preference: the governor performance forces its own",
                "choose the governor powersave, which with " + driver + " is the one that scales");
  }
  return files.writable(folder + "/energy_performance_preference");
}

/// In the driver's order; a missing list is an empty one.
std::vector<std::string> names_offered(const Files& files, const std::string& folder) {
  std::vector<std::string> names;
  std::istringstream words(files.read(folder + "/energy_performance_available_preferences").value_or(""));
  for (std::string name; words >> name;) {
    if (name != "default" && name.front() != '<') names.push_back(name);
  }
  return names;
}

std::size_t place(const Value& name) {
  const auto& text = std::get<std::string>(name);
  return static_cast<std::size_t>(std::find(kInOrder.begin(), kInOrder.end(), text) - kInOrder.begin());
}

Parameter parameter_of(std::vector<Value> names) {
  Parameter parameter{.name = kName,
                      .unit = "",
                      .role = Role::kOther,
                      .levels = std::move(names),
                      .help = "energy performance preference of all CPUs, thriftiest first (energy_performance_preference)"};
  std::stable_sort(parameter.levels.begin(), parameter.levels.end(), [](const Value& a, const Value& b) { return place(a) < place(b); });
  if (place(parameter.levels.back()) == kInOrder.size()) {
    parameter.role = Role::kCategory;
    parameter.help = "energy performance preference of all CPUs (energy_performance_preference); not all its names are known";
  }
  return parameter;
}

KnobDiscovery discover(Host& host) {
  const auto absent = [](Error why) {
    if (why.code == Errc::kPermission && why.hint.empty()) why.hint = "run as root to set the energy performance preference";
    KnobDiscovery none;
    none.absent.push_back({kName, std::move(why)});
    return none;
  };
  const auto folders = cpu_policy_folders(host.files);
  if (!folders) return absent(folders.error());
  Error none{Errc::kNotFound, "look for energy_performance_preference in the cpufreq policies: none",
             "intel_pstate (with hardware-managed P-states) and amd-pstate offer it in their active mode"};
  std::vector<std::string> paths;
  std::vector<Value> names;
  for (const auto& [number, folder] : *folders) {
    const std::string path = folder + "/energy_performance_preference";
    if (const auto text = host.files.read(path); !text) {
      if (is_resting(host.files, folder, text.error())) {
        if (paths.empty()) none = explained(text.error());
        continue;
      }
      if (text.error().code == Errc::kNotFound) return absent(none);
      return absent(text.error());
    }
    if (const auto may = may_be_preferred(host.files, folder); !may) return absent(may.error());
    const auto offered = names_offered(host.files, folder);
    if (paths.empty()) names.assign(offered.begin(), offered.end());
    std::erase_if(
        names, [&](const Value& name) { return std::find(offered.begin(), offered.end(), std::get<std::string>(name)) == offered.end(); });
    paths.push_back(path);
  }
  if (paths.empty()) return absent(std::move(none));
  if (names.empty()) {
    return absent({Errc::kUnsupported, "look for names in energy_performance_available_preferences: none that all policies know", {}});
  }
  KnobDiscovery found;
  found.knobs.push_back(std::make_unique<EnergyPreference>(host.files, std::move(paths), parameter_of(std::move(names))));
  return found;
}

}  // namespace

namespace knob_driver {
extern const KnobDriver cpu_epp;
constinit const KnobDriver cpu_epp{.name = "cpu_epp",
                                   .summary = "energy performance preference of all CPUs (intel_pstate, amd-pstate)",
                                   .discover = discover,
                                   .by_request = true};
}  // namespace knob_driver
}  // namespace polythrottle
