// A meter behind a script: lines, clocks, energy, and every way in which a script disappoints.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <fstream>
#include <iterator>
#include <random>

#include "host/fake.h"
#include "meter/external_line.h"
#include "meter/external_series.h"

namespace polythrottle {
namespace {

using ::testing::HasSubstr;

// ---- Lines ----

TEST(ExternalLine, IsTwoNumbersOrAComment) {
  for (const char* text : {"1.5 20", "  1.5\t20.0 ", "1.5 2e1\r", "1.5     20"}) {
    const auto line = parse_external_line(text);
    ASSERT_TRUE(line) << text;
    const auto* const reading = std::get_if<ExternalReading>(&*line);
    ASSERT_NE(reading, nullptr) << text;
    EXPECT_EQ(reading->seconds, 1.5);
    EXPECT_EQ(reading->watts, 20.0);
  }
  for (const char* text : {"", "   ", "#", "# 1 2", "#polythrottle-meter error=x", "# polythrottle-meters error=x"}) {
    const auto line = parse_external_line(text);
    ASSERT_TRUE(line) << text;
    EXPECT_TRUE(std::holds_alternative<std::monostate>(*line)) << text;
  }
  EXPECT_EQ(std::get<ExternalReading>(*parse_external_line("-3 -0")).watts, 0.0) << "any clock of its own";
}

TEST(ExternalLine, AnythingElseIsQuotedInOneLine) {
  const std::pair<std::string, const char*> wrong[] = {
      {"12", "one word"},    {"1 nan", "no power"},   {"1 inf", "no power"},  {"1 -0.5", "below 0 W"},      {"1 100001", "100 kW"},
      {"nan 1", "no time"},  {"1e13 1", "no time"},   {"1 2 3", "no power"},  {"1,5 20", "no time"},        {"power: 20 W", "no time"},
      {"1 20W", "no power"}, {"1 1e999", "no power"}, {"1 0x10", "no power"}, {"{\"watts\": 1}", "no time"}};
  for (const auto& [text, why] : wrong) {
    const auto line = parse_external_line(text);
    ASSERT_FALSE(line) << text;
    EXPECT_EQ(line.error().code, Errc::kCorrupt);
    EXPECT_THAT(line.error().what, HasSubstr(why)) << text;
    EXPECT_THAT(line.error().what, HasSubstr("'" + text + "'"));
    EXPECT_THAT(line.error().hint, HasSubstr("SECONDS WATTS"));
  }
  const auto binary = parse_external_line(std::string("\x1b[31m\x01\xff") + std::string(1000, 'x'));
  ASSERT_FALSE(binary);
  EXPECT_LT(binary.error().text().size(), 200u);
  EXPECT_EQ(binary.error().text().find('\x1b'), std::string::npos);
}

TEST(ExternalLine, AHeaderSaysWhatIsMeasuredAndHowWell) {
  const auto line = parse_external_line("# polythrottle-meter boundary=\"wall socket, with supply\" error=\"2 %\" refresh=1");
  ASSERT_TRUE(line) << line.error().text();
  const auto& header = std::get<ExternalHeader>(*line);
  EXPECT_EQ(header.boundary, "wall socket, with supply");
  EXPECT_EQ(header.error_percent, 2.0);
  EXPECT_EQ(header.refresh, Seconds(1));
  EXPECT_EQ(std::get<ExternalHeader>(*parse_external_line("# polythrottle-meter error=0.5%")).error_percent, 0.5);
  EXPECT_FALSE(std::get<ExternalHeader>(*parse_external_line("# polythrottle-meter")).refresh);
  for (const char* text : {"# polythrottle-meter error=many", "# polythrottle-meter error=-1", "# polythrottle-meter error=101%",
                           "# polythrottle-meter refresh=0", "# polythrottle-meter refresh=1s", "# polythrottle-meter errors=1",
                           "# polythrottle-meter boundary=\"open", "# polythrottle-meter wall socket"}) {
    const auto wrong = parse_external_line(text);
    ASSERT_FALSE(wrong) << text << ": a slip must not pass for a comment";
    EXPECT_EQ(wrong.error().code, Errc::kCorrupt);
  }
}

// ---- Clocks and energy ----

Clock::TimePoint at(double seconds) { return Clock::TimePoint(Seconds(seconds)); }

TEST(ExternalSeries, IntegratesOnTheScriptsClockUpToNow) {
  ExternalSeries series;
  for (int i = 0; i <= 10; ++i) ASSERT_TRUE(series.add({1e9 + i, i < 6 ? 10.0 : 20.0}, at(5.0 + i)));
  EXPECT_EQ(series.refresh(), Seconds(1));
  EXPECT_NEAR(series.sample(at(15.0)).energy.si(), 5 * 10 + 15 + 4 * 20, 1e-9);
  EXPECT_NEAR(series.sample(at(15.5)).energy.si(), 155.0, 1e-9) << "as steady since the last reading";
  EXPECT_GT(series.sample(at(15.5)).edge, series.sample(at(15.0)).edge);
}

TEST(ExternalSeries, ALateReadingCountsAtItsOwnTime) {
  ExternalSeries prompt, late;
  for (int i = 0; i <= 10; ++i) {
    const double watts = i < 5 ? 10.0 : 30.0;
    ASSERT_TRUE(prompt.add({static_cast<double>(i), watts}, at(i)));
    ASSERT_TRUE(late.add({static_cast<double>(i), watts}, at(i + (i == 0 ? 0.0 : 0.8))));
  }
  EXPECT_NEAR(late.sample(at(12)).energy.si(), prompt.sample(at(12)).energy.si(), 1e-9);
  EXPECT_GT(late.delay().count(), 0.5);
  EXPECT_GT(late.sample(at(12)).edge, prompt.sample(at(12)).edge) << "the clocks may be laid wrong";
}

TEST(ExternalSeries, FollowsAClockThatDrifts) {
  ExternalSeries series;
  for (int i = 0; i <= 7200; ++i) ASSERT_TRUE(series.add({i * (1.0 - 1e-4), 10.0}, at(i)));
  const double energy = series.sample(at(7200.5)).energy.si() - 10.0 * 7200 * (1.0 - 1e-4);
  EXPECT_NEAR(energy, 5.0, 0.1) << "0.7 s have gone by on neither clock";
}

TEST(ExternalSeries, TimeThatStandsOrGoesBackIsCorrupt) {
  ExternalSeries series;
  ASSERT_TRUE(series.add({5.0, 1.0}, at(0)));
  const auto twice = series.add({5.0, 1.0}, at(1));
  ASSERT_FALSE(twice);
  EXPECT_THAT(twice.error().what, HasSubstr("two readings at the same time"));
  const auto back = series.add({4.0, 1.0}, at(1));
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().code, Errc::kCorrupt);
  EXPECT_THAT(back.error().what, HasSubstr("went back"));
}

/// A noisy load behind a script whose lines come late, each by another time: the truth lies within the stated error.
TEST(ExternalSeries, TheTruthLiesWithinItsErrorAsOftenAsItSays) {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  std::normal_distribution<double> normal;
  std::exponential_distribution<double> delay(1.0 / 0.03);
  int inside = 0, windows = 0;
  ExternalSeries series;
  std::vector<double> watts;
  double arrived = 0.0;
  const auto truth = [&](double t) {  // the mean level; readings scatter about it
    return 20.0 * t;
  };
  double next_open = 60.0, opened = 0.0;
  Joules energy_open, edge_open;
  double variance_open = 0.0;
  bool open = false;
  double event = next_open + uniform(random);
  for (int i = 0; windows < 1000; ++i) {
    const double time = i;
    while (time > event) {  // what happens before this reading arrives sees only those before
      const auto sample = series.sample(at(std::max(event, arrived)));
      const double now = sample.at.time_since_epoch().count();
      if (!open) {
        opened = now;
        energy_open = sample.energy;
        edge_open = sample.edge;
        variance_open = sample.sampling_variance;
      } else {
        const double error = (sample.energy - energy_open).si() - (truth(now) - truth(opened));
        const double sigma =
            std::sqrt(std::pow(sample.edge.si(), 2) + std::pow(edge_open.si(), 2) + sample.sampling_variance - variance_open);
        inside += std::abs(error) <= 1.96 * sigma ? 1 : 0;
        ++windows;
      }
      open = !open;
      event += open ? 3.0 + 20.0 * uniform(random) : 1.0 + uniform(random);
    }
    arrived = std::max(arrived, time + delay(random));
    ASSERT_TRUE(series.add({time - 1000.0, 20.0 + normal(random)}, at(arrived)));
  }
  EXPECT_GE(inside, 920);
  EXPECT_LE(inside, 985) << "too wide is a failure too";
}

// ---- The script ----

/// Time that can be made to have passed.
class SkippingClock : public Clock {
 public:
  TimePoint now() const override { return real_->now() + Seconds(skipped_); }
  double wall_seconds() const override { return real_->wall_seconds(); }
  Seconds process_cpu() const override { return real_->process_cpu(); }
  void sleep_until(TimePoint when) override { real_->sleep_until(when - Seconds(skipped_)); }
  std::unique_ptr<Ticker> every(Seconds period, std::function<void()> fn) override { return real_->every(period, std::move(fn)); }
  void skip(double seconds) { skipped_ = skipped_ + seconds; }

 private:
  std::unique_ptr<Clock> real_ = real_clock();
  std::atomic<double> skipped_{0.0};
};

const MeterDriver& driver() {
  for (const auto* each : meter_drivers()) {
    if (each->name == "external") return *each;
  }
  std::abort();
}

class ExternalMeter : public ::testing::Test {
 protected:
  MeterDiscovery find(std::vector<std::string> words) {
    options_.external_command = std::move(words);
    return driver().discover(host_, options_);
  }
  std::unique_ptr<Meter> make(const std::string& script) {
    auto found = find({"sh", "-c", script});
    return std::move(found.meters.at(0));
  }
  /// Prepares and reads until something is wrong.
  static Error what_goes_wrong(Meter& meter) {
    if (const auto prepared = meter.prepare(); !prepared) return prepared.error();
    for (;;) {
      if (const auto sample = meter.read(); !sample) return sample.error();
    }
  }

  FakeFiles files_;
  SkippingClock clock_;
  Host host_{files_, clock_};
  MeterOptions options_;
};

constexpr const char* kFour = "printf '1 20\\n2 20\\n3 20\\n4 20\\n'; ";

TEST_F(ExternalMeter, ReadsWhatAScriptPrints) {
  const auto meter =
      make("echo '# polythrottle-meter boundary=\"wall socket\" error=2% refresh=0.5'; " + std::string(kFour) + "exec sleep 100");
  ASSERT_TRUE(meter->prepare());
  EXPECT_THAT(meter->info().boundary, HasSubstr("wall socket"));
  EXPECT_THAT(meter->info().error, HasSubstr("2 %"));
  EXPECT_THAT(meter->info().error, HasSubstr("stated by the script"));
  EXPECT_EQ(meter->info().refresh, Seconds(0.5));
  EXPECT_FALSE(meter->info().estimated);
  const auto first = meter->read();
  ASSERT_TRUE(first) << first.error().text();
  clock_.skip(1.0);
  const auto last = meter->read();
  ASSERT_TRUE(last) << last.error().text();
  const double seconds = (last->at - first->at).count();
  EXPECT_NEAR((last->energy - first->energy).si(), 20.0 * seconds, 1e-6);
  EXPECT_NEAR(last->one_sigma.at(0).si(), 0.02 * last->energy.si(), 1e-9);
}

TEST_F(ExternalMeter, WhatTheUserStatesComesBeforeWhatTheScriptDoesAndElseItIsAssumed) {
  auto meter = make(std::string(kFour) + "exec sleep 100");
  ASSERT_TRUE(meter->prepare());
  EXPECT_THAT(meter->info().error, HasSubstr("5 % on the gain (1 sigma) is assumed"));
  EXPECT_THAT(meter->info().boundary, HasSubstr("does not say"));
  EXPECT_EQ(meter->info().refresh, Seconds(1)) << "measured on the script's clock";
  options_.external_error_percent = 1.5;
  meter = make("echo '# polythrottle-meter error=2%'; " + std::string(kFour) + "exec sleep 100");
  ASSERT_TRUE(meter->prepare());
  EXPECT_THAT(meter->info().error, HasSubstr("1.5 %"));
  EXPECT_THAT(meter->info().error, HasSubstr("--external-error"));
}

TEST_F(ExternalMeter, AScriptThatCannotBeStartedIsAbsent) {
  const auto missing = find({"/nonexistent/meter.sh"});
  ASSERT_EQ(missing.absent.size(), 1u);
  EXPECT_EQ(missing.absent[0].why.code, Errc::kNotFound);
  const auto forbidden = find({POLYTHROTTLE_SOURCE_DIR "/CMakeLists.txt"});
  ASSERT_EQ(forbidden.absent.size(), 1u);
  EXPECT_EQ(forbidden.absent[0].why.code, Errc::kPermission);
  const auto none = driver().discover(host_, {});
  ASSERT_EQ(none.absent.size(), 1u);
  EXPECT_THAT(none.absent[0].why.hint, HasSubstr("--external-meter"));
}

TEST_F(ExternalMeter, OneThatEndsIsToldWithItsCodeAndLastWords) {
  const auto meter = make(std::string(kFour) + "echo 'no device /dev/ttyUSB0' >&2; exit 3");
  const Error error = what_goes_wrong(*meter);
  EXPECT_EQ(error.code, Errc::kIo);
  EXPECT_THAT(error.what, HasSubstr("exit code 3"));
  EXPECT_THAT(error.what, HasSubstr("no device /dev/ttyUSB0"));
  EXPECT_EQ(error.what.find('\n'), std::string::npos);
  EXPECT_EQ(meter->read().error().code, Errc::kIo) << "and so it stays";

  const auto silent = make("exit 0");
  EXPECT_THAT(what_goes_wrong(*silent).what, HasSubstr("without a word"));
  const auto killed = make("kill -9 $$");
  EXPECT_THAT(what_goes_wrong(*killed).what, HasSubstr("signal 9"));
}

TEST_F(ExternalMeter, OneThatStallsIsATimeout) {
  const auto meter = make(std::string(kFour) + "exec sleep 100");
  ASSERT_TRUE(meter->prepare());
  ASSERT_TRUE(meter->read());
  clock_.skip(6.0);
  const auto stalled = meter->read();
  ASSERT_FALSE(stalled);
  EXPECT_EQ(stalled.error().code, Errc::kTimeout);
  EXPECT_THAT(stalled.error().what, HasSubstr("one comes every 1 s"));
}

TEST_F(ExternalMeter, GarbageIsQuotedOnceAndCountingGoesOn) {
  const auto meter = make(std::string(kFour) + "echo 'ERR timeout'; printf '6 20\\n7 20\\n'; exec sleep 100");
  const Error error = what_goes_wrong(*meter);
  EXPECT_EQ(error.code, Errc::kCorrupt);
  EXPECT_THAT(error.what, HasSubstr("line 5: 'ERR timeout'"));
  // The readings behind it are on their way.
  for (auto sample = meter->read();; sample = meter->read()) {
    if (sample) break;
    ASSERT_NE(sample.error().code, Errc::kIo) << sample.error().text();
  }
}

TEST_F(ExternalMeter, TimeThatGoesBackIsToldWithTheLine) {
  const auto meter = make(std::string(kFour) + "echo '3.5 20'; exec sleep 100");
  const Error error = what_goes_wrong(*meter);
  EXPECT_EQ(error.code, Errc::kCorrupt);
  EXPECT_THAT(error.what, HasSubstr("line 5: time went back from 4 s to 3.5 s"));
}

TEST_F(ExternalMeter, AScriptThatIsNoLongerNeededIsStopped) {
  const ScratchFolder scratch;
  const std::string told = (scratch.path() / "ended").string();
  {
    const auto meter = make("trap 'echo ended > " + told + "; exit 0' TERM; " + kFour + "while :; do sleep 0.01; done");
    ASSERT_TRUE(meter->prepare());
  }
  EXPECT_TRUE(std::filesystem::exists(told)) << "SIGTERM first";
}

TEST_F(ExternalMeter, TheScriptOfTheManualWorks) {
  std::ifstream manual(POLYTHROTTLE_SOURCE_DIR "/docs/external-meter.md");
  const std::string text((std::istreambuf_iterator<char>(manual)), std::istreambuf_iterator<char>());
  const auto begin = text.find("```sh\n") + 6;
  const std::string script = text.substr(begin, text.find("```", begin) - begin);
  ASSERT_TRUE(script.starts_with("#!/bin/sh\n"));
  const ScratchFolder scratch;
  const auto power = scratch.path() / "power1_input";
  std::ofstream(power) << "7250000\n";
  std::ofstream(scratch.path() / "watts.sh") << script;
  auto found = find({"sh", (scratch.path() / "watts.sh").string(), power.string(), "1e-6", "0.01"});
  const auto& meter = found.meters.at(0);
  const auto prepared = meter->prepare();
  ASSERT_TRUE(prepared) << prepared.error().text();
  EXPECT_THAT(meter->info().boundary, HasSubstr("power1_input covers"));
  EXPECT_EQ(meter->info().refresh, Seconds(0.01));
  const auto first = meter->read();
  ASSERT_TRUE(first) << first.error().text();
  clock_.skip(1.0);
  const auto last = meter->read();
  ASSERT_TRUE(last) << last.error().text();
  EXPECT_NEAR((last->energy - first->energy).si() / (last->at - first->at).count(), 7.25, 1e-3);
}

}  // namespace
}  // namespace polythrottle
