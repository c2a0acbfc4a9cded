#pragma once
// For tests: cores to be tried, with each policy and with all kinds of rows, limits and predictors.

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string_view>
#include <vector>

#include "serving/core_driver.h"
#include "serving/fake_predictor.h"
#include "serving/policy.h"

namespace polythrottle::serving {

/// Decides anything that a policy may.
class RandomPolicy final : public Policy {
 public:
  explicit RandomPolicy(unsigned seed) : random_(seed) {}
  Decision decide(const ServingState& state) const override {
    Decision decision;
    decision.about_batch = {.act = Act::kWaitForMore, .cause = Cause::kRoomForMore};
    decision.about_step = {.act = Act::kHoldStep, .cause = Cause::kRisk};
    std::size_t left = state.queue.size();
    for (const Request& request : state.queue)
      if (below(20) == 0) {
        decision.drops.push_back({request.id, request.deadline < state.now ? Cause::kExpired : Cause::kHopeless});
        --left;
      }
    int most = state.in_force().max_batch;
    if (state.applying) most = std::min(most, state.rows[*state.applying].max_batch);
    most = std::min(most, static_cast<int>(left));
    if (!state.batch && most > 0 && below(2) == 0) {
      decision.batch = 1 + static_cast<int>(below(static_cast<unsigned>(most)));
      decision.about_batch = {.act = Act::kBatch, .cause = Cause::kWorthNoWait};
    }
    if (!state.step && below(2) == 0)
      for (const PendingJob& job : state.jobs)
        if (!job.paused)
          for (int piece : job.spec->pieces)
            if (job.step_left() % piece == 0 && !decision.job && below(3) == 0) {
              decision.job = job.id;
              decision.items = piece;
              decision.about_step = {.act = Act::kStep, .cause = Cause::kGreedy};
            }
    // Without a wake it would wait for ever where nothing runs.
    if (below(2) == 0 || (!state.batch && !state.step)) decision.wake = state.now + Seconds((1 + below(8)) / 64.0);
    return decision;
  }

 private:
  unsigned below(unsigned n) const { return static_cast<unsigned>(random_() % n); }
  mutable std::mt19937 random_;
};

/// Goes to any row at any time; after an alarm to the reference.
class RandomRows final : public RowChoice {
 public:
  explicit RandomRows(unsigned seed) : random_(seed) {}
  std::optional<Answer> choose(const ServingState& state) override {
    Answer answer{random_() % state.rows.size(), {.act = Act::kRow, .cause = Cause::kRate}};
    if (alarmed_) answer = {0, {.act = Act::kRow, .cause = Cause::kHot}};
    if (!alarmed_ && random_() % 4 != 0) return std::nullopt;
    alarmed_ = false;
    return answer;
  }
  void answered(Time, std::optional<Seconds>) override {}
  void alarm(Time, Alarm) override { alarmed_ = true; }

 private:
  std::mt19937 random_;
  bool alarmed_ = false;
};

inline CoreRules rules_of(std::string_view policy) {
  if (policy == "inference-only") return {.steps = false};
  if (policy == "greedy") return {.uncalibrated = true, .hopeless = false, .never_waits_for_ever = true};
  if (policy == "paper") return {};
  if (policy == "adaptive") return {.steps_beside_batches = false, .within_budget = true, .never_waits_for_ever = true};
  return {.uncalibrated = true, .any_drop = true, .never_waits_for_ever = true};
}

/// For the name of a test: "inference_only".
inline std::string policy_name(const testing::TestParamInfo<const char*>& policy) {
  std::string name = policy.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

/// A core with this policy ("random", or one of ours) and no choice of rows.
inline CoreDriver::Setup world_of(std::string_view policy, CoreOptions options, unsigned seed = 0, PolicyOptions policy_options = {}) {
  CoreDriver::Setup world;
  world.options = std::move(options);
  world.rules = rules_of(policy);
  if (policy == "random")
    world.policy = [seed] { return std::make_unique<RandomPolicy>(seed); };
  else
    world.policy = [driver = find_policy(policy).value(), policy_options] { return driver->make(policy_options); };
  world.predictor = [] { return std::make_unique<FakePredictor>(); };
  return world;
}

inline CoreDriver::Setup random_world(std::string_view policy, unsigned seed) {
  std::mt19937 random(seed + 1'000'000);
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  CoreOptions options;
  options.slo = Seconds(std::vector{0.125, 0.25, 0.5, 1.0, 4.0}[below(5)]);
  options.rows = {fake_row(1.0, 1 << below(5))};
  for (unsigned i = below(3); i > 0; --i) options.rows.push_back(fake_row(1.0 / (1 << below(3)), 1 + static_cast<int>(below(8))));
  options.row = below(static_cast<unsigned>(options.rows.size()));
  if (below(4) == 0) options.queue_limit = 1 + below(6);
  if (below(8) == 0) options.records = 1 + below(8);
  if (below(2) == 0) options.expected_rate = 1 << below(6);
  CoreDriver::Setup world = world_of(policy, options, seed, {.budget = below(2) ? 0.01 : 0.2, .wait = below(3) != 0});
  const bool has_co_runs = below(4) != 0;
  const double log_stddev = below(2) ? 0.0 : 0.03, beside_factor = below(3) ? 1.5 : 4.0;
  world.predictor = [=] {
    auto predictor = std::make_unique<FakePredictor>();
    predictor->has_co_runs = has_co_runs;
    predictor->log_stddev = log_stddev;
    predictor->beside_factor = beside_factor;
    return predictor;
  };
  if (options.rows.size() > 1 && below(4) != 0) world.rows = [seed] { return std::make_unique<RandomRows>(seed); };
  return world;
}

}  // namespace polythrottle::serving
