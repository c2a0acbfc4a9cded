#include "study/command_runs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "study/metered_commands.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Program program(std::vector<std::string> words) { return {.words = std::move(words), .output = Output::kDropped}; }

/// "A0 B0 B1 A1", a small letter for what does not count.
std::string order(const Series& series) {
  std::string out;
  for (const auto& turn : series.turns) {
    const bool counts = turn.fate == Fate::kCounted;
    out += (out.empty() ? "" : " ") + std::string(1, turn.side == 0 ? (counts ? 'A' : 'a') : (counts ? 'B' : 'b')) +
           std::to_string(turn.round);
  }
  return out;
}

TEST(CommandMeter, SaysWhatOneRunCost) {
  MeteredCommands machine;
  CommandMeter meter(machine.host, machine.launcher, machine.meter, machine.gauges);
  const auto run = meter.run(program({"work", "2.5", "3"}), {});
  ASSERT_TRUE(run) << run.error().text();
  EXPECT_NEAR(run->time.count(), 2.5, 1e-9);
  EXPECT_NEAR(run->reading.energy.si(), 50.0, 1e-6);
  EXPECT_NEAR(run->reading.one_sigma.at(0).si(), 2.5, 1e-6);
  EXPECT_NEAR(run->reading.own_error.si(), 0.05 * std::sqrt(2.0), 1e-9);
  EXPECT_NEAR(run->reading.rails.at(1).si(), 12.5, 1e-6);
  EXPECT_EQ(run->exit.code, 3);
  EXPECT_FALSE(run->interrupted);
  EXPECT_THAT(run->spoiled, IsEmpty());
  EXPECT_NEAR(*run->celsius_after - *run->celsius_before, 2.5, 1e-6);
  EXPECT_EQ(machine.launcher.running, 0);
}

TEST(CommandMeter, CountsWhatReadingTheMeterTook) {
  MeteredCommands machine;
  machine.meter.read_takes = Seconds(0.002);
  CommandMeter meter(machine.host, machine.launcher, machine.meter, machine.gauges);
  const auto run = meter.run(program({"work", "5"}), {});
  EXPECT_GE(run->reading.reads, 5u);  // a reading a second keeps a wrapping counter alive
  EXPECT_NEAR(run->reading.reading_time.count(), 0.002 * static_cast<double>(run->reading.reads), 1e-9);
}

TEST(CommandMeter, EndsTheProgramWhenAskedTo) {
  MeteredCommands machine;
  CommandMeter meter(machine.host, machine.launcher, machine.meter, machine.gauges);
  machine.on_start = [&](const Program&) { machine.stop.request_stop(); };
  const auto run = meter.run(program({"work", "1000"}), machine.stop.get_token());
  EXPECT_TRUE(run->interrupted);
  EXPECT_LT(run->time.count(), 1.0);
  EXPECT_EQ(machine.launcher.running, 0);
}

TEST(CommandMeter, AFaultOfTheMeterSpoilsTheRunAndIsNoFaultOfTheProgram) {
  MeteredCommands machine;
  CommandMeter meter(machine.host, machine.launcher, machine.meter, machine.gauges);
  machine.on_start = [&](const Program&) { machine.meter.broken = true; };
  const auto run = meter.run(program({"work", "0.5"}), {});
  ASSERT_TRUE(run);
  EXPECT_THAT(run->spoiled, HasSubstr("it went back"));
  EXPECT_EQ(run->exit.code, 0);
  const auto from_the_start = meter.run(program({"work", "0.5"}), {});
  EXPECT_THAT(from_the_start->spoiled, HasSubstr("it went back"));
  EXPECT_NEAR(from_the_start->time.count(), 0.5, 1e-9);
}

TEST(CommandMeter, AProgramThatCannotBeStartedIsAnError) {
  MeteredCommands machine;
  CommandMeter meter(machine.host, machine.launcher, machine.meter, machine.gauges);
  machine.launcher.refusal = Error{Errc::kNotFound, "start work: no such program", {}};
  EXPECT_EQ(meter.run(program({"work", "1"}), {}).error().code, Errc::kNotFound);
}

TEST(CommandMeter, MeasuresIdlePower) {
  MeteredCommands machine;
  CommandMeter meter(machine.host, machine.launcher, machine.meter, machine.gauges);
  const auto idle = meter.idle(Seconds(2), {});
  EXPECT_NEAR(idle->time.count(), 2.0, 1e-9);
  EXPECT_NEAR(idle->power().si(), 20.0, 1e-9);
  machine.stop.request_stop();
  EXPECT_NEAR(meter.idle(Seconds(2), machine.stop.get_token())->time.count(), 0.0, 1e-9);
}

TEST(CommandSeries, AlternatesWhichIsFirst) {
  MeteredCommands machine;
  const auto series = machine.series({{"a", "1"}, {"b", "2"}}, 3, 1);
  ASSERT_TRUE(series);
  EXPECT_EQ(order(*series), "a0 b0 A0 B0 B1 A1 A2 B2");
  EXPECT_EQ(series->turns[0].fate, Fate::kWarmUp);
  const auto pairs = pairs_of(*series, time_of);
  ASSERT_EQ(pairs.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(pairs[i].b_first, i == 1);
    EXPECT_NEAR(pairs[i].a.value, 1.0, 1e-9);
    EXPECT_NEAR(pairs[i].b.value, 2.0, 1e-9);
  }
  EXPECT_EQ(cut_short_by(*series), nullptr);
}

TEST(CommandSeries, AThrottledRunIsVoidAndMadeAgainAtOnce) {
  MeteredCommands machine;
  int started = 0;
  machine.on_start = [&](const Program&) {
    if (++started == 3) machine.events += 2;
  };
  const auto series = machine.series({{"a", "1"}, {"b", "2"}}, 2);
  EXPECT_EQ(order(*series), "A0 B0 b1 B1 A1");
  EXPECT_THAT(series->turns[2].run.spoiled, HasSubstr("slowed itself down 2 times meanwhile: hot"));
  EXPECT_EQ(pairs_of(*series, time_of).size(), 2u);
}

TEST(CommandSeries, ARoundGoesWithoutARunThatIsVoidTwice) {
  MeteredCommands machine;
  int started = 0;
  machine.on_start = [&](const Program&) {
    ++started;
    if (started == 3 || started == 4) machine.events += 1;
  };
  const auto series = machine.series({{"a", "1"}, {"b", "2"}}, 3);
  EXPECT_EQ(order(*series), "A0 B0 b1 b1 A1 A2 B2");
  EXPECT_EQ(pairs_of(*series, time_of).size(), 2u);
  EXPECT_EQ(counted_runs(*series, 0).size(), 3u);
  EXPECT_THAT(series->given_up, IsEmpty());
}

TEST(CommandSeries, GivesUpAfterThreeVoidRunsInARow) {
  MeteredCommands machine;
  machine.meter.broken = true;
  const auto series = machine.series({{"a", "1"}}, 100);
  EXPECT_EQ(order(*series), "a0 a0 a1");
  EXPECT_THAT(series->given_up, HasSubstr("it went back"));
}

TEST(CommandSeries, EndsWithTheFirstFailure) {
  MeteredCommands machine;
  const auto series = machine.series({{"a", "1"}, {"b", "2", "7"}}, 3);
  EXPECT_EQ(order(*series), "A0 b0");
  ASSERT_NE(cut_short_by(*series), nullptr);
  EXPECT_EQ(cut_short_by(*series)->run.exit.code, 7);
  EXPECT_EQ(order(*machine.series({{"a", "1", "7"}}, 3, 2)), "a0");  // while warming up too
}

TEST(CommandSeries, KeepsWhatWasMeasuredBeforeAnInterrupt) {
  MeteredCommands machine;
  int started = 0;
  machine.on_start = [&](const Program&) {
    if (++started == 3) machine.stop.request_stop();
  };
  const auto series = machine.series({{"a", "1"}}, 5);
  EXPECT_EQ(order(*series), "A0 A1 a2");
  EXPECT_EQ(cut_short_by(*series)->fate, Fate::kInterrupted);
}

TEST(CommandSeries, QuantitiesCarryTheirErrors) {
  MeteredCommands machine;
  const auto series = machine.series({{"a", "2"}}, 1);
  const CommandRun& run = *counted_runs(*series, 0).at(0);
  EXPECT_NEAR(energy_of(run).value, 40.0, 1e-6);
  EXPECT_NEAR(energy_of(run).shared.at(0), 2.0, 1e-6);
  EXPECT_NEAR(power_of(run).value, 20.0, 1e-6);
  EXPECT_NEAR(power_of(run).own_error, 0.05 * std::sqrt(2.0) / 2.0, 1e-6);
  EXPECT_NEAR(power_of(run).shared.at(0), 1.0, 1e-6);
  EXPECT_NEAR(time_of(run).value, 2.0, 1e-9);
}

/// Whole measurements, 1,000 of them, on a machine that warms up: each run draws a little more than the one before.
TEST(CommandSeries, TheIntervalOfTheRatioHoldsWhileTheMachineDrifts) {
  std::mt19937_64 random(17);
  std::normal_distribution<double> normal;
  const auto covered = [&](double drift) {
    int hits = 0;
    for (int i = 0; i < 1000; ++i) {
      MeteredCommands machine;
      int turn = 0;
      machine.on_start = [&](const Program&) { machine.meter.watts = 20.0 * (1.0 + drift * turn++) * (1.0 + 0.02 * normal(random)); };
      const auto series = machine.series({{"a", "10"}, {"b", "9"}}, 6);
      const auto ratio = ratio_of_runs(pairs_of(*series, energy_of), machine.meter.info().error_sources);
      if (ratio->interval->low <= 0.9 && 0.9 <= ratio->interval->high) ++hits;
    }
    return hits / 1000.0;
  };
  for (const double drift : {0.0, 0.005, 0.03}) {
    const double share = covered(drift);
    EXPECT_GE(share, 0.93) << drift;
    EXPECT_LE(share, 0.97) << drift;
  }
}

}  // namespace
}  // namespace polythrottle
