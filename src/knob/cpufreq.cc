// The highest clock the CPUs may run at: scaling_max_freq of every cpufreq policy, all moved together.
// Source: Linux Documentation/admin-guide/pm/cpufreq.rst, intel_pstate.rst, amd-pstate.rst.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "knob/knob.h"
#include "knob/nvpmodel.h"

namespace polythrottle {
namespace {

constexpr const char* kFolder = "/sys/devices/system/cpu/cpufreq";
constexpr std::size_t kMostLevels = 16;
/// Without a table the kernel keeps any limit, but the hardware runs in steps of 100 MHz (the P-state ratio of Intel's base clock), so a
/// finer limit would be a second name for the same speed.
constexpr long long kStepKhz = 100'000;

using Khz = long long;

struct Policy {
  std::string folder;
  std::vector<Khz> table;  ///< ascending; empty where the driver has none
  Khz lowest = 0;          ///< of the hardware
  Khz highest = 0;
  Khz floor = 0;  ///< scaling_min_freq, which we do not move

  std::string limit_path() const { return folder + "/scaling_max_freq"; }
  Khz bottom() const { return std::max({lowest, floor, table.empty() ? lowest : table.front()}); }
  /// The largest limit of this policy that is not above `wanted`.
  Khz target(Khz wanted) const {
    if (table.empty()) return std::clamp(wanted, lowest, highest);
    const auto above = std::upper_bound(table.begin(), table.end(), wanted);
    return above == table.begin() ? table.front() : *(above - 1);
  }
};

double to_hertz(Khz khz) { return static_cast<double>(khz) * 1e3; }
Khz to_khz(double hertz) { return std::llround(hertz * 1e-3); }

class CpuFrequency : public Knob {
 public:
  CpuFrequency(Files& files, std::vector<Policy> policies, Parameter parameter)
      : files_(files), policies_(std::move(policies)), parameter_(std::move(parameter)) {}

  const Parameter& parameter() const override { return parameter_; }

  Result<Value> read() override {
    TRY(const auto limits, read_limits());
    const double value = to_hertz(*std::max_element(limits.begin(), limits.end()));
    seen_.try_emplace(value, limits);
    return Value(value);
  }

  Result<Value> write(const Value& wanted) override {
    TRY(const auto targets, targets_of(wanted));
    for (std::size_t i = 0; i < policies_.size(); ++i) {
      TRY_STATUS(files_.write(policies_[i].limit_path(), std::to_string(targets[i])));
    }
    return read();
  }

  std::vector<std::string> paths() const override {
    std::vector<std::string> paths;
    for (const auto& policy : policies_) paths.push_back(policy.limit_path());
    return paths;
  }

  Result<std::vector<FoundNode>> found_nodes() override {
    std::vector<FoundNode> nodes;
    for (const auto& path : paths()) {
      TRY(std::string text, files_.read(path));
      nodes.push_back({path, std::move(text)});
    }
    return nodes;
  }

 private:
  Result<std::vector<Khz>> read_limits() const {
    std::vector<Khz> limits;
    for (const auto& policy : policies_) {
      TRY(const Khz khz, read_integer(files_, policy.limit_path()));
      if (khz <= 0) return fail(Errc::kCorrupt, "read " + policy.limit_path() + ": " + std::to_string(khz) + " kHz");
      limits.push_back(khz);
    }
    return limits;
  }

  Result<std::vector<Khz>> targets_of(const Value& wanted) const {
    const auto& levels = parameter_.levels;
    if (std::find(levels.begin(), levels.end(), wanted) != levels.end()) {
      std::vector<Khz> targets;
      for (const auto& policy : policies_) targets.push_back(policy.target(to_khz(std::get<double>(wanted))));
      return targets;
    }
    if (const auto* hertz = std::get_if<double>(&wanted)) {
      if (const auto seen = seen_.find(*hertz); seen != seen_.end()) return seen->second;
    }
    return fail(Errc::kOutOfRange, "set cpu_hz to " + to_text(wanted) + ": not one of its levels",
                "the lowest is " + to_text(levels.front()) + ", the highest " + to_text(levels.back()));
  }

  Files& files_;
  std::vector<Policy> policies_;
  Parameter parameter_;
  std::map<double, std::vector<Khz>> seen_;  ///< what each policy held when `read` first answered this value
};

/// "policy12" is 12.
std::optional<int> policy_number(std::string_view name) {
  if (!name.starts_with("policy")) return std::nullopt;
  name.remove_prefix(6);
  int number = 0;
  const auto [at, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (name.empty() || error != std::errc{} || at != name.data() + name.size()) return std::nullopt;
  return number;
}

Result<Policy> probe(const Files& files, const std::string& folder) {
  Policy policy{.folder = folder, .table = {}};
  TRY(policy.lowest, read_integer(files, folder + "/cpuinfo_min_freq"));
  TRY(policy.highest, read_integer(files, folder + "/cpuinfo_max_freq"));
  TRY(policy.floor, read_integer(files, folder + "/scaling_min_freq"));
  if (policy.lowest <= 0 || policy.highest < policy.lowest) {
    return fail(Errc::kCorrupt,
                "read " + folder + ": clocks from " + std::to_string(policy.lowest) + " to " + std::to_string(policy.highest) + " kHz");
  }
  const auto table = files.read(folder + "/scaling_available_frequencies");
  if (!table && table.error().code != Errc::kNotFound) return tl::unexpected<Error>(table.error());
  if (table) {
    std::istringstream words(*table);
    for (Khz khz = 0; words >> khz;) {
      // While boost is off the table may still name speeds above what the hardware now allows.
      if (khz >= policy.lowest && khz <= policy.highest) policy.table.push_back(khz);
    }
    std::sort(policy.table.begin(), policy.table.end());
    policy.table.erase(std::unique(policy.table.begin(), policy.table.end()), policy.table.end());
  }
  TRY_STATUS(files.writable(policy.limit_path()));
  return policy;
}

/// A Jetson's power mode caps clusters by this very limit, for the sake of the board's supply: what is above it is left out of the table,
/// unless the limit was found there. Were any left out?
bool keep_to_power_mode(const Files& files, const PowerMode& mode, Policy& policy) {
  std::set<int> cpus;
  std::istringstream words(files.read(policy.folder + "/related_cpus").value_or(""));
  for (int cpu = 0; words >> cpu;) cpus.insert(cpu);
  const auto cap = mode.cpu_cap(cpus);
  const auto found = read_integer(files, policy.limit_path());
  if (!cap || !found || policy.table.empty()) return false;
  std::vector<double> table;
  for (const Khz khz : policy.table) table.push_back(to_hertz(khz));
  const double top = power_mode_ceiling(table, *cap, to_hertz(*found));
  return std::erase_if(policy.table, [&](Khz khz) { return to_hertz(khz) > top; }) > 0;
}

bool has_files(const Files& files, const std::string& folder) {
  const auto names = files.list(folder);
  return names && !names->empty();
}

/// A level is a limit that at least one policy can hold exactly and that is not below what any of them can go down to, so that the
/// largest limit read back is the level.
std::vector<Value> levels_of(const std::vector<Policy>& policies) {
  Khz bottom = 0;
  Khz top = 0;
  std::set<Khz> levels;
  for (const auto& policy : policies) {
    bottom = std::max(bottom, policy.bottom());
    top = std::max(top, policy.table.empty() ? policy.highest : policy.table.back());
    levels.insert(policy.table.begin(), policy.table.end());
  }
  const bool tables = std::all_of(policies.begin(), policies.end(), [](const auto& policy) { return !policy.table.empty(); });
  if (!tables) {
    levels.clear();
    const Khz first = std::min(top, (bottom + kStepKhz - 1) / kStepKhz * kStepKhz);
    const double step = std::max(static_cast<double>(kStepKhz), static_cast<double>(top - first) / (kMostLevels - 1));
    for (std::size_t i = 0; i < kMostLevels; ++i) {
      const double khz = static_cast<double>(first) + static_cast<double>(i) * step;
      if (khz >= static_cast<double>(top)) break;
      levels.insert(std::llround(khz / static_cast<double>(kStepKhz)) * kStepKhz);
    }
    levels.insert(top);
    while (levels.size() > kMostLevels) levels.erase(std::prev(levels.end(), 2));
  }
  std::vector<Value> values;
  for (const Khz khz : levels) {
    if (khz >= bottom && khz <= top) values.emplace_back(to_hertz(khz));
  }
  if (values.empty()) values.emplace_back(to_hertz(top));
  return values;
}

KnobDiscovery discover(Host& host) {
  const auto absent = [](Error why) {
    KnobDiscovery none;
    none.absent.push_back({"cpu_hz", std::move(why)});
    return none;
  };
  const auto names = host.files.list(kFolder);
  if (!names && names.error().code != Errc::kNotFound) return absent(names.error());
  std::map<int, std::string> folders;
  for (const auto& name : names.value_or(std::vector<std::string>())) {
    if (const auto number = policy_number(name)) folders[*number] = std::string(kFolder) + "/" + name;
  }
  std::vector<Policy> policies;
  std::optional<Error> resting;
  for (const auto& [number, folder] : folders) {
    auto policy = probe(host.files, folder);
    if (policy) {
      policies.push_back(std::move(*policy));
    } else if (policy.error().code == Errc::kBusy || (policy.error().code == Errc::kNotFound && !has_files(host.files, folder))) {
      resting = policy.error();  // all its CPUs are offline (older kernels then take the files away); there is nothing to limit
    } else {
      if (policy.error().code == Errc::kPermission && policy.error().hint.empty()) policy.error().hint = "run as root to set CPU clocks";
      return absent(policy.error());
    }
  }
  if (policies.empty()) {
    if (resting) return absent(*resting);
    return absent({Errc::kNotFound, std::string("look for cpufreq policies in ") + kFolder + ": none",
                   "virtual machines have no CPU clocks to set; on bare metal, load a cpufreq driver"});
  }
  const auto model = read_nvpmodel(host.files);
  const PowerMode* const mode = model ? model->in_force() : nullptr;
  bool capped = false;
  for (auto& policy : policies) capped = (mode != nullptr && keep_to_power_mode(host.files, *mode, policy)) || capped;
  Parameter parameter{.name = "cpu_hz",
                      .unit = "Hz",
                      .role = Role::kComputeClock,
                      .levels = levels_of(policies),
                      .help = "highest clock of all CPUs (scaling_max_freq); levels below the present scaling_min_freq are left out"};
  if (capped) parameter.help += ", as are those that power mode " + mode->label() + " does not allow";
  KnobDiscovery found;
  found.knobs.push_back(std::make_unique<CpuFrequency>(host.files, std::move(policies), std::move(parameter)));
  return found;
}

}  // namespace

namespace knob_driver {
extern const KnobDriver cpufreq;
constinit const KnobDriver cpufreq{.name = "cpufreq", .summary = "highest clock of all CPUs (cpufreq policies)", .discover = discover};
}  // namespace knob_driver
}  // namespace polythrottle
