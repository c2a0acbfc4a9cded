// Jobs with a deadline of their own: done in time where they can be, by higher clocks where it takes those, and else refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "replay/co_runs.h"
#include "replay/nominal.h"
#include "replay/replay.h"
#include "serving/load_adaptive.h"

namespace polythrottle::replay {
namespace {

using testing::HasSubstr;

interference::Samples co_runs_of(const ReplayOptions& o) {
  auto machine = *simulation::Machine::make(o.board, {.seed = 99});
  auto clocks = *CoRunClocks::make(*machine);
  auto work = co_run_work(o.network, o.precision, o.jobs.front());
  work.largest_batch = o.rows.front().max_batch;
  std::vector<Config> configs;
  std::vector<interference::Speeds> speeds;
  for (const auto& row : o.rows) {
    Config config;
    for (const auto& [name, value] : row.config.entries()) {
      if (name != "batch") config.set(name, value);
    }
    configs.push_back(std::move(config));
    speeds.push_back(row.speeds);
  }
  const CoRunHooks hooks{.apply = [&](const Config& config) { return clocks->apply(config); }, .stop = {}};
  return make_co_runs(*machine, work, configs, speeds, co_run_design(work, configs.size()), hooks)->samples;
}

/// B4 on an Orin, Poisson arrivals of 10/s within 300 ms, under `adaptive`; the clocks held, so that what rows do is known.
ReplayOptions scene(const std::vector<double>& ceilings) {
  ReplayOptions o;
  o.board = "jetson-orin";
  o.network = "efficientnet-b4";
  o.slo = Seconds(0.3);
  o.arrivals = *Arrivals::poisson(10.0, 1);
  o.expected_rate = 10.0;
  o.duration = Seconds(20);
  o.jobs = {*parse_finetune("batch=64,iterations=20,outputs=1000,pieces=64/32/16/8")};
  const auto nominal = *Nominal::make(o.board, o.network);
  for (const double share : ceilings) {
    const auto& levels = nominal.board().gpu_levels;
    const double clock = levels[static_cast<std::size_t>(share * static_cast<double>(levels.size() - 1))].si();
    Config config = nominal.reference();
    config.set("gpu_min_hz", clock);
    config.set("gpu_max_hz", clock);
    config.set("batch", 8.0);
    o.rows.push_back(nominal.row(config));
  }
  o.samples = co_runs_of(o);
  return o;
}

/// Of the rows as they are, at home in the last.
void adapt(ReplayOptions& o) {
  const auto nominal = *Nominal::make(o.board, o.network);
  serving::LoadAdaptiveOptions options;
  for (const auto& row : o.rows) {
    serving::RowCost cost;
    for (int batch = 1; batch <= row.max_batch; ++batch) {
      const Seconds latency = nominal.steady(row.config, batch).latency;
      cost.batches.push_back(serving::straight_curve(batch, latency, latency, *row.idle, *row.busy));
    }
    options.costs.push_back(std::move(cost));
  }
  o.row = options.home = o.rows.size() - 1;
  o.row_choice = [options, slo = o.slo] { return std::move(*serving::LoadAdaptive::make(options, slo)); };
}

TEST(JobDeadline, ThatCanBeMetIsMetInOneRow) {
  auto o = scene({1.0});
  const auto unhurried = replay(o);
  ASSERT_TRUE(unhurried && unhurried->jobs[0].time) << (unhurried ? unhurried->jobs[0].why_not : unhurried.error().text());
  o.jobs[0].deadline = *unhurried->jobs[0].time * 1.05;
  const auto ran = replay(o);
  ASSERT_TRUE(ran && ran->jobs[0].time) << (ran ? ran->jobs[0].why_not : ran.error().text());
  EXPECT_LE(*ran->jobs[0].time, *o.jobs[0].deadline);
  EXPECT_LE(ran->counted.violations_ratio(), 0.02);
}

TEST(JobDeadline, ThatNeedsHigherClocksGetsThem) {
  auto o = scene({1.0, 0.75, 0.5, 0.25});
  const auto alone = [&](std::size_t row) {
    const auto nominal = *Nominal::make(o.board, o.network);
    simulation::Setting setting = nominal.board().default_setting();
    setting.gpu_max = Hertz(*o.rows[row].config.number("gpu_max_hz"));
    return job_work(nominal.board(), nominal.network(), o.jobs[0], setting);
  };
  adapt(o);
  // Too little for the row at home even without a request, and enough for the fastest.
  for (const double share : {0.95, 0.8, 0.65}) {
    o.jobs[0].deadline = alone(3) * share;
    ASSERT_LT(alone(0) * 1.3, *o.jobs[0].deadline);
    for (const std::uint64_t seed : {1, 2, 3}) {
      o.seed = seed;
      o.arrivals = *Arrivals::poisson(10.0, seed);
      const auto ran = replay(o);
      ASSERT_TRUE(ran && ran->jobs[0].time) << (ran ? ran->jobs[0].why_not : ran.error().text());
      EXPECT_LE(*ran->jobs[0].time, *o.jobs[0].deadline) << share << " " << seed;
      EXPECT_GE(ran->row_causes.at(serving::Cause::kJobEnergy), 1u);
      EXPECT_LE(ran->counted.violations_ratio(), 0.02) << share << " " << seed;
    }
  }
}

TEST(JobDeadline, ThatNobodyCanMeetIsRefusedWithTheEarliestEnd) {
  for (const bool adapts : {false, true}) {
    auto o = scene({1.0, 0.5});
    if (adapts) adapt(o);
    o.jobs[0].deadline = Seconds(1.0);
    const auto ran = replay(o);
    ASSERT_TRUE(ran) << ran.error().text();
    EXPECT_FALSE(ran->jobs[0].time);
    EXPECT_EQ(ran->jobs[0].pieces, 0u);
    EXPECT_THAT(ran->jobs[0].why_not, HasSubstr("refused: the job cannot end in time: at 10 requests/s it takes at least"));
    EXPECT_THAT(ran->jobs[0].why_not, HasSubstr("due in 1 s"));
  }
}

TEST(JobDeadline, AStepThatFitsAtNoRowIsSaid) {
  auto o = scene({1.0});
  o.slo = Seconds(0.015);  // a batch takes about 10 ms alone, and twice that beside a step
  o.patience = 2.0;
  const std::string why = "at 10 requests/s its smallest step, of 8 items, fits under the SLO at no row";
  const auto waited = replay(o);
  ASSERT_TRUE(waited) << waited.error().text();
  EXPECT_THAT(waited->jobs[0].why_not,
              testing::AllOf(HasSubstr("given up after 40 s"), HasSubstr("its smallest step, of 8 items, fits under the SLO at no row")));
  o.jobs[0].deadline = Seconds(1000);
  const auto refused = replay(o);
  ASSERT_TRUE(refused) << refused.error().text();
  EXPECT_THAT(refused->jobs[0].why_not, HasSubstr("refused: the job cannot end at all: " + why));
}

}  // namespace
}  // namespace polythrottle::replay
