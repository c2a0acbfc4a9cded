// How much CPU time this process may use: the CFS bandwidth limit of a control group of our own, polythrottle-PID.
// Nothing of the machine is changed for others; the group is made at the first ratio below 1 and goes when the ratio is 1 again.
// Source: Linux Documentation/scheduler/sched-bwc.rst (v1: cpu.cfs_quota_us), admin-guide/cgroup-v2.rst (v2: cpu.max).

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <sstream>

#include "knob/knob.h"

namespace polythrottle {
namespace {

constexpr const char* kName = "cpu_quota_ratio";
constexpr const char* kMount = "/sys/fs/cgroup";
/// Short against an inference, so that a batch is slowed evenly instead of now and then held for a long time. The kernel takes a quota
/// of 1 ms at least: with a quarter of one CPU this period gives 2.5 ms.
constexpr long long kPeriodUs = 10'000;

/// Where our group goes and how it is spoken to.
struct Place {
  int version = 0;
  std::string parent;  ///< folder in which the group is made
  std::string home;    ///< folder of the group this process was found in
  double cpus = 0.0;   ///< what ratio 1 means
};

/// The path of this process's group in /proc/self/cgroup: the line whose controller list has `controller` ("" for version 2).
std::optional<std::string> own_group(const std::string& text, std::string_view controller) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::istringstream list(line.substr(first + 1, second - first - 1));
    std::string path = line.substr(second + 1);
    if (controller.empty() && second == first + 1 && line.starts_with("0:")) return path;
    for (std::string item; std::getline(list, item, ',');) {
      if (!controller.empty() && item == controller) return path;
    }
  }
  return std::nullopt;
}

class CpuQuota : public Knob {
 public:
  CpuQuota(Files& files, Place place, Parameter parameter)
      : files_(files),
        place_(std::move(place)),
        parameter_(std::move(parameter)),
        pid_(std::to_string(::getpid())),
        group_(place_.parent + "/polythrottle-" + pid_) {}

  /// The process is not left in a group that nobody looks after.
  ~CpuQuota() override { (void)lift(); }
  CpuQuota(const CpuQuota&) = delete;
  CpuQuota& operator=(const CpuQuota&) = delete;

  const Parameter& parameter() const override { return parameter_; }

  Result<Value> read() override {
    if (!made_) return Value(1.0);
    TRY(const std::string membership, files_.read("/proc/self/cgroup"));
    const auto group = own_group(membership, place_.version == 1 ? "cpu" : "");
    // Somebody who moved this process elsewhere took our limit off it.
    if (!group || !group->ends_with("/polythrottle-" + pid_)) return Value(1.0);
    TRY(const double quota, read_quota());
    return Value(quota);
  }

  Result<Value> write(const Value& wanted) override {
    const auto& levels = parameter_.levels;
    if (std::find(levels.begin(), levels.end(), wanted) == levels.end()) {
      return fail(Errc::kOutOfRange, std::string("set ") + kName + " to " + to_text(wanted) + ": not one of its levels",
                  "the levels are 0.25, 0.5, 0.75 and 1");
    }
    const double ratio = std::get<double>(wanted);
    if (ratio >= 1.0) {
      TRY_STATUS(lift());
      return read();
    }
    if (!made_) {
      TRY_STATUS(files_.make_folder(group_));
      made_ = true;
    }
    // The limit stands before the process enters, so that it never runs in a group without one.
    TRY_STATUS(write_quota(ratio));
    TRY_STATUS(files_.write(group_ + "/cgroup.procs", pid_));
    return read();
  }

  std::vector<std::string> paths() const override {
    std::vector<std::string> paths{group_, group_ + "/cgroup.procs", place_.home + "/cgroup.procs"};
    if (place_.version == 1) {
      paths.push_back(group_ + "/cpu.cfs_period_us");
      paths.push_back(group_ + "/cpu.cfs_quota_us");
    } else {
      paths.push_back(group_ + "/cpu.max");
    }
    return paths;
  }

  /// Only the folder survives a killed run.
  Result<std::vector<FoundNode>> found_nodes() override { return std::vector<FoundNode>{{group_, std::nullopt}}; }

 private:
  Status write_quota(double ratio) {
    const std::string quota = std::to_string(std::llround(ratio * place_.cpus * static_cast<double>(kPeriodUs)));
    if (place_.version == 2) return files_.write(group_ + "/cpu.max", quota + " " + std::to_string(kPeriodUs));
    // A new group has no quota, so that the period may be changed freely; afterwards it stays.
    TRY_STATUS(files_.write(group_ + "/cpu.cfs_period_us", std::to_string(kPeriodUs)));
    return files_.write(group_ + "/cpu.cfs_quota_us", quota);
  }

  /// The ratio in force in our group.
  Result<double> read_quota() const {
    long long quota = -1;
    long long period = 0;
    std::string path;
    if (place_.version == 1) {
      path = group_ + "/cpu.cfs_quota_us";
      TRY(quota, read_integer(files_, path));
      TRY(period, read_integer(files_, group_ + "/cpu.cfs_period_us"));
    } else {
      path = group_ + "/cpu.max";
      TRY(const std::string text, read_trimmed(files_, path));
      std::istringstream words(text);
      if (text.starts_with("max")) return 1.0;
      if (!(words >> quota >> period)) return fail(Errc::kCorrupt, "read " + path + ": \"" + text + "\"");
    }
    if (quota < 0) return 1.0;
    if (period <= 0) return fail(Errc::kCorrupt, "read " + path + ": a period of " + std::to_string(period) + " us");
    const double ratio = static_cast<double>(quota) / static_cast<double>(period) / place_.cpus;
    for (const auto& level : parameter_.levels) {
      // The quota is a whole number of microseconds; a level that was rounded to one is still that level.
      if (std::abs(std::get<double>(level) - ratio) * place_.cpus * static_cast<double>(period) <= 0.5) return std::get<double>(level);
    }
    return ratio;
  }

  /// Moves this process back and removes the group.
  Status lift() {
    if (!made_) return {};
    TRY_STATUS(files_.write(place_.home + "/cgroup.procs", pid_));
    if (const auto removed = files_.remove_folder(group_); !removed && removed.error().code != Errc::kNotFound) return removed;
    made_ = false;
    return {};
  }

  Files& files_;
  Place place_;
  Parameter parameter_;
  std::string pid_;
  std::string group_;
  bool made_ = false;
};

/// Version 1: below the group this process is in. There any group may have processes and children.
Result<Place> find_version_1(const Files& files, const std::string& membership, int online) {
  const auto group = own_group(membership, "cpu");
  if (!group) return fail(Errc::kNotFound, "look for the cpu controller in /proc/self/cgroup: it is not there");
  std::string mount;
  for (const char* name : {"cpu", "cpu,cpuacct", "cpuacct,cpu"}) {
    if (files.list(std::string(kMount) + "/" + name)) {
      mount = std::string(kMount) + "/" + name;
      break;
    }
  }
  if (mount.empty()) return fail(Errc::kNotFound, "look for the cpu controller's mount below " + std::string(kMount) + ": none");
  // In a container the mount often *is* our group, while /proc/self/cgroup names it as seen from outside.
  std::string home = *group == "/" ? mount : mount + *group;
  if (!files.list(home)) home = mount;
  TRY_STATUS(files.writable(home + "/cgroup.procs"));
  TRY_STATUS(files.writable(home));
  double cpus = online;
  const auto quota = read_integer(files, home + "/cpu.cfs_quota_us");
  const auto period = read_integer(files, home + "/cpu.cfs_period_us");
  // A child may not be promised more than its parent has.
  if (quota && period && *quota > 0 && *period > 0) {
    cpus = std::min(cpus, static_cast<double>(*quota) / static_cast<double>(*period));
  }
  return Place{.version = 1, .parent = home, .home = home, .cpus = cpus};
}

/// Version 2: below the root group, the one place where processes and children with controllers may stand side by side for sure.
Result<Place> find_version_2(const Files& files, const std::string& membership, int online) {
  const auto group = own_group(membership, "");
  const std::string mount = kMount;
  TRY(const std::string controllers, read_trimmed(files, mount + "/cgroup.subtree_control"));
  std::istringstream words(controllers);
  bool offered = false;
  for (std::string word; words >> word;) offered = offered || word == "cpu";
  if (!offered) {
    return fail(Errc::kUnsupported, "look for the cpu controller in " + mount + "/cgroup.subtree_control: it is not handed to child groups",
                "as root: echo +cpu > " + mount + "/cgroup.subtree_control");
  }
  if (!group || group->find("..") != std::string::npos) {
    return fail(Errc::kUnsupported, "look for the group of this process below " + mount + ": it is outside of what is mounted here");
  }
  const std::string home = *group == "/" ? mount : mount + *group;
  TRY_STATUS(files.writable(mount));
  TRY_STATUS(files.writable(mount + "/cgroup.procs"));
  TRY_STATUS(files.writable(home + "/cgroup.procs"));
  return Place{.version = 2, .parent = mount, .home = home, .cpus = static_cast<double>(online)};
}

Result<Place> find_place(const Files& files) {
  TRY(const int online, online_cpus(files));
  TRY(const std::string membership, files.read("/proc/self/cgroup"));
  // Which of the two holds the cpu controller: a v1 hierarchy names it in /proc/self/cgroup.
  if (own_group(membership, "cpu")) return find_version_1(files, membership, online);
  auto place = find_version_2(files, membership, online);
  if (!place && place.error().code == Errc::kNotFound) {
    place.error() = {Errc::kNotFound, "look for the cpu controller of control groups: none is mounted at " + std::string(kMount),
                     "mount cgroup2 there, or run outside of the sandbox"};
  }
  return place;
}

KnobDiscovery discover(Host& host) {
  KnobDiscovery found;
  auto place = find_place(host.files);
  if (!place) {
    if (place.error().code == Errc::kPermission) place.error().hint = "run as root to limit the CPU time of this process";
    found.absent.push_back({kName, std::move(place.error())});
    return found;
  }
  // It sets how fast the CPUs compute, on the average of a period, so that it stands where a clock would stand: more is faster.
  Parameter parameter{.name = kName,
                      .unit = "",
                      .role = Role::kComputeClock,
                      .levels = {0.25, 0.5, 0.75, 1.0},
                      .help = "CPU time this process may use, as a part of all online CPUs (own control group, period 10 ms; 1: no limit)"};
  found.knobs.push_back(std::make_unique<CpuQuota>(host.files, std::move(*place), std::move(parameter)));
  return found;
}

}  // namespace

namespace knob_driver {
extern const KnobDriver cpu_quota;
constinit const KnobDriver cpu_quota{
    .name = "cpu_quota", .summary = "CPU time of this process (control group, CFS bandwidth)", .discover = discover};
}  // namespace knob_driver
}  // namespace polythrottle
