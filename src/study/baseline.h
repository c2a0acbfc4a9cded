#pragma once
// What a machine is before the first trial: its temperature, and the power it draws doing nothing.

#include <optional>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "base/units.h"
#include "journal/journal.h"
#include "study/device.h"
#include "trial/metric.h"

namespace polythrottle {

/// Measured once for a study, under the setting that was found: nothing was written yet, no workload runs. It is part of every joule of the
/// trials and is shown beside them; nothing is subtracted, for a program that leaves does not take it along.
struct Baseline {
  std::optional<double> temperature;   ///< Celsius, of the hottest thermal zone
  std::optional<Estimate> idle_watts;  ///< absent where it was not asked for, or could not be measured
  Seconds idle_time{0};                ///< over which that was
  std::string idle_failure;            ///< why it could not
};

/// Takes `idle` seconds if the device has a meter, else none. Never fails: what could not be measured is absent.
Baseline measure_baseline(Device& device, Seconds idle, const std::stop_token& stop);

/// As a fact of the study (fact::kBaseline), so that a resumed one keeps it. Errors: kCorrupt.
std::string to_fact(const Baseline& baseline);
Result<std::optional<Baseline>> baseline_of(const StudyFacts& facts);

}  // namespace polythrottle
