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
  /// The row that is best back to back. It is the one to be in where nothing speaks for another: it is left for `home_gain` of its power,
  /// or where requests were late there, but not because the model doubts that it serves the rate.
  std::size_t home = 0;
  RiskOptions risk;
  Seconds actuation{0.15};  ///< of a change of rows, as the driver measured it
  Joules actuation_energy;  ///< it costs, besides
  Seconds dwell{10};        ///< least time in a row before it is left for a cheaper one; at least ten SLOs are taken
  double enough = 1.05;     ///< a row that does not serve so many times the rate is left at once ...
  double plenty = 1.2;      ///< ... for one that serves so many times the rate
  double min_gain = 0.01;   ///< of the power, to be worth a change
  double home_gain = 0.03;  ///< of the power, to be worth leaving `home`: about what the model errs between rows
  bool boost = true;        ///< choose by the energy of pending jobs too
};

struct RowSwitches {
  std::size_t up = 0;     ///< kLoadRose
  std::size_t down = 0;   ///< kRate
  std::size_t jobs = 0;   ///< kJobEnergy
  std::size_t risk = 0;   ///< kSloAtRisk
  std::size_t alarm = 0;  ///< kDrift, kHot, kRival
  std::size_t total() const { return up + down + jobs + risk + alarm; }
};

/// In order of precedence: an alarm (for good: what the table says was measured on a machine that is no more), risk to the SLO, pending
/// jobs, the rate. Risk leads to `home`, or to the cheapest row that is faster, and if it lasts to the reference; the row that was fled
/// from is barred for a while, each time twice as long. It does not flap: a cheaper row is taken only after `dwell` and only where it
/// repays the change within one; a stronger one at once, and where that is not enough within a `dwell`, with twice the room to spare each
/// time. Tested under rates at random: at most four changes in a `dwell`.
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
  bool worth(std::size_t from, std::size_t to, double rate) const;
  bool late_for_job(const ServingState& state) const;
  void follow(const ServingState& state);
  std::optional<Answer> flee(const ServingState& state);
  bool serves(std::size_t row, const ArrivalEstimate& arrivals, double headroom) const;
  std::size_t best(const ArrivalEstimate& arrivals, double headroom) const;
  void bar(const ServingState& state);
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
  Time now_{0};            ///< of the last `choose`
  bool cornered_ = false;  ///< the last flight followed soon on another
  bool begun_ = false;
  std::size_t by_rate_ = 0;  ///< the row that the rate alone asks for
  Time settled_{0};          ///< when it became that
  std::optional<Time> last_up_;
  int ups_ = 0;  ///< within a dwell of each other
  struct Bar {
    Time until{0};
    Seconds length{0};
    double rate = 0.0;  ///< at which, and above which, the row is not taken
  };
  std::vector<Bar> bars_;  ///< by row
  DecisionRecord why_;     ///< of `by_rate_`
  bool up_ = false;        ///< it serves more than the one before
  bool boosted_ = false;
  Time boost_settled_{0};
  std::optional<Time> wake_;
  std::optional<std::size_t> asked_;  ///< the last answer ...
  Time asked_at_{0};                  ///< ... was given then
};

}  // namespace polythrottle::serving
