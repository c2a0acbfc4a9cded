// No fine-tuning at all: what the others are measured against.

#include "serving/batcher.h"
#include "serving/policy.h"

namespace polythrottle::serving {
namespace {

/// Of the bound on a batch's latency that is held against deadlines.
constexpr double kProbability = 0.99;

class InferenceOnly final : public Policy {
 public:
  explicit InferenceOnly(const PolicyOptions& options) : wait_(options.wait) {}

  Decision decide(const ServingState& state) const override {
    const std::optional<interference::Step> step = state.step ? std::optional(state.step->work) : std::nullopt;
    BatchTimes times(state, kProbability, step);
    BatchPlan plan = plan_batch(state, {.wait = wait_}, times);
    Decision decision;
    decision.drops = std::move(plan.drops);
    decision.batch = plan.run;
    decision.wake = plan.wake;
    decision.about_batch = std::move(plan.about);
    decision.about_step.act = Act::kHoldStep;
    decision.about_step.cause = Cause::kNeverBeside;
    return decision;
  }

 private:
  bool wait_;
};

std::unique_ptr<Policy> make(const PolicyOptions& options) { return std::make_unique<InferenceOnly>(options); }

}  // namespace
}  // namespace polythrottle::serving

namespace polythrottle::serving_driver {

extern const serving::PolicyDriver inference_only;
constinit const serving::PolicyDriver inference_only{
    .name = "inference-only", .summary = "serves and never fine-tunes; jobs wait", .make = serving::make};

}  // namespace polythrottle::serving_driver
