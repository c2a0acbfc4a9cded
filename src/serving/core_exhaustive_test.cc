// Every order of a few events, for each policy: a small model check. Two orders that lead to the same state are followed once.

#include <gtest/gtest.h>

#include <set>

#include "serving/core_driver.h"
#include "serving/core_worlds.h"

namespace polythrottle::serving {
namespace {

using Events = std::vector<Event>;

// Times are multiples of 1/32 s, as those of the fake predictor, so that deadlines, ends and events meet exactly.
const std::vector<Event> kAlphabet = {
    {Happens::kNext, 0.0, 0},                                              // whatever comes next by time
    {Happens::kArrive, 0.0, 0},                                            // with the SLO
    {Happens::kArrive, 1.0 / 32, 4},                                       // with a quarter of it
    {Happens::kArrive, 0.0, 5},                                            // with the deadline of the one before
    {Happens::kBatchDone, 1.0 / 32, 0},                                    // early or late
    {Happens::kStepDone, 1.0 / 32, 0},  {Happens::kTick, 3.0 / 32, 0},     // spurious, or late
    {Happens::kSubmit, 0.0, 58},                                           // 4 items twice, in pieces of 4 and 1
    {Happens::kPause, 0.0, 0},                                             // or lets it go on
    {Happens::kCancel, 0.0, 0},         {Happens::kApplied, 1.0 / 32, 4},  // without effect
    {Happens::kDrain, 0.0, 0},
};

constexpr int kDepth = kSanitized ? 4 : 6;

/// The state as far as anything to come may depend on it: all that policies are shown, and what the driver has under way.
std::string signature(const CoreDriver& driver) {
  const CoreOracle& oracle = driver.oracle();
  const double now = driver.now().count();
  std::string text;
  const auto add = [&](double number) { text += fmt::format("{:.9g} ", number); };
  for (double deadline : oracle.deadlines()) add(deadline - now);
  text += "| ";
  if (oracle.batch()) add(oracle.batch()->started.count() - now), add(static_cast<double>(oracle.batch()->requests.size()));
  text += "| ";
  if (oracle.step()) add(oracle.step()->started.count() - now), add(oracle.step()->items);
  text += "| ";
  for (const PendingJob& job : driver.core().jobs()) add(static_cast<double>(job.items_done)), add(job.paused);
  text += "| ";
  add(oracle.applying() ? static_cast<double>(*oracle.applying()) : -1.0);
  add(static_cast<double>(oracle.row()));
  add(oracle.wake() ? oracle.wake()->count() - now : -1.0);
  add(oracle.is_draining());
  const ArrivalEstimate arrivals = driver.core().arrivals(driver.now());
  add(arrivals.rate);
  add(arrivals.dispersion);
  return text + driver.under_way();
}

/// Goes to the second row when four or more wait or run, and back when nobody does.
struct BusyRows final : RowChoice {
  std::optional<Answer> choose(const ServingState& state) override {
    const std::size_t present = state.queue.size() + (state.batch ? 1 : 0);
    const std::size_t row = present >= 3 ? 1 : present == 0 ? 0 : state.row;
    if (row == state.row) return std::nullopt;
    return Answer{row, {.act = Act::kRow, .cause = Cause::kRate}};
  }
  void answered(Time, std::optional<Seconds>) override {}
  void alarm(Time, Alarm) override {}
};

class CoreExhaustive : public testing::TestWithParam<const char*> {};

TEST_P(CoreExhaustive, HoldsInEveryOrderOfAFewEvents) {
  CoreOptions options;
  options.slo = Seconds(0.25);
  options.rows = {fake_row(1.0, 2), fake_row(0.5, 3)};
  options.expected_rate = 2.0;
  CoreDriver::Setup world = world_of(GetParam(), options);
  world.rows = [] { return std::make_unique<BusyRows>(); };

  std::size_t tried = 0;
  std::set<std::string> known;
  std::vector<Events> frontier{{}};
  for (int depth = 1; depth <= kDepth; ++depth) {
    std::vector<Events> next;
    for (const Events& events : frontier)
      for (const Event& event : kAlphabet) {
        CoreDriver driver(world);
        for (const Event& before : events) driver.happen(before);
        if (!driver.can(event)) continue;
        driver.happen(event);
        ++tried;
        Events longer = events;
        longer.push_back(event);
        if (known.insert(signature(driver)).second) {
          // From here, left alone, everything must come to its end.
          next.push_back(longer);
          driver.settle(3000, false);
          if (driver.oracle().unanswered() != 0 && driver.oracle().wrong().empty()) FAIL() << "never answered:" << told(longer);
        }
        if (!driver.oracle().wrong().empty()) FAIL() << driver.oracle().wrong() << told(longer);
      }
    frontier = std::move(next);
  }
  EXPECT_GT(known.size(), kSanitized ? 100u : 1000u) << "states, by " << tried << " ways";
  RecordProperty("states", static_cast<int>(known.size()));
}

INSTANTIATE_TEST_SUITE_P(Policies, CoreExhaustive, testing::Values("inference-only", "greedy", "paper", "adaptive"), policy_name);

}  // namespace
}  // namespace polythrottle::serving
