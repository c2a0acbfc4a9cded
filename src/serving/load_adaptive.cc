#include "serving/load_adaptive.h"

#include <algorithm>

#include "serving/job_boost.h"

namespace polythrottle::serving {
namespace {

Cause cause_of(Alarm alarm) {
  switch (alarm) {
    case Alarm::kDrift: return Cause::kDrift;
    case Alarm::kHot: return Cause::kHot;
    case Alarm::kRival: return Cause::kRival;
  }
  return Cause::kDrift;
}

DecisionRecord record(Cause cause, const ServingState& state) {
  DecisionRecord about;
  about.act = Act::kRow;
  about.cause = cause;
  about.queued = state.queue.size();
  about.rate = state.arrivals.rate;
  return about;
}

}  // namespace

Result<std::unique_ptr<LoadAdaptive>> LoadAdaptive::make(LoadAdaptiveOptions options, Seconds slo) {
  TRY(auto table, LoadTable::make(options.costs, slo, options.model));
  return std::unique_ptr<LoadAdaptive>(new LoadAdaptive(std::move(options), slo, std::move(table)));
}

LoadAdaptive::LoadAdaptive(LoadAdaptiveOptions options, Seconds slo, LoadTable table)
    : options_(std::move(options)), slo_(slo), table_(std::move(table)), risk_(options_.risk) {}

void LoadAdaptive::answered(Time, std::optional<Seconds> lateness) { risk_.answered(lateness); }

void LoadAdaptive::alarm(Time, Alarm alarm) {
  if (!alarm_) alarm_ = alarm;
}

std::optional<RowChoice::Answer> LoadAdaptive::choose(const ServingState& state) {
  auto answer = decide(state);
  wake_ = next_look(state.now);
  return answer;
}

/// Without requests the rate falls and nothing says so: it is looked at once in a while, until the row is the one to rest in.
std::optional<Time> LoadAdaptive::next_look(Time now) const {
  if (asked_) return asked_at_ + options_.dwell;  // refused, perhaps
  if (alarm_ || boosted_) return std::nullopt;
  const std::size_t resting = table_.best(0.0, 1.0);
  if (resting == by_rate_) return std::nullopt;
  const Watts here = table_.power(by_rate_, 0.0), there = table_.power(resting, 0.0);
  if (!worth(here, there)) return std::nullopt;
  const Time due = std::max(settled_ + dwell(), risk_.calm_until());
  return due > now ? due : now + dwell();
}

Seconds LoadAdaptive::dwell() const { return std::max(options_.dwell, slo_ * 10.0); }

Joules LoadAdaptive::gain(Watts here, Watts there) const { return (here - there) * dwell() - options_.actuation_energy; }

bool LoadAdaptive::worth(Watts here, Watts there) const {
  return gain(here, there).si() > 0.0 && (here - there).si() >= options_.min_gain * here.si();
}

std::optional<RowChoice::Answer> LoadAdaptive::decide(const ServingState& state) {
  follow(state);
  if (alarm_) return to(state, 0, record(cause_of(*alarm_), state), switches_.alarm);

  const std::size_t safe = refuge(state);
  if (state.row != safe) {
    if (const auto danger = risk_.danger(state, table_)) {
      risk_.fell_back(state.now);
      settle(state.now, safe);
      boosted_ = false;
      DecisionRecord about = record(Cause::kSloAtRisk, state);
      about.predicted = danger->predicted;
      about.slack = danger->slack;
      return to(state, safe, about, switches_.risk);
    }
  }
  if (!risk_.calm(state.now)) {
    stronger(state);  // the rate may have grown beyond what the reference serves
    return to(state, by_rate_, why_, switches_.up);
  }

  stronger(state);
  cheaper(state);
  const bool may_change = !boosted_ || state.now - boost_settled_ >= options_.dwell;
  if (options_.boost && (may_change || state.jobs.empty() || !table_.serves(state.row, state.arrivals.rate, state.arrivals.dispersion))) {
    const auto boost = job_boost(state, table_, by_rate_, options_.enough, options_.actuation_energy, options_.min_gain);
    if (boost) {
      if (boost->row != state.row) boost_settled_ = state.now;
      boosted_ = true;
      DecisionRecord about = record(Cause::kJobEnergy, state);
      about.predicted = boost->cost.finish;
      if (boost->at_base) {
        about.bound = boost->at_base->finish;
        about.saves = boost->at_base->energy - boost->cost.energy;
      }
      return to(state, boost->row, about, switches_.jobs);
    }
    boosted_ = false;
  }
  if (boosted_) return std::nullopt;
  return to(state, by_rate_, why_, up_ ? switches_.up : switches_.down);
}

/// What the state says that the table was not made for.
void LoadAdaptive::follow(const ServingState& state) {
  if (!begun_) {
    begun_ = true;
    settle(state.now, state.row);
    why_ = record(Cause::kRate, state);
  }
  if (state.slo == slo_) return;
  // Where no row answers within the new SLO the old table goes on: its strongest row is the best there is, and risk leads to it.
  slo_ = state.slo;
  if (auto table = LoadTable::make(options_.costs, slo_, options_.model)) table_ = std::move(*table);
}

/// The reference, unless it cannot serve the rate and another row can serve more.
std::size_t LoadAdaptive::refuge(const ServingState& state) const {
  const ArrivalEstimate& arrivals = state.arrivals;
  return table_.serves(0, arrivals.rate, arrivals.dispersion) ? 0 : table_.strongest(arrivals.dispersion);
}

/// Up, at once, where the row serves the rate no longer with enough to spare.
void LoadAdaptive::stronger(const ServingState& state) {
  const double rate = state.arrivals.rate, dispersion = state.arrivals.dispersion;
  if (table_.serves(by_rate_, rate * options_.enough, dispersion)) return;
  const bool again = last_up_ && state.now - *last_up_ < dwell();
  const std::size_t row = again ? table_.strongest(dispersion) : table_.best(rate, dispersion, options_.plenty);
  if (row == by_rate_ || table_.highest_rate(row, dispersion) <= table_.highest_rate(by_rate_, dispersion)) return;
  last_up_ = state.now;
  settle(state.now, row);
  up_ = true;
  why_ = record(Cause::kRate, state);
}

/// Down, to what costs less, in its own time.
void LoadAdaptive::cheaper(const ServingState& state) {
  const double rate = state.arrivals.rate, dispersion = state.arrivals.dispersion;
  if (state.now - settled_ < dwell()) return;
  const std::size_t row = table_.best(rate, dispersion, options_.plenty);
  if (row == by_rate_ || !table_.serves(row, rate * options_.plenty, dispersion)) return;
  const Watts now = table_.power(by_rate_, rate), then = table_.power(row, rate);
  if (!worth(now, then)) return;
  settle(state.now, row);
  up_ = false;
  why_ = record(Cause::kRate, state);
  why_.saves = gain(now, then);
}

void LoadAdaptive::settle(Time now, std::size_t row) {
  by_rate_ = row;
  settled_ = now;
}

std::optional<RowChoice::Answer> LoadAdaptive::to(const ServingState& state, std::size_t row, DecisionRecord about, std::size_t& count) {
  if (row == state.row) {
    asked_.reset();
    return std::nullopt;
  }
  // Asked for and not in force: the machine refused it. It is asked again, but not at every request.
  if (asked_ == row && state.now - asked_at_ < options_.dwell) return std::nullopt;
  asked_ = row;
  asked_at_ = state.now;
  ++count;
  about.subject = row;
  return Answer{row, about};
}

}  // namespace polythrottle::serving
