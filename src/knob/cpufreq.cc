// The highest clock the CPUs may run at: scaling_max_freq of the cpufreq policies, all together (cpu_hz) or, on request, each on its own
// (cpu0_hz, cpu4_hz ...), and on request turbo on or off (cpu_turbo). The governor is left as it is.
// Source: Linux Documentation/admin-guide/pm/cpufreq.rst, intel_pstate.rst, amd-pstate.rst; drivers/cpufreq of 4.9 and 6.1.
//
// The floor gives way to the ceiling: where somebody has pinned the clock (jetson_clocks, a TLP profile) both are one number, and a
// ceiling alone could not be lowered.
//
// What is read is what is in force. Firmware, heat or another program may hold a ceiling below what was asked for; the caller, who
// compares, then knows. A ceiling hidden behind such a limit when the machine is taken cannot be seen, and so not be given back either.

#include <algorithm>
#include <optional>
#include <set>
#include <sstream>

#include "knob/cpu_clocks.h"
#include "knob/knob.h"
#include "knob/nvpmodel.h"

namespace polythrottle {
namespace {

constexpr const char* kAll = "cpu_hz";
/// A machine with more clock domains has one for every CPU: nobody searches that many knobs.
constexpr std::size_t kMostSplit = 8;

class CpuLimit : public Knob {
 public:
  CpuLimit(Files& files, std::shared_ptr<CpuClocks> clocks, std::size_t at, Parameter parameter)
      : files_(files), clocks_(std::move(clocks)), at_(at), parameter_(std::move(parameter)) {}

  const Parameter& parameter() const override { return parameter_; }
  Result<Value> read() override { return clocks_->read(at_); }

  Result<Value> write(const Value& wanted) override {
    TRY_STATUS(clocks_->write({{parameter_.name, wanted}}));
    return read();
  }

  std::vector<std::string> paths() const override {
    std::vector<std::string> paths;
    for (const std::size_t place : clocks_->ceiling(at_).policies) {
      paths.push_back(clocks_->policies()[place].floor_path());
      paths.push_back(clocks_->policies()[place].ceiling_path());
    }
    return paths;
  }

  Result<std::vector<FoundNode>> found_nodes() override {
    std::vector<FoundNode> nodes;
    for (const std::size_t place : clocks_->ceiling(at_).policies) {
      if (auto found = append_found(files_, clocks_->policies()[place].band(), nodes); !found) {
        return tl::unexpected<Error>(explained(found.error()));
      }
    }
    return nodes;
  }

  /// Ceilings alone do not touch each other.
  KnobGroup* group() const override { return clocks_->turbo() ? clocks_.get() : nullptr; }

  bool by_request() const override { return parameter_.name != kAll; }

  ClockClaim claim() const override {
    Khz rounding = 0;
    for (const std::size_t place : clocks_->ceiling(at_).policies) rounding = std::max(rounding, clocks_->policies()[place].rounding());
    return {.slack = to_hertz(rounding)};
  }

  /// The highest clock over the policies that are online.
  Result<std::optional<Value>> actual() override {
    std::optional<Value> highest;
    for (const std::size_t place : clocks_->ceiling(at_).policies) {
      const auto khz = current_khz(files_, clocks_->policies()[place]);
      if (!khz && khz.error().code == Errc::kBusy) continue;
      if (!khz) return tl::unexpected<Error>(khz.error());
      if (*khz && (!highest || Value(to_hertz(**khz)) > *highest)) highest = Value(to_hertz(**khz));
    }
    return highest;
  }

 private:
  Files& files_;
  std::shared_ptr<CpuClocks> clocks_;
  std::size_t at_;
  Parameter parameter_;
};

class CpuTurbo : public Knob {
 public:
  CpuTurbo(Files& files, std::shared_ptr<CpuClocks> clocks)
      : files_(files),
        clocks_(std::move(clocks)),
        parameter_{.name = kCpuTurbo,
                   .unit = "",
                   .role = Role::kOther,
                   .levels = {0.0, 1.0},
                   .help = "1: the CPUs may run above their base clock (turbo, boost); " + clocks_->turbo()->path} {}

  const Parameter& parameter() const override { return parameter_; }
  Result<Value> read() override {
    TRY(const bool on, clocks_->turbo()->read(files_));
    return Value(on ? 1.0 : 0.0);
  }

  Result<Value> write(const Value& wanted) override {
    TRY_STATUS(clocks_->write({{kCpuTurbo, wanted}}));
    return read();
  }

  std::vector<std::string> paths() const override {
    std::vector<std::string> paths{clocks_->turbo()->path};
    for (const auto& policy : clocks_->policies()) {
      paths.push_back(policy.floor_path());
      paths.push_back(policy.ceiling_path());
    }
    return paths;
  }

  /// With the ceilings that the switch would undo.
  Result<std::vector<FoundNode>> found_nodes() override {
    TRY(std::string text, files_.read(clocks_->turbo()->path));
    std::vector<FoundNode> nodes{{clocks_->turbo()->path, std::move(text)}};
    for (std::size_t place = 0; place < clocks_->policies().size(); ++place) {
      if (clocks_->limited(place)) TRY_STATUS(append_found(files_, clocks_->policies()[place].band(), nodes));
    }
    return nodes;
  }

  KnobGroup* group() const override { return clocks_.get(); }
  bool by_request() const override { return true; }

 private:
  Files& files_;
  std::shared_ptr<CpuClocks> clocks_;
  Parameter parameter_;
};

/// A Jetson's power mode caps clusters by this very limit, for the sake of the board's supply: what is above it is left out of the table,
/// unless the limit was found there. Were any left out?
bool keep_to_power_mode(const Files& files, const PowerMode& mode, CpuPolicy& policy) {
  std::set<int> cpus;
  std::istringstream words(files.read(policy.folder + "/related_cpus").value_or(""));
  for (int cpu = 0; words >> cpu;) cpus.insert(cpu);
  const auto cap = mode.cpu_cap(cpus);
  const auto found = read_integer(files, policy.ceiling_path());
  if (!cap || !found || policy.table.empty()) return false;
  std::vector<double> table;
  for (const Khz khz : policy.table) table.push_back(to_hertz(khz));
  const double top = power_mode_ceiling(table, *cap, to_hertz(*found));
  return std::erase_if(policy.table, [&](Khz khz) { return to_hertz(khz) > top; }) > 0;
}

Parameter limit_parameter(const std::string& name, std::vector<Value> levels, const std::string& whose) {
  return {.name = name,
          .unit = "Hz",
          .role = Role::kComputeClock,
          .levels = std::move(levels),
          .help = "highest clock of " + whose + " (scaling_max_freq); a floor above it (scaling_min_freq) comes down with it"};
}

KnobDiscovery discover(Host& host) {
  KnobDiscovery found;
  auto policies = find_cpu_policies(host.files);
  if (!policies) {
    found.absent.push_back({kAll, policies.error()});
    return found;
  }
  if (!policies->resting.empty()) {
    auto& [number, why] = *policies->resting.begin();
    if (const auto more = policies->resting.size() - 1; more > 0) why.what += ", as of " + std::to_string(more) + " more";
    found.absent.push_back({"cpu" + std::to_string(number) + "_hz", std::move(why)});
  }
  const auto model = read_nvpmodel(host.files);
  const PowerMode* const mode = model ? model->in_force() : nullptr;
  bool capped = false;
  for (auto& policy : policies->policies) capped = (mode != nullptr && keep_to_power_mode(host.files, *mode, policy)) || capped;
  const auto turbo = find_turbo(host.files);
  if (!turbo) found.absent.push_back({kCpuTurbo, turbo.error(), true});
  const auto clocks =
      std::make_shared<CpuClocks>(host.files, std::move(policies->policies), turbo ? std::optional<TurboSwitch>(*turbo) : std::nullopt);
  const auto& each = clocks->policies();
  const auto add = [&](const std::string& name, const std::vector<std::size_t>& places, const std::string& whose) {
    std::vector<CpuPolicy> moved;
    for (const std::size_t place : places) moved.push_back(each[place]);
    const auto levels = ceilings_of(moved);
    const std::size_t at = clocks->add({.name = name, .policies = places, .levels = levels});
    Parameter parameter = limit_parameter(name, levels, whose);
    if (capped) parameter.help += "; levels that power mode " + mode->label() + " does not allow are left out";
    found.knobs.push_back(std::make_unique<CpuLimit>(host.files, clocks, at, std::move(parameter)));
  };
  std::vector<std::size_t> all;
  for (std::size_t place = 0; place < each.size(); ++place) all.push_back(place);
  add(kAll, all, "all CPUs");
  if (each.size() > kMostSplit) {
    found.absent.push_back({"cpuN_hz",
                            {Errc::kUnsupported,
                             "split cpu_hz: " + std::to_string(each.size()) + " policies, and a knob for each is more than can be searched",
                             "cpu_hz moves them all"},
                            true});
  } else if (each.size() > 1) {
    for (const std::size_t place : all) {
      const std::string number = std::to_string(each[place].number);
      add("cpu" + number + "_hz", {place}, "the CPUs of policy" + number + " alone");
    }
  }
  if (turbo) found.knobs.push_back(std::make_unique<CpuTurbo>(host.files, clocks));
  return found;
}

}  // namespace

namespace knob_driver {
extern const KnobDriver cpufreq;
constinit const KnobDriver cpufreq{.name = "cpufreq", .summary = "highest clock of all CPUs (cpufreq policies)", .discover = discover};
}  // namespace knob_driver
}  // namespace polythrottle
