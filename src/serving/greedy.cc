// The published baseline: fine-tuning starts when it comes and asks nobody; a request is dropped only once it is past its deadline (arXiv
// 2310.19991, section 5, after Clipper and Nexus). Batches are formed as though no step ran.

#include "serving/batcher.h"
#include "serving/pieces.h"
#include "serving/policy.h"

namespace polythrottle::serving {
namespace {

constexpr double kProbability = 0.99;

class Greedy final : public Policy {
 public:
  explicit Greedy(const PolicyOptions& options) : wait_(options.wait) {}

  Decision decide(const ServingState& state) const override {
    const std::optional<interference::Step> none;
    BatchTimes times(state, kProbability, none);
    BatchPlan plan = plan_batch(state, {.wait = wait_, .drop_hopeless = false, .sees_steps = false}, times);
    Decision decision;
    decision.drops = std::move(plan.drops);
    decision.batch = plan.run;
    decision.wake = plan.wake;
    decision.about_batch = std::move(plan.about);
    const PendingJob* job = next_job(state);
    if (job != nullptr && !state.step) {
      decision.job = job->id;
      decision.items = pieces_now(*job).front();
      decision.about_step.cause = Cause::kGreedy;
    } else if (!state.jobs.empty()) {
      decision.about_step.act = Act::kHoldStep;
      decision.about_step.cause = Cause::kPaused;
    }
    return decision;
  }

 private:
  bool wait_;
};

std::unique_ptr<Policy> make(const PolicyOptions& options) { return std::make_unique<Greedy>(options); }

}  // namespace
}  // namespace polythrottle::serving

namespace polythrottle::serving_driver {

extern const serving::PolicyDriver greedy;
constinit const serving::PolicyDriver greedy{
    .name = "greedy", .summary = "fine-tunes whenever a job is pending; drops what is past its deadline", .make = serving::make};

}  // namespace polythrottle::serving_driver
