#pragma once
// The outside world. No code opens a file of the system, asks the time or sleeps except through this: the whole program runs on a
// fixture folder, or later on a simulated machine in virtual time, without knowing it.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace polythrottle {

/// Writes tried since the program started, and the time they took.
struct WriteTotals {
  std::uint64_t count = 0;
  Seconds time{0};
};

/// Files of the machine under test (/sys, /proc). Paths are absolute as on the real machine; an implementation may prefix a root.
/// Not for the user's own files (models, tables, studies). Safe from several threads.
class Files {
 public:
  virtual ~Files() = default;
  /// Whole content, as read (trailing newline kept). Errors: kNotFound, kPermission, kIo.
  virtual Result<std::string> read(const std::string& path) const = 0;
  /// One write(2) of `text` to an existing node; never creates one. Errors: as the kernel answers (see `system_error`).
  virtual Status write(const std::string& path, const std::string& text) = 0;
  /// Names (not paths) in a folder, sorted. Errors: kNotFound, kPermission.
  virtual Result<std::vector<std::string>> list(const std::string& folder) const = 0;
  /// mkdir(2) and rmdir(2), one level (a control group is made and removed like this). Errors: as the kernel answers.
  virtual Status make_folder(const std::string& path) = 0;
  virtual Status remove_folder(const std::string& path) = 0;
  /// Would a write to this file (or the making of something in this folder) be permitted? kNotFound, kPermission, or fine. Writes nothing.
  virtual Status writable(const std::string& path) const = 0;
  /// What `write` was asked for so far, refused writes included. Nothing where nobody counts.
  virtual WriteTotals written() const { return {}; }
};

/// A running periodic call; stops (and waits for a call in progress) when destroyed.
class Ticker {
 public:
  virtual ~Ticker() = default;
};

/// Time. `now` is monotone; only differences mean anything.
class Clock {
 public:
  using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Seconds>;
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  /// Seconds since the Unix epoch, for records that people read.
  virtual double wall_seconds() const = 0;
  /// CPU time (user and system, all threads) of this process since it started.
  virtual Seconds process_cpu() const = 0;
  virtual void sleep_until(TimePoint when) = 0;
  /// Calls `fn` every `period` on another thread (reality) or inside the advance of time (simulation).
  virtual std::unique_ptr<Ticker> every(Seconds period, std::function<void()> fn) = 0;
};

/// Does not own. Everything it points to outlives whoever got it.
struct Host {
  Files& files;
  Clock& clock;
};

/// Content of a one-value file without surrounding white space.
Result<std::string> read_trimmed(const Files& files, const std::string& path);
/// A decimal integer file. Errors: those of `read`, or kCorrupt with what was found.
Result<long long> read_integer(const Files& files, const std::string& path);
/// Logical CPUs that are online, from /sys/devices/system/cpu/online, or else the cpuN lines of /proc/stat. Errors: kNotFound, kCorrupt.
Result<int> online_cpus(const Files& files);

/// The machine we run on; `root` ("" for the real one) is put before every path, so that a fixture folder can stand in.
std::unique_ptr<Files> real_files(std::string root = {});
std::unique_ptr<Clock> real_clock();

}  // namespace polythrottle
