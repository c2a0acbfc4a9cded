#pragma once
// A number that grows with the energy that passed, and what can be wrong with it.

#include <optional>
#include <string>

#include "host/host.h"

namespace polythrottle {

/// Where an energy counter is read, and what its number means.
struct CounterTraits {
  std::string path;                ///< of a file with one decimal integer
  double joules_per_count = 1e-6;  ///< a hwmon or powercap file counts microjoules
  /// Counts after which it starts again from 0, as the kernel says it. 0: nobody says; then 32 bits are believed where they explain a step
  /// back, as in hwmon drivers that hand on a register, and on 32-bit kernels, where the number turns negative on the way.
  double range = 0.0;
  double step_joules = 0.0;  ///< by how much the hardware counts at least; 0: not known
  double most_watts = 2000;  ///< above what it can measure, also for a moment: more than this is not energy but a broken counter
  Seconds refresh{1e-3};     ///< how often the hardware renews it
};

/// Follows one counter. Not safe from several threads.
class Counter {
 public:
  explicit Counter(CounterTraits traits) : traits_(std::move(traits)) {}
  const CounterTraits& traits() const { return traits_; }

  /// What it shows now, in counts. Errors: those of `read_integer`.
  Result<long long> look(const Files& files) const { return read_integer(files, traits_.path); }
  /// Begins at `count`.
  void start(long long count, Clock::TimePoint at);
  /// Joules since the last `book` or `start`, a wrap undone; books nothing. Errors: kCorrupt where it went back by something that is no
  /// wrap, or forward by more than can have passed.
  Result<double> since(long long count, Clock::TimePoint at) const;
  /// Goes on from `count`, whatever happened before.
  void book(long long count, Clock::TimePoint at);
  /// kCorrupt where it has shown the same number for so long that it stands still: two seconds (30 where its step is not known and may be
  /// coarse), or 20 refresh periods if that is longer.
  Status moving(long long count, Clock::TimePoint at) const;

  /// A gap in which it may have wrapped more often than it shows; its energy is then unknown by multiples of `wrap_joules`.
  bool may_have_wrapped_unseen(Clock::TimePoint at) const;
  /// Energy of one wrap, J; infinite where it is known to be too wide to wrap.
  double wrap_joules() const;
  /// How often it must be read so that no wrap is missed; 0: no need.
  Seconds read_within() const;
  /// 1 standard deviation of one reading: it is as old as its last renewal, uniform within a refresh period, and a step wide. The power is
  /// that of the last bookings.
  double edge_joules() const;

 private:
  CounterTraits traits_;
  long long last_ = 0;
  Clock::TimePoint last_at_{};
  Clock::TimePoint moved_at_{};  ///< when it was last seen to show another number
  Clock::TimePoint power_since_{};
  double power_joules_ = 0.0;    ///< since then
  std::optional<double> watts_;  ///< over the stretch before
  bool wide_ = false;            ///< it showed more than 32 bits hold
};

/// How often the numbers of a counter change, seen by reading it for at most `patience`; nullopt where it did not change three times.
/// A shorter period than the distance of two reads cannot be seen: then the answer is that distance.
std::optional<Seconds> observed_refresh(const Host& host, const std::string& path, Seconds patience);

}  // namespace polythrottle
