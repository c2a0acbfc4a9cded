// Ours. A step of fine-tuning begins only if, looking ahead over its whole length, the probability that any request misses its deadline
// because of it stays under a budget; the largest piece for which that holds. None begins while a batch runs: taking turns slows both down
// and costs the switches, so the batch has the device to itself as soon as the piece before it has ended. Batches wait to grow as long as
// the earliest deadline allows, because a larger batch leaves more of the device to fine-tuning.

#include <algorithm>
#include <array>

#include "base/stats.h"
#include "serving/batcher.h"
#include "serving/forecast.h"
#include "serving/pieces.h"
#include "serving/policy.h"

namespace polythrottle::serving {
namespace {

/// Where a look ahead holds, it is repeated with rarer arrivals, to say how small the risk is; these, as normal quantiles.
constexpr std::array kFurther = {3.0, 4.0};
/// Governors lower a clock within some tens of milliseconds.
constexpr Seconds kRest{0.1};

class Adaptive final : public Policy {
 public:
  explicit Adaptive(const PolicyOptions& options)
      : budget_(options.budget), quantile_(normal_quantile(1.0 - options.budget)), wait_(options.wait) {}

  Decision decide(const ServingState& state) const override {
    const std::optional<interference::Step> step = state.step ? std::optional(state.step->work) : std::nullopt;
    BatchTimes times(state, 1.0 - budget_, step);
    BatchPlan plan = plan_batch(state, {.wait = wait_}, times);
    Decision decision;
    decision.drops = std::move(plan.drops);
    decision.batch = plan.run;
    decision.wake = plan.wake;
    decision.about_batch = std::move(plan.about);
    // What changes the queue is carried out first; then it is asked again.
    if (state.step || state.jobs.empty() || !decision.drops.empty() || decision.batch > 0) return decision;
    admit(state, decision);
    return decision;
  }

  bool could_run(const ServingState& state, const JobSpec& job) const override {
    if (!state.predictor->calibrated() || !(state.arrivals.seconds > 0.0)) return true;
    ServingState free = state;  // the best there can be: nothing runs or waits
    free.queue = {};
    free.batch.reset();
    free.step.reset();
    free.applying.reset();
    free.rested = Seconds(0);
    for (free.row = 0; free.row < free.rows.size(); ++free.row) {
      BatchTimes times(free, 1.0 - budget_, interference::Step{job.cost, job.pieces.front()});
      const int cap = cap_with_room(free, times, false);
      if (deadlines_hold(free, {job.cost, job.pieces.back()}, quantile_, cap, times)) return true;
    }
    return false;
  }

 private:
  void admit(const ServingState& state, Decision& decision) const {
    const PendingJob* job = next_job(state);
    DecisionRecord& about = decision.about_step;
    about.act = Act::kHoldStep;
    about.beside = state.batch.has_value();
    about.budget = budget_;
    about.cause = job == nullptr                   ? Cause::kPaused
                  : !state.predictor->calibrated() ? Cause::kNotCalibrated
                  : state.applying                 ? Cause::kBetweenRows
                  : state.batch                    ? Cause::kAfterBatch
                                                   : Cause::kRisk;
    if (about.cause != Cause::kRisk) return;

    // Batches beside the largest piece are the slowest, so one table of times does for all.
    const std::span<const int> pieces = pieces_now(*job);
    const std::optional<interference::Step> largest = interference::Step{job->spec->cost, pieces.front()};
    BatchTimes times(state, 1.0 - budget_, largest);
    const int cap = cap_with_room(state, times, false);
    const auto holds = [&](int piece, double quantile) { return deadlines_hold(state, {job->spec->cost, piece}, quantile, cap, times); };
    const auto length = [&](int piece) { return state.predictor->step(state.in_force().speeds, {job->spec->cost, piece}, 0.0).mean; };

    // Where the smallest does not fit, none does.
    about.size = pieces.back();
    if (holds(pieces.back(), quantile_)) {
      // A step that ends a rest begins on clocks that nobody knows, so it is the smallest.
      if (state.rested < kRest) {
        about.size =
            *std::find_if(pieces.begin(), pieces.end(), [&](int piece) { return piece == pieces.back() || holds(piece, quantile_); });
      }
      about.cause = Cause::kSlack;
      about.risk = budget_;
      for (const double rarer : kFurther) {
        if (rarer <= quantile_) continue;
        if (!holds(about.size, rarer)) break;
        about.risk = 1.0 - normal_cdf(rarer);
      }
      decision.job = job->id;
      decision.items = about.size;
    } else {
      // Time alone can make room too: the rate seen falls while nothing comes.
      const Time again = state.now + state.slo / 4.0;
      decision.wake = decision.wake ? std::min(*decision.wake, again) : again;
    }
    about.predicted = length(about.size);
  }

  double budget_;
  double quantile_;
  bool wait_;
};

std::unique_ptr<Policy> make(const PolicyOptions& options) { return std::make_unique<Adaptive>(options); }

}  // namespace
}  // namespace polythrottle::serving

namespace polythrottle::serving_driver {

extern const serving::PolicyDriver adaptive;
constinit const serving::PolicyDriver adaptive{
    .name = "adaptive",
    .summary = "fine-tunes where the risk to every deadline, looked ahead over the step, stays under a budget",
    .make = serving::make};

}  // namespace polythrottle::serving_driver
