#include "job/cgroup.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string_view>
#include <utility>

namespace polythrottle::job {
namespace {

constexpr const char* kMount = "/sys/fs/cgroup";
constexpr long long kPeriodUs = 10'000;  ///< short against a step, so that a limited job runs evenly

/// The path of this process's group in /proc/self/cgroup: the line that names `controller`, "" for version 2's.
std::optional<std::string> own_group(const std::string& text, std::string_view controller) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string list = "," + line.substr(first + 1, second - first - 1) + ",";
    std::string path = line.substr(second + 1);
    if (controller.empty() ? line.starts_with("0::") : list.find("," + std::string(controller) + ",") != std::string::npos) return path;
  }
  return std::nullopt;
}

bool is_folder(const Files& files, const std::string& path) { return files.list(path).has_value(); }

std::string above(const std::string& path) { return path.substr(0, path.rfind('/')); }

/// The group that the knob cpu_quota_ratio makes for this process comes and goes; nothing is built on it.
bool is_quota_group(const std::string& folder) { return folder.ends_with("/polythrottle-" + std::to_string(::getpid())); }

/// The folder of the group this process is in, in the hierarchy mounted at `mount`. In a container the mount often *is* our group, while
/// /proc/self/cgroup names it as seen from outside.
std::string home_in(const Files& files, const std::string& mount, const std::string& group) {
  const std::string home = group == "/" || group.find("..") != std::string::npos ? mount : mount + group;
  if (!is_folder(files, home)) return mount;
  return is_quota_group(home) ? above(home) : home;
}

/// Version 1: the home in the hierarchy of this controller.
std::optional<std::string> home_1(const Files& files, const std::string& own, std::string_view controller) {
  const auto group = own_group(own, controller);
  if (!group) return std::nullopt;
  std::vector<std::string> names{std::string(controller)};
  if (controller == "cpu") names.insert(names.end(), {"cpu,cpuacct", "cpuacct,cpu"});
  for (const std::string& name : names) {
    const std::string mount = std::string(kMount) + "/" + name;
    if (is_folder(files, mount)) return home_in(files, mount, *group);
  }
  return std::nullopt;
}

/// Version 2: the group nearest to ours below which we may make one that has this controller ("" for any), and move processes into it.
std::optional<std::string> parent_2(const Files& files, const std::string& own, std::string_view controller) {
  const auto group = own_group(own, "");
  if (!group) return std::nullopt;
  for (const char* below : {"", "/unified"}) {
    const std::string mount = std::string(kMount) + below;
    if (!files.read(mount + "/cgroup.controllers")) continue;
    for (std::string folder = home_in(files, mount, *group);; folder = above(folder)) {
      std::istringstream words(files.read(folder + "/cgroup.subtree_control").value_or(""));
      bool offered = controller.empty();
      for (std::string word; words >> word;) offered = offered || word == controller;
      if (offered && files.writable(folder) && files.writable(folder + "/cgroup.procs")) return folder;
      if (folder.size() <= mount.size()) break;
    }
  }
  return std::nullopt;
}

}  // namespace

JobGroup::JobGroup(JobGroup&& other) noexcept
    : files_(other.files_),
      version_(other.version_),
      freeze_file_(std::move(other.freeze_file_)),
      frozen_file_(std::move(other.frozen_file_)),
      limits_memory_(other.limits_memory_),
      limits_cpus_(other.limits_cpus_),
      entrances_(std::move(other.entrances_)),
      folders_(std::exchange(other.folders_, {})),
      no_freezer_(std::move(other.no_freezer_)) {}

JobGroup::~JobGroup() { remove(); }

void JobGroup::remove() {
  for (const std::string& folder : folders_) (void)files_->remove_folder(folder);
  folders_.clear();
}

Result<std::string> JobGroup::make_folder(const std::string& parent, const std::string& name) {
  std::string folder = parent + "/" + name;
  // Version 2 has all controllers in one folder.
  if (std::find(folders_.begin(), folders_.end(), folder) != folders_.end()) return folder;
  TRY_STATUS(files_->make_folder(folder));
  folders_.push_back(folder);
  entrances_.push_back(folder + "/cgroup.procs");
  return folder;
}

Status JobGroup::add_freezer(const std::string& own, const std::string& name) {
  Error why{Errc::kUnsupported, "freeze a job: no freezer of control groups at " + std::string(kMount),
            "it takes cgroup v2 on Linux 5.2 or the v1 freezer; kind \"signal\" needs neither"};
  if (const auto parent = parent_2(*files_, own, "")) {
    if (const auto folder = make_folder(*parent, name); !folder) {
      why = folder.error();
    } else if (files_->writable(*folder + "/cgroup.freeze")) {
      version_ = 2;
      freeze_file_ = *folder + "/cgroup.freeze";
      frozen_file_ = *folder + "/cgroup.events";
      return {};
    }
  }
  if (const auto parent = home_1(*files_, own, "freezer")) {
    const auto folder = make_folder(*parent, name);
    if (folder && files_->writable(*folder + "/freezer.state")) {
      version_ = 1;
      freeze_file_ = frozen_file_ = *folder + "/freezer.state";
      return {};
    }
    if (!folder) why = folder.error();
  } else if (const auto group = own_group(own, ""); group && why.code == Errc::kUnsupported) {
    if (files_->read(std::string(kMount) + "/cgroup.controllers")) {
      why = {Errc::kPermission, "freeze a job: the control groups above this process may not be written to",
             "run as root, or as a systemd service with Delegate=yes; kind \"signal\" needs neither"};
    }
  }
  return tl::unexpected<Error>(std::move(why));
}

bool JobGroup::add_memory(const std::string& own, const std::string& name, double bytes) {
  const std::string text = std::to_string(std::llround(bytes));
  if (const auto parent = parent_2(*files_, own, "memory")) {
    const auto folder = make_folder(*parent, name);
    if (!folder || !files_->write(*folder + "/memory.max", text)) return false;
    // Otherwise the limit moves the rest to the disk; where there is no swap there is no such file. Out of memory, all of it ends.
    (void)files_->write(*folder + "/memory.swap.max", "0");
    (void)files_->write(*folder + "/memory.oom.group", "1");
    return true;
  }
  const auto parent = home_1(*files_, own, "memory");
  if (!parent) return false;
  const auto folder = make_folder(*parent, name);
  return folder && files_->write(*folder + "/memory.limit_in_bytes", text);
}

bool JobGroup::add_cpus(const std::string& own, const std::string& name, double cpus) {
  const long long quota = std::max(1000LL, std::llround(cpus * static_cast<double>(kPeriodUs)));  // the kernel's least is 1 ms
  if (const auto parent = parent_2(*files_, own, "cpu")) {
    const auto folder = make_folder(*parent, name);
    if (!folder || !files_->write(*folder + "/cpu.max", fmt::format("{} {}", quota, kPeriodUs))) return false;
    (void)files_->write(*folder + "/cpu.weight.nice", "19");  // a nice value does not count between groups
    return true;
  }
  const auto parent = home_1(*files_, own, "cpu");
  if (!parent) return false;
  const auto folder = make_folder(*parent, name);
  if (!folder || !files_->write(*folder + "/cpu.cfs_period_us", std::to_string(kPeriodUs))) return false;
  (void)files_->write(*folder + "/cpu.shares", "15");  // the weight of nice 19
  return files_->write(*folder + "/cpu.cfs_quota_us", std::to_string(quota)).has_value();
}

JobGroup JobGroup::make(Files& files, const GroupWishes& wishes, const std::string& name) {
  JobGroup out(files);
  const std::string own = files.read("/proc/self/cgroup").value_or("");
  if (wishes.freezer) {
    if (const auto added = out.add_freezer(own, name); !added) out.no_freezer_ = added.error();
  }
  out.limits_memory_ = wishes.memory_bytes && out.add_memory(own, name, *wishes.memory_bytes);
  out.limits_cpus_ = wishes.cpus && out.add_cpus(own, name, *wishes.cpus);
  return out;
}

Status JobGroup::can_freeze(Files& files) {
  static int probes = 0;
  const JobGroup probe = make(files, {.freezer = true}, fmt::format("polythrottle-probe-{}-{}", ::getpid(), ++probes));
  if (probe.freezes()) return {};
  return tl::unexpected<Error>(probe.no_freezer());
}

Status JobGroup::freeze(Clock& clock, Seconds patience) {
  TRY_STATUS(files_->write(freeze_file_, version_ == 2 ? "1" : "FROZEN"));
  const auto until = clock.now() + patience;
  for (Seconds nap{0.00005};; nap = std::min(2.0 * nap, Seconds(0.002))) {
    TRY(const std::string state, files_->read(frozen_file_));
    if (version_ == 2 ? state.find("frozen 1") != std::string::npos : state.starts_with("FROZEN")) return {};
    if (clock.now() >= until) return fail(Errc::kTimeout, "freeze the job: one of its processes does not stop");
    clock.sleep_until(clock.now() + nap);
    // Version 1 goes on freezing those that were busy in the kernel when it is told again.
    if (version_ == 1) TRY_STATUS(files_->write(freeze_file_, "FROZEN"));
  }
}

Status JobGroup::thaw() { return files_->write(freeze_file_, thaw_text()); }

std::vector<long long> JobGroup::members() const {
  std::vector<long long> out;
  if (entrances_.empty()) return out;
  std::istringstream lines(files_->read(entrances_.front()).value_or(""));
  for (long long pid = 0; lines >> pid;) out.push_back(pid);
  return out;
}

std::string way_out_of_quota(const Files& files) {
  const std::string own = files.read("/proc/self/cgroup").value_or("");
  for (const char* controller : {"cpu", ""}) {
    const auto group = own_group(own, controller);
    if (!group || !is_quota_group(*group)) continue;
    for (const char* mount : {"", "/cpu", "/cpu,cpuacct", "/cpuacct,cpu", "/unified"}) {
      const std::string folder = kMount + std::string(mount) + *group;
      if (is_folder(files, folder)) return above(folder) + "/cgroup.procs";
    }
  }
  return {};
}

}  // namespace polythrottle::job
