#pragma once
// One fault at one numbered place of a run, so that tests can end or disturb a run everywhere. Where nobody asks for it, nothing of it is
// there: no decorator stands between the program and its files or its study.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "host/host.h"

namespace polythrottle {

/// Counts the points that a run passes, and acts at one of them. A point stands before and one after everything that lasts: each write to
/// the machine's files (`injected_files`) and each call of the study file that writes (`observed_journal`). All are counted together from
/// 1, so that a number is one place in the whole run, and the same one in every run that does the same. Safe from several threads.
///
/// As text, in the environment variable POLYTHROTTLE_INJECT:
///   count:FILE            writes a line for each point to FILE as it is passed: its number, "before" or "after", and what
///   kill:self@N           SIGKILL to this process at point N
///   kill:watchdog@N       SIGKILL to the watchdog of this run's lease at point N; nothing where there is none at that moment
///   kill:both@N           to the watchdog first, then to this process
///   fail:ERRNO@N          the write to a machine's file that point N stands before does nothing and answers that errno (EIO, EBUSY, ...);
///                         nothing at any other point
///   fail:ERRNO@N+         and so does every later one
class Injection {
 public:
  static constexpr const char* kVariable = "POLYTHROTTLE_INJECT";

  /// Errors: kInvalid with the forms there are; those of making FILE.
  static Result<std::unique_ptr<Injection>> parse(const std::string& text);
  /// What POLYTHROTTLE_INJECT asks for; null where it is not set. Removes it from the environment, so that no process we start has it. Call
  /// it before there are other threads. Errors: those of `parse`.
  static Result<std::unique_ptr<Injection>> take_from_environment();

  ~Injection();
  Injection(const Injection&) = delete;
  Injection& operator=(const Injection&) = delete;

  /// How to find the watchdog when it is to be killed: its pid, or 0 while there is none. Asked at the point itself.
  void set_watchdog(std::function<pid_t()> pid);
  /// Passes the next point, `what` being about to happen. The errno that it is to answer instead of happening, if it can; else 0.
  int before(const std::string& what);
  /// Passes the next point, `what` having happened.
  void after(const std::string& what);

 private:
  enum class Act { kCount, kKill, kFail };
  Injection() = default;
  bool pass(const char* side, const std::string& what);
  void kill_victims();

  Act act_ = Act::kCount;
  bool kills_watchdog_ = false, kills_self_ = false;
  int errno_ = 0;
  std::uint64_t at_ = 0;
  bool onward_ = false;  ///< every later one too
  int list_ = -1;        ///< descriptor of FILE

  std::mutex mutex_;
  std::uint64_t passed_ = 0;
  std::function<pid_t()> watchdog_;
};

/// `inner` with a point before and after every write, make_folder and remove_folder. `injection` outlives it.
std::unique_ptr<Files> injected_files(std::unique_ptr<Files> inner, Injection& injection);

}  // namespace polythrottle
