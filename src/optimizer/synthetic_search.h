#pragma once
// For tests and benchmarks: a space, a made-up machine that answers for every setting, and the history of a search on it.

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "optimizer/optimizer.h"

namespace polythrottle {

inline Parameter knob(std::string name, std::vector<double> levels, Role role = Role::kOther) {
  return {std::move(name), "", role, std::vector<Value>(levels.begin(), levels.end()), "a knob of the tests"};
}

inline Parameter category(std::string name, std::vector<std::string> labels) {
  return {std::move(name), "", Role::kCategory, std::vector<Value>(labels.begin(), labels.end()), "labels without order"};
}

/// `count` levels from 1 / count to 1.
inline Parameter clock_knob(std::string name, int count, Role role = Role::kComputeClock) {
  std::vector<double> levels;
  for (int i = 1; i <= count; ++i) levels.push_back(static_cast<double>(i) / count);
  return knob(std::move(name), std::move(levels), role);
}

inline Outcome completed(Metrics metrics) { return {TrialState::kCompleted, {}, std::move(metrics), {}, {}}; }
inline Outcome ended(TrialState state) { return {state, {}, {}, "made up", {}}; }

inline Outcome measured(double energy, double latency) {
  Metrics metrics;
  metrics[std::string(kEnergy)] = {energy, 0.01 * energy, 100, {}};
  metrics[std::string(kLatencyMean)] = {latency, 0.005 * latency, 100, {}};
  return completed(std::move(metrics));
}

/// Time on two clocks and power that grows with their squares: a bowl in energy, a wall in latency. Knobs it does not know count as 1.
inline Outcome machine(const Config& config) {
  const double gpu = config.number("gpu").value_or(1.0), mem = config.number("mem").value_or(1.0),
               batch = config.number("batch").value_or(1.0);
  const double seconds = (0.3 + 0.7 * batch) * (0.012 / gpu + 0.006 / mem) + 0.002;
  const double watts = 4.0 + 16.0 * gpu * gpu * gpu + 5.0 * mem * mem;
  return measured(watts * seconds / batch, seconds);
}

class SyntheticSearch {
 public:
  using Machine = std::function<Outcome(const Config&)>;

  explicit SyntheticSearch(Space space, Machine answers = machine, std::vector<Constraint> constraints = {}, std::uint64_t seed = 0)
      : reference(space.config(static_cast<CandidateId>(space.size() - 1))),
        space_(std::move(space)),
        machine_(std::move(answers)),
        constraints_(std::move(constraints)),
        seed_(seed) {}

  Objective objective;
  Config reference;  ///< at first the last candidate
  SearchOptions search;
  std::vector<Trial> history;

  const Space& space() const { return space_; }
  Problem problem() const { return {space_, objective, constraints_, reference, seed_, search}; }
  Advice ask(Optimizer& optimizer) const { return optimizer.ask(problem(), history).value(); }

  /// Appends a trial with the machine's answer, or with the outcome given.
  void add(const Config& config, Advice::Kind kind = Advice::Kind::kTry) { add(config, kind, machine_(config)); }
  void add(const Config& config, Advice::Kind kind, Outcome outcome) {
    Trial trial;
    trial.id = static_cast<TrialId>(history.size()) + 1;
    trial.state = outcome.state;
    trial.advice = {kind, config, "", {}};
    trial.asked = config;
    trial.outcome = std::move(outcome);
    history.push_back(std::move(trial));
  }

  /// Asks and measures until the optimizer stops or `trials` are done; what was advised, the stop included.
  std::vector<Advice> run(Optimizer& optimizer, std::size_t trials) {
    std::vector<Advice> advices;
    while (advices.size() < trials) {
      advices.push_back(ask(optimizer));
      if (advices.back().kind == Advice::Kind::kStop) break;
      add(advices.back().config, advices.back().kind);
    }
    return advices;
  }

 private:
  Space space_;
  Machine machine_;
  std::vector<Constraint> constraints_;
  std::uint64_t seed_;
};

inline Space clock_space(int gpu_levels = 8, int mem_levels = 5) {
  return Space::product({clock_knob("gpu", gpu_levels), clock_knob("mem", mem_levels, Role::kMemoryClock)}).value();
}

inline Constraint mean_latency_at_most(double seconds) { return {std::string(kLatencyMean), Bound::kAtMost, seconds}; }

}  // namespace polythrottle
