#pragma once
// One trial from the first write to its outcome: set, read back, warm up, measure, and ask the clocks whether it was so.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "knob/lease.h"
#include "meter/window.h"
#include "optimizer/optimizer.h"
#include "study/device.h"
#include "study/runner.h"
#include "study/watch.h"
#include "trial/trial.h"

namespace polythrottle {

/// The remark of a trial that was interrupted.
inline constexpr const char* kInterruptedNote = "interrupted";

/// Runs trials on one device, one after the other. Whatever goes wrong is an outcome: it never fails.
class OneTrial {
 public:
  /// `lease` holds the device's knobs; null where there are none. Everything outlives it.
  OneTrial(Device& device, Lease* lease, const Plan& plan, std::stop_token stop)
      : device_(device), lease_(lease), plan_(plan), stop_(std::move(stop)) {}

  /// `history`: the trials before; `problem`: absent until the reference is measured.
  Outcome run(const Advice& advice, std::uint64_t seed, std::span<const Trial> history, const Problem* problem);

 private:
  struct Attempt;
  Outcome attempt(Attempt& attempt);
  std::optional<Outcome> set(Attempt& attempt);
  Outcome measured(Attempt& attempt, std::optional<Joules> spent_before);
  Outcome judged(const Result<Work>& work, const Result<WindowReading>& reading, double events) const;
  std::optional<Outcome> changed(const Attempt& attempt) const;
  void prove(const Attempt& attempt, Outcome& outcome) const;
  Result<std::unique_ptr<Window>> open_window();
  double events_now() const;
  Budget budget(const Attempt& attempt) const;
  bool waited_to_cool() const;
  std::string held_down_text() const;
  std::string running_here() const;

  Device& device_;
  Lease* lease_;
  const Plan& plan_;
  std::stop_token stop_;
  Config set_to_;  ///< the lease's part of what was set last
};

}  // namespace polythrottle
