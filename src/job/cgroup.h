#pragma once
// Control groups for one job: to freeze it, and to limit its memory and CPU time. Versions 1 and 2, also both at once.

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/host.h"

namespace polythrottle::job {

struct GroupWishes {
  bool freezer = false;
  std::optional<double> memory_bytes;
  std::optional<double> cpus;
};

/// The groups of one job, made below our own group or the nearest above it that we may use. Removed with it, once they are empty.
/// Source: Linux Documentation/admin-guide/cgroup-v2.rst (cgroup.freeze, memory.max, cpu.max), cgroup-v1/freezer-subsystem.rst,
/// cgroup-v1/memory.rst, scheduler/sched-bwc.rst.
class JobGroup {
 public:
  /// What cannot be had is left out, see the questions below; with nothing to be had no group is made. `name` is new. The files outlive it.
  static JobGroup make(Files& files, const GroupWishes& wishes, const std::string& name);
  /// Why there is no freezer: kUnsupported, kPermission. Makes a group and removes it again.
  static Status can_freeze(Files& files);

  JobGroup(JobGroup&& other) noexcept;
  JobGroup& operator=(JobGroup&&) = delete;
  ~JobGroup();

  bool freezes() const { return !freeze_file_.empty(); }
  bool limits_memory() const { return limits_memory_; }
  bool limits_cpus() const { return limits_cpus_; }
  /// Why it does not freeze.
  const Error& no_freezer() const { return no_freezer_; }

  /// Stops all in it, and waits until they are. Errors: kTimeout where one does not within `patience` (it waits for a device); kIo.
  Status freeze(Clock& clock, Seconds patience);
  Status thaw();

  /// A process that writes "0" to each of these is in. The folders are what to remove when it is empty.
  const std::vector<std::string>& entrances() const { return entrances_; }
  const std::vector<std::string>& folders() const { return folders_; }
  /// What to write where for `thaw`; "" without a freezer.
  const std::string& freeze_file() const { return freeze_file_; }
  const char* thaw_text() const { return version_ == 2 ? "0" : "THAWED"; }
  /// Processes in it now.
  std::vector<long long> members() const;
  void remove();

 private:
  explicit JobGroup(Files& files) : files_(&files) {}
  Result<std::string> make_folder(const std::string& parent, const std::string& name);
  Status add_freezer(const std::string& own, const std::string& name);
  bool add_memory(const std::string& own, const std::string& name, double bytes);
  bool add_cpus(const std::string& own, const std::string& name, double cpus);

  Files* files_;
  int version_ = 0;  ///< of the freezer
  std::string freeze_file_, frozen_file_;
  bool limits_memory_ = false, limits_cpus_ = false;
  std::vector<std::string> entrances_, folders_;
  Error no_freezer_;
};

/// The group into which what we start for a job goes so that it does not hold open the group that the knob cpu_quota_ratio made for this
/// process (knob/cpu_quota.cc); "" where we are in none. A process that writes "0" to this file leaves it.
std::string way_out_of_quota(const Files& files);

}  // namespace polythrottle::job
