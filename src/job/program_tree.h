#pragma once
// A job's program with everything that it starts, wherever that goes: started, held, let, ended as one.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "host/host.h"
#include "job/cgroup.h"
#include "job/job.h"
#include "job/user.h"

namespace polythrottle::job {

/// Used by one thread at a time; any thread may end meanwhile. Nothing of the tree outlives this process, however that ends: a supervisor
/// of ours stands between (supervisor.h).
class ProgramTree {
 public:
  struct Options {
    enum class Hold { kFreezer, kSignals, kBest } hold = Hold::kBest;  ///< kFreezer fails without one, kBest then takes signals
    std::map<std::string, std::string> environment{};                  ///< added to that of the spec
    std::vector<std::string> files{}, folders{};                       ///< to remove when it has ended, also if we have ended before
  };

  /// Starts the spec's command in its folder, else in `folder`, which is made and given to the job's user. Output is appended to `output`,
  /// which is made where there is none. Errors: kNotFound, kPermission, kIo; kUnsupported without a freezer where it must be one.
  static Result<std::unique_ptr<ProgramTree>> start(const Spec& spec, const std::string& folder, const std::string& output,
                                                    const Options& options);
  /// As `stop`.
  ~ProgramTree();

  /// How it ended: exit code, or 128 + the signal's number; nullopt while it lives. Then nothing of it is left.
  std::optional<int> ended();
  /// Readable once it has ended.
  int end() const { return control_; }
  /// Stops all of it. Errors: kTimeout where one process does not stop within a second.
  Status hold();
  /// Lets all of it go on.
  Status let();
  /// SIGKILL to all, soon; from any thread.
  void cut() const;
  /// SIGTERM to all; what is left after `grace` gets SIGKILL.
  void stop(Seconds grace);
  /// How it is held, and what limits it: for people.
  std::string limits() const;

 private:
  ProgramTree(std::unique_ptr<Files> files, JobGroup group, bool freezer)
      : files_(std::move(files)), group_(std::move(group)), freezer_(freezer) {}
  Status hold_by_signals();
  void signal_all(int number);
  void clean_up_after_supervisor();
  bool wait_for_end(Seconds patience);

  std::unique_ptr<Files> files_;
  std::unique_ptr<Clock> clock_ = real_clock();
  JobGroup group_;
  bool freezer_;
  pid_t supervisor_ = -1, program_ = -1;
  int control_ = -1;
  std::optional<int> ended_;
  std::string limits_;
};

/// As whom jobs run in this process. Errors: those of job_user.
Result<std::optional<User>> current_job_user();

}  // namespace polythrottle::job
