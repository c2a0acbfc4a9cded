// The published adaptive policy (arXiv 2310.19991, section 5): while fine-tuning is pending, the largest inference batch whose predicted
// latency beside it meets the SLO; fine-tuning goes on iteration by iteration, or waits where no batch does; a request predicted to miss
// its deadline is dropped. Predictions are taken at their word: the paper speaks of no margin. It does not say how long a batch is filled;
// its next request starts at the completion of the one before (section 3), so what waits then runs, and nothing waits for more.

#include "serving/batcher.h"
#include "serving/pieces.h"
#include "serving/policy.h"

namespace polythrottle::serving {
namespace {

constexpr double kProbability = 0.5;

class Paper final : public Policy {
 public:
  explicit Paper(const PolicyOptions&) {}

  Decision decide(const ServingState& state) const override {
    const PendingJob* job = next_job(state);
    std::optional<interference::Step> step = state.step ? std::optional(state.step->work) : std::nullopt;
    if (!step && job != nullptr) step = interference::Step{job->spec->cost, pieces_now(*job).front()};
    BatchTimes times(state, kProbability, step);
    const bool pending = step.has_value();
    int cap = times.cap();
    while (pending && cap > 1 && times.beside(cap) > state.slo) --cap;

    BatchPlan plan = plan_batch(state, {.wait = false, .leave_room = false, .expects_steps = pending, .cap = cap}, times);
    Decision decision;
    decision.drops = std::move(plan.drops);
    decision.batch = plan.run;
    decision.wake = plan.wake;
    decision.about_batch = std::move(plan.about);
    if (job != nullptr && !state.step) {
      admit(state, *job, times, decision);
    } else {
      decision.about_step.act = Act::kHoldStep;
      decision.about_step.cause = Cause::kPaused;
    }
    return decision;
  }

 private:
  static void admit(const ServingState& state, const PendingJob& job, BatchTimes& times, Decision& decision) {
    DecisionRecord& about = decision.about_step;
    about.act = Act::kHoldStep;
    about.beside = state.batch.has_value();
    if (!state.predictor->calibrated()) {
      about.cause = Cause::kNotCalibrated;
      return;
    }
    // Is there a batch that meets the SLO, and the deadline of whoever waits first?
    const std::size_t gone = decision.drops.size() + static_cast<std::size_t>(decision.batch);
    const Time start = state.batch ? std::max(state.now, state.batch->expected_end) : state.now;
    about.predicted = about.bound = times.beside(1);
    about.slack = state.queue.size() > gone ? state.queue[gone].deadline - start : state.slo;
    if (*about.bound > state.slo || *about.bound > *about.slack) {
      about.cause = Cause::kRisk;
      return;
    }
    about.cause = Cause::kSlack;
    decision.job = job.id;
    decision.items = pieces_now(job).front();
  }
};

std::unique_ptr<Policy> make(const PolicyOptions& options) { return std::make_unique<Paper>(options); }

}  // namespace
}  // namespace polythrottle::serving

namespace polythrottle::serving_driver {

extern const serving::PolicyDriver paper;
constinit const serving::PolicyDriver paper{
    .name = "paper",
    .summary = "the published policy: fine-tunes while some batch is predicted to meet the SLO beside it",
    .make = serving::make};

}  // namespace polythrottle::serving_driver
