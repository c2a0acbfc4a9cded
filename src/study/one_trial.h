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
#include "study/cool_down.h"
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

  /// Celsius, before the first trial of the study: what a trial cools down to, as far as the plan allows time for it.
  void cool_down_to(std::optional<double> temperature) { start_temperature_ = temperature; }

  /// `history`: the trials before; `problem`: absent until the reference is measured.
  Outcome run(const Advice& advice, std::uint64_t seed, std::span<const Trial> history, const Problem* problem);

 private:
  struct Attempt;
  Outcome attempt(Attempt& trial);
  // one_trial_set.cc
  std::optional<Outcome> set(Attempt& trial);
  void cool_down(Attempt& trial);
  bool waited_for_clocks() const;
  std::string held_down_text() const;
  std::string running_here() const;
  // one_trial.cc
  Outcome measured(Attempt& trial, std::optional<Joules> spent_before);
  Outcome judged(Attempt& trial, const Result<Work>& work, const Result<WindowReading>& reading,
                 std::span<const std::optional<double>> counts, std::optional<std::size_t> from) const;
  Metrics sized(Attempt& trial, const Work& work, const WindowReading& reading, std::optional<std::size_t> from) const;
  Seconds block() const;
  Result<std::unique_ptr<Window>> open_window();
  // one_trial_proof.cc
  std::optional<Outcome> changed(const Attempt& trial) const;
  void prove(const Attempt& trial, Outcome& outcome) const;

  Device& device_;
  Lease* lease_;
  const Plan& plan_;
  std::stop_token stop_;
  Config set_to_;  ///< the lease's part of what was set last
  std::optional<double> start_temperature_;
  CoolDown cooling_;
};

}  // namespace polythrottle
