#include "serving/load_adaptive.h"

#include <algorithm>
#include <cmath>

#include "serving/job_boost.h"

namespace polythrottle::serving {
namespace {

constexpr double kFull = 0.95;   // of its time that `home` may be busy in full batches
constexpr double kFaster = 1.1;  // a row one flees to does full batches so many times as fast
constexpr double kBarred = 0.9;  // of the rate at which a row put the SLO at risk

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
  if (options.home >= options.costs.size()) return fail(Errc::kInvalid, "load-adaptive: the row to be in by default is not there");
  return std::unique_ptr<LoadAdaptive>(new LoadAdaptive(std::move(options), slo, std::move(table)));
}

LoadAdaptive::LoadAdaptive(LoadAdaptiveOptions options, Seconds slo, LoadTable table)
    : options_(std::move(options)), slo_(slo), table_(std::move(table)), risk_(options_.risk), bars_(options_.costs.size()) {}

void LoadAdaptive::answered(Time, std::optional<Seconds> lateness) { risk_.answered(lateness); }

void LoadAdaptive::alarm(Time, Alarm alarm) {
  if (!alarm_) alarm_ = alarm;
}

std::optional<RowChoice::Answer> LoadAdaptive::choose(const ServingState& state) {
  now_ = state.now;
  auto answer = decide(state);
  wake_ = next_look(state.now);
  return answer;
}

/// Without requests the rate falls and nothing says so: it is looked at once in a while, until the row is the one to rest in.
std::optional<Time> LoadAdaptive::next_look(Time now) const {
  if (asked_) return asked_at_ + options_.dwell;  // refused, perhaps
  if (alarm_ || boosted_) return std::nullopt;
  const std::size_t resting = table_.best(0.0, 1.0, options_.plenty);
  if (resting == by_rate_) return std::nullopt;
  if (!worth(by_rate_, resting, 0.0)) return std::nullopt;
  const Time due = std::max(settled_ + dwell(), risk_.calm_until());
  return due > now ? due : now + dwell();
}

Seconds LoadAdaptive::dwell() const { return std::max(options_.dwell, slo_ * 10.0); }

Joules LoadAdaptive::gain(Watts here, Watts there) const { return (here - there) * dwell() - options_.actuation_energy; }

bool LoadAdaptive::worth(std::size_t from, std::size_t to, double rate) const {
  // Measured at large batches alone: what it draws at a low rate is not known.
  if (from == options_.home && table_.max_batch(from) == 0) return false;
  const Watts here = table_.power(from, rate), there = table_.power(to, rate);
  const double least = from == options_.home ? options_.home_gain : options_.min_gain;
  return gain(here, there).si() > 0.0 && (here - there).si() >= least * here.si();
}

std::optional<RowChoice::Answer> LoadAdaptive::decide(const ServingState& state) {
  follow(state);
  if (alarm_) return to(state, 0, record(cause_of(*alarm_), state), switches_.alarm);
  if (auto safer = flee(state)) return safer;
  if (!risk_.calm(state.now)) {
    stronger(state);  // the rate may have grown beyond what the safer row serves
    return to(state, by_rate_, why_, switches_.up);
  }

  stronger(state);
  cheaper(state);
  const bool due = !boosted_ || state.now - boost_settled_ >= options_.dwell || state.jobs.empty() ||
                   !table_.serves(state.row, state.arrivals.rate, state.arrivals.dispersion);
  const bool late = !due && late_for_job(state);
  if (options_.boost && (due || late)) {
    const auto boost = job_boost(state, table_, by_rate_, options_.enough, options_.actuation_energy, options_.min_gain);
    // Nobody hurries to a row where the job would be late too.
    if (late && !(boost && boost->cost.in_time)) return std::nullopt;
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

/// Will a job end after its deadline in the row in force?
bool LoadAdaptive::late_for_job(const ServingState& state) const {
  if (std::none_of(state.jobs.begin(), state.jobs.end(), [](const PendingJob& job) { return job.spec->deadline.has_value(); }))
    return false;
  const auto cost = job_cost(state, table_, state.row, by_rate_);
  return cost && !cost->in_time;
}

/// What the state says that the table was not made for.
void LoadAdaptive::follow(const ServingState& state) {
  if (!begun_) {
    begun_ = true;
    // No change came before this one: only long enough to have seen some requests.
    settle(state.now - dwell() + slo_ * 3.0, state.row);
    why_ = record(Cause::kRate, state);
  }
  if (state.slo == slo_) return;
  // Where no row answers within the new SLO the old table goes on: its strongest row is the best there is, and risk leads to it.
  slo_ = state.slo;
  if (auto table = LoadTable::make(options_.costs, slo_, options_.model)) table_ = std::move(*table);
}

/// Does the row serve so many times the rate, as far as the model and what was seen of it tell?
bool LoadAdaptive::serves(std::size_t row, const ArrivalEstimate& arrivals, double headroom) const {
  // A bar lies a little below the rate at which the row failed.
  const Bar& bar = bars_[row];
  if (bar.until > now_ && arrivals.rate >= bar.rate) return false;
  if (row == options_.home) return table_.least_utilization(row, arrivals.rate) <= kFull;
  return table_.serves(row, arrivals.rate * headroom, arrivals.dispersion) && table_.serves(row, arrivals.rate, arrivals.dispersion);
}

/// Of those that serve it, the one of least power.
std::size_t LoadAdaptive::best(const ArrivalEstimate& arrivals, double headroom) const {
  std::optional<std::size_t> found;
  for (std::size_t row = 0; row < table_.rows(); ++row) {
    if (found && table_.power(row, arrivals.rate) >= table_.power(*found, arrivals.rate)) continue;
    if (serves(row, arrivals, headroom)) found = row;
  }
  return found.value_or(table_.strongest(arrivals.dispersion));
}

/// To a safer row, where the SLO is at risk in the one in force.
std::optional<RowChoice::Answer> LoadAdaptive::flee(const ServingState& state) {
  const auto danger = risk_.danger(state, table_, state.row == options_.home && options_.home != 0);
  if (!danger) return std::nullopt;
  const std::size_t safe = refuge(state);
  if (safe == state.row) return std::nullopt;
  cornered_ = !risk_.calm(state.now);
  bar(state);
  risk_.fell_back(state.now);
  settle(state.now, safe);
  boosted_ = false;
  why_ = record(Cause::kSloAtRisk, state);
  why_.predicted = danger->predicted;
  why_.slack = danger->slack;
  return to(state, safe, why_, switches_.risk);
}

/// What one row cannot do another often can, and the reference may cost twice as much. Where the risk stays, the reference; or the
/// strongest row, where the reference does not serve the rate.
std::size_t LoadAdaptive::refuge(const ServingState& state) const {
  const ArrivalEstimate& arrivals = state.arrivals;
  const auto load = [&](std::size_t row) {
    return row == options_.home ? table_.least_utilization(row, arrivals.rate) : table_.utilization(row, arrivals.rate);
  };
  const double steady = arrivals.rate * options_.enough;
  const std::size_t last = table_.serves(0, steady, arrivals.dispersion) ? 0 : table_.strongest(arrivals.dispersion);
  // Soon again: to the last resort, but once, or that and the rate would send the server to and fro.
  if (!risk_.calm(state.now)) return cornered_ ? state.row : last;
  if (load(options_.home) * kFaster <= load(state.row) && serves(options_.home, arrivals, 1.0)) return options_.home;
  std::size_t found = last;
  for (std::size_t row = 0; row < table_.rows(); ++row) {
    if (load(row) * kFaster > load(state.row) || !serves(row, arrivals, 1.0)) continue;
    if (table_.power(row, arrivals.rate) < table_.power(found, arrivals.rate)) found = row;
  }
  return found;
}

/// The row in force is not taken again for a while, at this rate or above, nor at a little less.
void LoadAdaptive::bar(const ServingState& state) {
  if (state.row == 0) return;
  Bar& bar = bars_[state.row];
  const Seconds forgiven(options_.risk.excess / std::max(options_.risk.allowed * state.arrivals.rate, 1e-9));
  const Seconds first = std::max(options_.risk.bar, forgiven);
  bar.length = std::min(options_.risk.longest_bar, bar.length > Seconds(0) ? bar.length * 2.0 : first);
  bar.until = state.now + bar.length;
  bar.rate = state.arrivals.rate * kBarred;
}

/// Up, at once, where the row serves the rate no longer with enough to spare.
void LoadAdaptive::stronger(const ServingState& state) {
  if (serves(by_rate_, state.arrivals, options_.enough)) return;
  const bool again = last_up_ && state.now - *last_up_ < dwell();
  // Who must go up again so soon aimed too low.
  const double headroom = 1.0 + (options_.plenty - 1.0) * std::exp2(again ? ups_ : 0);
  const std::size_t row = best(state.arrivals, headroom);
  const double rate = state.arrivals.rate;
  if (row == by_rate_ || table_.utilization(row, rate) >= table_.utilization(by_rate_, rate)) return;
  last_up_ = state.now;
  ups_ = again ? ups_ + 1 : 1;
  settle(state.now, row);
  up_ = true;
  why_ = record(Cause::kLoadRose, state);
}

/// Down, to what costs less, in its own time.
void LoadAdaptive::cheaper(const ServingState& state) {
  if (state.now - settled_ < dwell()) return;
  const std::size_t row = best(state.arrivals, options_.plenty);
  const double rate = state.arrivals.rate;
  if (row == by_rate_ || !serves(row, state.arrivals, options_.plenty) || !worth(by_rate_, row, rate)) return;
  why_ = record(Cause::kRate, state);
  why_.saves = gain(table_.power(by_rate_, rate), table_.power(row, rate));
  settle(state.now, row);
  up_ = false;
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
