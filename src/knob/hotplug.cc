// How many CPUs are online. Only where it is asked for by name: taking a CPU away moves its work and its interrupts, and few gain by it.
//
// One CPU of every cpufreq policy stays: the files of a cluster without CPUs vanish or refuse, and its clock could be neither read nor
// given back. So clocks can be set whichever CPUs come or go after them, and in a restore the CPUs come back first. CPUs that were found
// offline stay so: the power mode took them. Of the others the highest number goes first. Sources: Linux
// Documentation/core-api/cpu_hotplug.rst, admin-guide/pm/cpufreq.rst (related_cpus); nvpmodel.conf of the Jetson TX2, where cpu0 has the
// file as well.

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <sstream>

#include "knob/knob.h"

namespace polythrottle {
namespace {

constexpr const char* kName = "cpu_cores";
constexpr const char* kCpus = "/sys/devices/system/cpu";

std::string online_path(int cpu) { return std::string(kCpus) + "/cpu" + std::to_string(cpu) + "/online"; }

class OnlineCpus : public Knob {
 public:
  /// `kept` CPUs are online and stay; `movable` ascends.
  OnlineCpus(Files& files, std::size_t kept, std::vector<int> movable, Parameter parameter)
      : files_(files), kept_(kept), movable_(std::move(movable)), parameter_(std::move(parameter)) {}

  const Parameter& parameter() const override { return parameter_; }

  Result<Value> read() override {
    std::size_t online = kept_;
    for (const int cpu : movable_) {
      TRY(const long long state, read_integer(files_, online_path(cpu)));
      if (state != 0) ++online;
    }
    return Value(static_cast<double>(online));
  }

  Result<Value> write(const Value& wanted) override {
    const auto& levels = parameter_.levels;
    if (std::find(levels.begin(), levels.end(), wanted) == levels.end()) {
      return fail(Errc::kOutOfRange, std::string("set ") + kName + " to " + to_text(wanted) + ": not one of its levels",
                  "the lowest is " + to_text(levels.front()) + ", the highest " + to_text(levels.back()));
    }
    const auto stay = static_cast<std::size_t>(std::get<double>(wanted)) - kept_;
    // First those that come, so that the work has somewhere to go.
    for (const bool online : {true, false}) {
      for (std::size_t i = 0; i < movable_.size(); ++i) {
        if ((i < stay) != online) continue;
        TRY(const long long state, read_integer(files_, online_path(movable_[i])));
        if ((state != 0) != online) TRY_STATUS(files_.write(online_path(movable_[i]), online ? "1" : "0"));
      }
    }
    return read();
  }

  std::vector<std::string> paths() const override {
    std::vector<std::string> paths;
    for (const int cpu : movable_) paths.push_back(online_path(cpu));
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
  Files& files_;
  std::size_t kept_;
  std::vector<int> movable_;
  Parameter parameter_;
};

std::optional<int> cpu_number(std::string_view name) {
  if (!name.starts_with("cpu")) return std::nullopt;
  name.remove_prefix(3);
  int number = 0;
  const auto [at, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (name.empty() || error != std::errc{} || at != name.data() + name.size()) return std::nullopt;
  return number;
}

/// The lowest CPU online of every policy; CPU 0 where there is none.
std::set<int> cpus_to_keep(const Files& files, const std::set<int>& online) {
  std::set<int> keep;
  const std::string folder = std::string(kCpus) + "/cpufreq";
  for (const auto& name : files.list(folder).value_or(std::vector<std::string>())) {
    std::istringstream words(files.read(folder + "/" + name + "/related_cpus").value_or(""));
    std::optional<int> first;
    for (int cpu = 0; words >> cpu;) {
      if (online.contains(cpu) && (!first || cpu < *first)) first = cpu;
    }
    if (first) keep.insert(*first);
  }
  if (keep.empty() && !online.empty()) keep.insert(*online.begin());
  return keep;
}

KnobDiscovery discover(Host& host) {
  const auto absent = [](Error why) {
    KnobDiscovery none;
    none.absent.push_back({kName, std::move(why)});
    return none;
  };
  const auto names = host.files.list(kCpus);
  if (!names && names.error().code != Errc::kNotFound) return absent(names.error());
  std::set<int> online;
  std::set<int> switchable;
  for (const auto& name : names.value_or(std::vector<std::string>())) {
    const auto cpu = cpu_number(name);
    if (!cpu) continue;
    const auto state = read_integer(host.files, online_path(*cpu));
    if (state && *state != 0) switchable.insert(*cpu);
    // A CPU that cannot be switched has no such file, and is online.
    if (state ? *state != 0 : state.error().code == Errc::kNotFound) online.insert(*cpu);
  }
  const std::set<int> keep = cpus_to_keep(host.files, online);
  std::vector<int> movable;
  for (const int cpu : switchable) {
    if (keep.contains(cpu)) continue;
    if (auto may = host.files.writable(online_path(cpu)); !may) {
      if (may.error().code == Errc::kPermission) may.error().hint = "run as root to take CPUs offline";
      return absent(may.error());
    }
    movable.push_back(cpu);
  }
  if (movable.empty()) {
    return absent({Errc::kNotFound, std::string("look for CPUs that can be taken offline in ") + kCpus + ": none", {}});
  }
  const std::size_t kept = online.size() - movable.size();
  Parameter parameter{.name = kName,
                      .unit = "",
                      .role = Role::kParallelism,
                      .levels = {},
                      .help = "CPUs online; of every cluster at least one stays, and those found offline are left so"};
  for (std::size_t count = std::max<std::size_t>(kept, 1); count <= online.size(); ++count) {
    parameter.levels.emplace_back(static_cast<double>(count));
  }
  KnobDiscovery found;
  found.knobs.push_back(std::make_unique<OnlineCpus>(host.files, kept, std::move(movable), std::move(parameter)));
  return found;
}

}  // namespace

namespace knob_driver {
extern const KnobDriver hotplug;
constinit const KnobDriver hotplug{
    .name = "hotplug", .summary = "number of CPUs online (CPU hotplug)", .discover = discover, .by_request = true, .order = 1};
}  // namespace knob_driver
}  // namespace polythrottle
