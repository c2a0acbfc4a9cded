// Thousands of random orders of events, each watched by an oracle (docs/testing.md). A failure prints its seed and the shortest list of
// events found that fails the same way.

#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <random>

#include "serving/core_driver.h"
#include "serving/core_worlds.h"

namespace polythrottle::serving {
namespace {

using Events = std::vector<Event>;

Events random_events(unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  // Times on a coarse grid meet exactly, as deadlines and ends do in tables; times off it never do.
  const bool grid = seed % 2 == 0;
  const double pace = std::vector{0.0, 0.5, 1.0, 4.0}[seed / 2 % 4];
  const Happens often[] = {Happens::kNext,   Happens::kNext,   Happens::kNext,  Happens::kNext, Happens::kArrive,
                           Happens::kArrive, Happens::kArrive, Happens::kBurst, Happens::kTick};
  const Happens seldom[] = {Happens::kBatchDone, Happens::kStepDone, Happens::kApplied, Happens::kSlo,    Happens::kSubmit,
                            Happens::kSubmit,    Happens::kPause,    Happens::kPause,   Happens::kCancel, Happens::kAlarm};
  Events events;
  const unsigned count = 20 + below(80);
  for (unsigned i = 0; i < count; ++i) {
    Event event;
    event.what = below(4) != 0 ? often[below(std::size(often))] : below(60) == 0 ? Happens::kDrain : seldom[below(std::size(seldom))];
    event.wait = pace * (grid ? static_cast<double>(below(5)) / 64.0 : static_cast<double>(random()) * 0x1p-32 / 16.0);
    event.choice = below(1000);
    events.push_back(event);
  }
  return events;
}

/// What went wrong; empty if nothing did. Adds to `seen` what happened.
std::string run(const CoreDriver::Setup& world, const Events& events, std::map<std::string, int>* seen = nullptr) {
  CoreDriver driver(world);
  for (const Event& event : events) {
    driver.happen(event);
    if (!driver.oracle().wrong().empty()) return driver.oracle().wrong();
  }
  const CoreOracle& oracle = driver.oracle();
  const std::size_t runnable = oracle.runnable().size();
  const bool jobs_too = world.rules.never_waits_for_ever && driver.core().predictor().calibrated() && !oracle.is_draining();
  const int most = static_cast<int>(200 + 20 * oracle.unanswered() + 4000 * runnable);
  if (!driver.settle(most, jobs_too))
    return fmt::format("after the last event: {} requests and {} jobs are left", oracle.unanswered(), oracle.runnable().size());
  if (!oracle.wrong().empty()) return oracle.wrong();
  if (seen)
    for (const auto& [what, times] : oracle.seen()) (*seen)[what] += times;
  if (oracle.answered() != oracle.arrivals())
    return fmt::format("{} requests came, {} were answered", oracle.arrivals(), oracle.answered());
  return {};
}

/// Leaves out as much as it can while something is still wrong.
Events shortest(const CoreDriver::Setup& world, Events events) {
  for (std::size_t size = std::max<std::size_t>(events.size() / 2, 1); size >= 1; size /= 2)
    for (std::size_t at = 0; at + size <= events.size();) {
      Events fewer = events;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(at), fewer.begin() + static_cast<std::ptrdiff_t>(at + size));
      if (run(world, fewer).empty())
        at += size;
      else
        events = std::move(fewer);
    }
  return events;
}

/// A core that stops the program says nothing of the seed; this does.
char current[200];
void say_current(int) {
  std::fputs(current, stderr);
  std::signal(SIGABRT, SIG_DFL);
}

class CoreProperty : public testing::TestWithParam<const char*> {};

constexpr unsigned kRuns = kSanitized ? 300 : 3000;  // of each policy

TEST_P(CoreProperty, HoldsInEveryOrderOfEvents) {
  std::signal(SIGABRT, say_current);
  std::map<std::string, int> seen;
  for (unsigned seed = 0; seed < kRuns; ++seed) {
    const CoreDriver::Setup world = random_world(GetParam(), seed);
    const Events events = random_events(seed);
    fmt::format_to_n(current, sizeof current - 1, "while {} ran, with seed {}\n", GetParam(), seed).out[0] = '\0';
    const std::string wrong = run(world, events, &seen);
    if (wrong.empty()) continue;
    const Events fewest = shortest(world, events);
    FAIL() << "seed " << seed << ": " << wrong << "\nshortest: " << run(world, fewest) << told(fewest);
  }
  std::signal(SIGABRT, SIG_DFL);
  // That it holds says little if it was never tried.
  std::vector<std::string> tried = {"batch alone", "batch between rows", "drop expired", "drop queue_full", "drop draining", "row", "wake"};
  const CoreRules rules = rules_of(GetParam());
  if (rules.steps) tried.insert(tried.end(), {"step alone", "batch beside", "job"});
  if (rules.steps && rules.steps_beside_batches) tried.push_back("step beside");
  if (rules.hopeless) tried.push_back("drop hopeless");
  for (const std::string& what : tried) EXPECT_GE(seen[what], static_cast<int>(kRuns / 30)) << what;
}

INSTANTIATE_TEST_SUITE_P(Policies, CoreProperty, testing::Values("random", "inference-only", "greedy", "paper", "adaptive"), policy_name);

}  // namespace
}  // namespace polythrottle::serving
