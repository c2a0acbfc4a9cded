#pragma once
// The row that costs least at the rate requests come, kept safe: back to the reference at once when the SLO is at risk or the measured
// table no longer holds.

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "serving/load_table.h"
#include "serving/row_choice.h"
#include "serving/slo_risk.h"

namespace polythrottle::serving {

struct LoadAdaptiveOptions {
  std::vector<RowCost> costs;  ///< one per row of the core, the first is the reference's
  LoadModel model;
  RiskOptions risk;
  Seconds actuation{0.15};  ///< of a change of rows, as the driver measured it
  Joules actuation_energy;  ///< it costs, besides
  Seconds dwell{10};        ///< least time in a row before it is left for a cheaper one; at least ten SLOs are taken
  double enough = 1.1;      ///< a row that does not serve so many times the rate is left at once ...
  double plenty = 1.3;      ///< ... for one that serves so many times the rate
  double min_gain = 0.01;   ///< of the power, to be worth a change
  bool boost = true;        ///< choose by the energy of pending jobs too
};

struct RowSwitches {
  std::size_t up = 0;     ///< kRate: to a row that serves more
  std::size_t down = 0;   ///< kRate: to a cheaper one
  std::size_t jobs = 0;   ///< kJobEnergy
  std::size_t risk = 0;   ///< kSloAtRisk
  std::size_t alarm = 0;  ///< kDrift, kHot, kRival
  std::size_t total() const { return up + down + jobs + risk + alarm; }
};

/// In order of precedence: an alarm (for good: what the table says was measured on a machine that is no more), risk to the SLO, pending
/// jobs, the rate. It does not flap: a cheaper row is taken only after `dwell` and only where it repays the change within one; a stronger
/// one at once, and the second time within a `dwell` that is the strongest of all. So there are at most four changes by rate in a `dwell`,
/// and those by risk at least RiskOptions::calm apart.
class LoadAdaptive final : public RowChoice {
 public:
  /// Errors: those of LoadTable::make, for `slo`.
  static Result<std::unique_ptr<LoadAdaptive>> make(LoadAdaptiveOptions options, Seconds slo);

  std::optional<Answer> choose(const ServingState& state) override;
  void answered(Time now, std::optional<Seconds> lateness) override;
  void alarm(Time now, Alarm alarm) override;
  /// While a cheaper row may be due: an idle server ends in the row of least idle power that repays the change.
  std::optional<Time> wake() const override { return wake_; }

  const RowSwitches& switches() const { return switches_; }

 private:
  LoadAdaptive(LoadAdaptiveOptions options, Seconds slo, LoadTable table);
  std::optional<Answer> decide(const ServingState& state);
  std::optional<Time> next_look(Time now) const;
  Seconds dwell() const;
  Joules gain(Watts here, Watts there) const;
  bool worth(Watts here, Watts there) const;
  void follow(const ServingState& state);
  std::size_t refuge(const ServingState& state) const;
  void stronger(const ServingState& state);
  void cheaper(const ServingState& state);
  void settle(Time now, std::size_t row);
  std::optional<Answer> to(const ServingState& state, std::size_t row, DecisionRecord about, std::size_t& count);

  LoadAdaptiveOptions options_;
  Seconds slo_;
  LoadTable table_;
  SloRisk risk_;
  RowSwitches switches_;
  std::optional<Alarm> alarm_;
  bool begun_ = false;
  std::size_t by_rate_ = 0;  ///< the row that the rate alone asks for
  Time settled_{0};          ///< when it became that
  std::optional<Time> last_up_;
  DecisionRecord why_;  ///< of `by_rate_`
  bool up_ = false;     ///< it serves more than the one before
  bool boosted_ = false;
  Time boost_settled_{0};
  std::optional<Time> wake_;
  std::optional<std::size_t> asked_;  ///< the last answer ...
  Time asked_at_{0};                  ///< ... was given then
};

}  // namespace polythrottle::serving
