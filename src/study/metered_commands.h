#pragma once
// For tests: programs that never run, on a meter of known power.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/fake_launcher.h"
#include "study/command_series.h"

namespace polythrottle {

/// Draws `watts` at any time, in two rails; a counter that moves every `refresh`.
class KnownPower : public Meter {
 public:
  explicit KnownPower(FakeClock& clock) : clock_(clock) {
    info_ = {.name = "known",
             .boundary = "a box",
             .refresh = Seconds(0.01),
             .error = "+-5 % on the gain (1 sigma)",
             .error_sources = {"gain"},
             .rails = {{.name = "big"}, {.name = "small"}}};
  }
  const MeterInfo& info() const override { return info_; }
  Result<MeterSample> read() override {
    const auto at = clock_.now();
    joules_ += watts * (at - last_).count();
    last_ = at;
    clock_.advance(read_takes);
    if (broken) return fail(Errc::kCorrupt, "read it: it went back");
    return MeterSample{.at = at,
                       .energy = Joules(joules_),
                       .one_sigma = {Joules(0.05 * joules_)},
                       .edge = Joules(0.05),
                       .rails = {Joules(0.75 * joules_), Joules(0.25 * joules_)}};
  }
  MeterInfo& told() { return info_; }

  double watts = 20.0;
  Seconds read_takes{0};
  bool broken = false;

 private:
  FakeClock& clock_;
  MeterInfo info_;
  Clock::TimePoint last_{};
  double joules_ = 0.0;
};

/// Counts what it is told to.
class Throttled : public Gauge {
 public:
  explicit Throttled(const double& events) : events_(events) {}
  const std::string& name() const override { return name_; }
  bool counts() const override { return true; }
  Result<double> read() override { return events_; }
  std::string what() const override { return "hot"; }

 private:
  const double& events_;
  std::string name_ = "throttle_events";
};

class Warmth : public Gauge {
 public:
  explicit Warmth(FakeClock& clock) : clock_(clock) {}
  const std::string& name() const override { return name_; }
  Result<double> read() override { return 40.0 + clock_.now().time_since_epoch().count(); }

 private:
  FakeClock& clock_;
  std::string name_ = "temperature_celsius";
};

/// A machine on which the program "NAME SECONDS [CODE]" takes so long and exits with that code.
struct MeteredCommands {
  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  double events = 0.0;
  KnownPower meter{clock};
  std::vector<std::unique_ptr<Gauge>> gauges;
  std::stop_source stop;
  std::function<void(const Program&)> on_start;
  FakeLauncher launcher{clock, [this](const Program& program) {
                          if (on_start) on_start(program);
                          FakeRun run;
                          run.lines.push_back({Seconds(std::stod(program.words.at(1))), "done"});
                          run.exit = Exit{.code = program.words.size() > 2 ? std::stoi(program.words[2]) : 0};
                          return run;
                        }};
  MeteredCommands() {
    gauges.push_back(std::make_unique<Throttled>(events));
    gauges.push_back(std::make_unique<Warmth>(clock));
  }

  Result<Series> series(const std::vector<std::vector<std::string>>& commands, std::size_t count, std::size_t warm_up = 0,
                        const TurnEnds& ends = {}) {
    CommandMeter here(host, launcher, meter, gauges);
    SeriesPlan plan{.programs = {}, .runs = count, .warm_up = warm_up};
    for (const auto& words : commands) plan.programs.push_back({.words = words, .output = Output::kDropped});
    return run_series(here, plan, {}, ends, stop.get_token());
  }
};

}  // namespace polythrottle
