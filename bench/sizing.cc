// How long a trial takes and how far it is off: windows of a fixed length against trials that size themselves.
//   polythrottle-bench sizing [--seeds N]
// All on a simulated Jetson AGX Orin in virtual time, its own noise on. Where a load is to move for seconds or minutes, a slow change of
// the power is added to what the board's sensors read: the simulated boards themselves settle within half a second, and their leakage is
// small. The truth is what the same board, with the same seed and so the same noise of this visit, reads in the long run.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>

#include "base/stats.h"
#include "bench/commands.h"
#include "cli/cli.h"
#include "engine/simulated.h"
#include "host/simulation/machine.h"
#include "platform/platform.h"
#include "report/report.h"
#include "study/measure.h"
#include "study/one_trial.h"
#include "workload/model.h"

namespace polythrottle::bench {
namespace {

constexpr Seconds kFixedWarmUp{1.0};
constexpr Seconds kTruthFrom{20.0}, kTruth{100.0};

/// Multiplies power by 1 + size x exp(-t / time), t since it was made: a load that comes to rest.
struct Relaxation {
  double size = 0.0;
  double time = 1.0;  ///< s
  /// Integral of the change over time from 0 to t, as a share of constant power: s.
  double integral(double t) const { return size * time * (1.0 - std::exp(-t / time)); }
};

class MovingMeter final : public Meter {
 public:
  MovingMeter(std::unique_ptr<Meter> meter, const Clock& clock, Relaxation change)
      : meter_(std::move(meter)), change_(change), start_(clock.now()) {}
  const MeterInfo& info() const override { return meter_->info(); }
  Result<MeterSample> read() override {
    TRY(MeterSample sample, meter_->read());
    // Between two readings power is taken as constant, so the change is that of its mean factor.
    const double t = (sample.at - start_).count(), span = t - last_time_;
    const double factor = span > 0.0 ? (change_.integral(t) - change_.integral(last_time_)) / span : 0.0;
    added_ += factor * (sample.energy.si() - last_energy_);
    last_time_ = t;
    last_energy_ = sample.energy.si();
    sample.energy = Joules(sample.energy.si() + added_);
    return sample;
  }

 private:
  std::unique_ptr<Meter> meter_;
  const Relaxation change_;
  const Clock::TimePoint start_;
  double last_time_ = 0.0, last_energy_ = 0.0, added_ = 0.0;
};

struct Load {
  std::string name;
  std::string network;
  Relaxation change{};
  double rate = 0.0;  ///< of a Poisson load; 0: closed loop
};

/// A fresh board with the load on it.
struct Bench {
  std::unique_ptr<simulation::Machine> machine;
  std::unique_ptr<Host> host;
  std::unique_ptr<Device> device;
};

Result<Bench> open_bench(const Load& load, std::uint64_t seed, bool settled) {
  Bench out;
  TRY(out.machine, simulation::Machine::make("jetson-orin", {.seed = seed}));
  out.host = std::make_unique<Host>(out.machine->host());
  Machine found = discover(*out.host, {});
  if (found.meters.empty()) return fail(Errc::kNotFound, "the simulated board has no meter");
  ModelOptions options{.batches = {1}, .threads = {1}, .instances = {1}, .seed = seed};
  if (load.rate > 0.0) {
    TRY(options.arrivals, Arrivals::poisson(load.rate, seed));
  }
  TRY(auto workload, model_workload(
                         out.host->clock,
                         [&machine = *out.machine, network = load.network](int, std::uint64_t) {
                           return open_simulated(machine, {.network = network, .precision = simulation::Precision::kFp16});
                         },
                         options));
  const Config config{{"batch", 1.0}};
  const std::vector<Config> one{config};
  TRY(auto space, Space::list({workload->parameters()[0]}, one));
  out.device = std::make_unique<Device>(Device{.name = "sim", .host = *out.host, .space = std::move(space), .reference = config});
  out.device->workload = std::move(workload);
  out.device->energy_meter =
      std::make_unique<MovingMeter>(std::move(found.meters.front()), out.host->clock, settled ? Relaxation{} : load.change);
  return out;
}

double joules(const Metrics& metrics) { return metrics.find(kEnergy)->second.value; }

/// Energy per inference of one window of a fixed length behind a fixed warm-up.
Result<double> fixed_window(Bench& bench, Seconds warm_up, Seconds length) {
  Device& device = *bench.device;
  TRY_STATUS(device.workload->configure(device.reference));
  const auto exactly = [](Seconds time) { return Budget{.at_least = time, .at_most = time, .samples = 1}; };
  TRY(const auto ignored, device.workload->run(exactly(warm_up), {}));
  TRY(const auto window,
      Window::open(device.host, *device.energy_meter, std::max(Seconds(0.05), 2.0 * device.energy_meter->info().refresh)));
  TRY(const auto work, device.workload->run(exactly(length), {}));
  TRY(const auto reading, window->close());
  return joules(measure(work, reading, {}));
}

struct Row {
  std::vector<double> errors, seconds;
  std::size_t remarked = 0;
  void add(double value, double truth, Seconds time) {
    errors.push_back(value / truth - 1.0);
    seconds.push_back(time.count());
  }
  std::vector<std::string> cells(const std::string& load, const std::string& name) const {
    double squares = 0.0, worst = 0.0;
    for (const double e : errors) squares += e * e, worst = std::max(worst, std::abs(e));
    const double rms = std::sqrt(squares / static_cast<double>(errors.size()));
    const double most = *std::max_element(seconds.begin(), seconds.end());
    return {load,
            name,
            fmt::format("{:+.2f}", 100.0 * mean(errors)),
            fmt::format("{:.2f}", 100.0 * rms),
            fmt::format("{:.2f}", 100.0 * worst),
            fmt::format("{:.1f}", mean(seconds)),
            fmt::format("{:.1f}", most),
            remarked > 0 ? std::to_string(remarked) : ""};
  }
};

Status compare(const Load& load, std::size_t seeds, std::vector<std::vector<std::string>>& rows) {
  const std::vector<double> lengths{1.0, 5.0, 20.0};
  std::vector<Row> fixed(lengths.size());
  Row sized;
  std::string remark;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    TRY(Bench at_rest, open_bench(load, seed, true));
    TRY(const double truth, fixed_window(at_rest, kTruthFrom, kTruth));
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      TRY(Bench bench, open_bench(load, seed, false));
      const auto began = bench.host->clock.now();
      TRY(const double value, fixed_window(bench, kFixedWarmUp, Seconds(lengths[i])));
      fixed[i].add(value, truth, bench.host->clock.now() - began);
    }
    TRY(Bench bench, open_bench(load, seed, false));
    Plan plan;
    plan.energy_error = 0.01;
    plan.settle_limit = Seconds(10);
    OneTrial trial(*bench.device, nullptr, plan, {});
    const auto began = bench.host->clock.now();
    const Outcome outcome = trial.run({Advice::Kind::kReference, bench.device->reference, "", {}}, seed, {}, nullptr);
    if (outcome.state != TrialState::kCompleted) return fail(Errc::kIo, outcome.note);
    sized.add(joules(outcome.metrics), truth, bench.host->clock.now() - began);
    sized.remarked += outcome.notes.empty() ? 0 : 1;
  }
  for (std::size_t i = 0; i < lengths.size(); ++i) rows.push_back(fixed[i].cells(load.name, fmt::format("fixed {:.0f} s", lengths[i])));
  rows.push_back(sized.cells(load.name, "sized"));
  return {};
}

int sizing(std::size_t seeds) {
  const std::vector<Load> loads{{"steady", "efficientnet-b4"},
                                {"drifting", "efficientnet-b4", {.size = 0.3, .time = 3.0}},
                                {"soaking", "efficientnet-b4", {.size = -0.08, .time = 180.0}},
                                {"bursty", "efficientnet-b4", {}, 30.0}};
  std::vector<std::vector<std::string>> rows{{"load", "window", "mean error %", "rms %", "worst %", "mean s", "most s", "remarked"}};
  for (const Load& load : loads) {
    if (const auto done = compare(load, seeds, rows); !done) return complain(done.error(), kExitFailure);
  }
  fmt::print("Simulated Jetson AGX Orin, {} seeds. Error of the energy per inference against the long run; times of a whole trial.\n\n{}",
             seeds, align(rows, {2, 3, 4, 5, 6, 7}));
  return kExitOk;
}

}  // namespace

void add_sizing(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("sizing", "Windows of a fixed length against trials that size themselves, on simulated loads");
  auto seeds = std::make_shared<std::size_t>(12);
  command->add_option("--seeds", *seeds, "Boards")->capture_default_str()->check(CLI::Range(1, 1000));
  command->callback([seeds, &exit_code] { exit_code = sizing(*seeds); });
}

}  // namespace polythrottle::bench
