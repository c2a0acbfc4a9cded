// What measuring costs: one sample of each meter, our own code alone (its files in memory) and on this machine; a window's sampler, as the
// share of one core that it takes with a meter whose read costs nothing; and a look into an open window.

#include <benchmark/benchmark.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/fake.h"
#include "meter/window.h"

namespace polythrottle {
namespace {

/// Every file of a fixture, in memory.
std::map<std::string, std::string> loaded(const std::filesystem::path& folder) {
  std::map<std::string, std::string> nodes;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    nodes["/" + entry.path().lexically_relative(folder).string()] = {std::istreambuf_iterator<char>(in), {}};
  }
  return nodes;
}

void sample(benchmark::State& state, Host host, const MeterDriver* driver) {
  const auto found = driver->discover(host, {});
  if (found.meters.empty()) return state.SkipWithError(found.absent.empty() ? "absent" : found.absent.front().why.text().c_str());
  for (auto _ : state) {
    auto read = found.meters.front()->read();
    if (!read) return state.SkipWithError(read.error().text().c_str());
    benchmark::DoNotOptimize(read);
  }
  state.SetLabel(found.meters.front()->info().boundary);
}

/// A read that costs nothing.
class FreeMeter : public Meter {
 public:
  FreeMeter(Clock& clock, Seconds sampling) : clock_(clock) { info_.sampling = sampling; }
  const MeterInfo& info() const override { return info_; }
  Result<MeterSample> read() override {
    const auto at = clock_.now();
    const Joules energy(5.0 * at.time_since_epoch().count());
    return MeterSample{.at = at, .energy = energy, .one_sigma = {energy * 0.01, energy * 0.01}, .rails = {energy, energy}};
  }

 private:
  Clock& clock_;
  MeterInfo info_{
      .name = "free", .boundary = {}, .estimated = false, .refresh = Seconds(1e-3), .error = {}, .error_sources = {"gain", "offset"}};
};

/// range 0: readings in a second; range 1: 1 for a power sensor, whose moments are drawn by lot, 0 for a counter, read at the ends of
/// blocks.
void sampler(benchmark::State& state) {
  const auto clock = real_clock();
  FakeFiles files;
  Host host{files, *clock};
  const Seconds spacing(1.0 / static_cast<double>(state.range(0)));
  FreeMeter meter(*clock, state.range(1) == 1 ? spacing : Seconds(0));
  double share = 0.0, reads = 0.0, seconds = 0.0;
  for (auto _ : state) {
    const Seconds cpu = clock->process_cpu();
    const auto from = clock->now();
    auto window = Window::open(host, meter, state.range(1) == 1 ? std::max(Seconds(0.25), spacing) : spacing).value();
    clock->sleep_until(from + Seconds(2));
    const auto reading = window->close();
    if (!reading) return state.SkipWithError(reading.error().text().c_str());
    share += (clock->process_cpu() - cpu).count();
    seconds += (clock->now() - from).count();
    reads += static_cast<double>(reading->reads);
  }
  state.counters["percent_of_a_core"] = 100.0 * share / seconds;
  state.counters["reads_per_s"] = reads / seconds;
}
BENCHMARK(sampler)
    ->ArgNames({"hz", "by_lot"})
    ->ArgsProduct({{10, 100, 1000}, {0, 1}})
    ->Iterations(1)
    ->Repetitions(5)
    ->ReportAggregatesOnly()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// The part of `sampler` that is the kernel's: a thread that wakes as often and does nothing.
void ticker_alone(benchmark::State& state) {
  const auto clock = real_clock();
  double share = 0.0, seconds = 0.0;
  for (auto _ : state) {
    const Seconds cpu = clock->process_cpu();
    const auto from = clock->now();
    auto ticker = clock->every(Seconds(1.0 / static_cast<double>(state.range(0))), [] {});
    clock->sleep_until(from + Seconds(2));
    ticker.reset();
    share += (clock->process_cpu() - cpu).count();
    seconds += (clock->now() - from).count();
  }
  state.counters["percent_of_a_core"] = 100.0 * share / seconds;
}
BENCHMARK(ticker_alone)
    ->ArgName("hz")
    ->Arg(100)
    ->Iterations(1)
    ->Repetitions(5)
    ->ReportAggregatesOnly()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void look_into_a_window(benchmark::State& state) {
  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  FreeMeter meter(clock, Seconds(0));
  const auto window = Window::open(host, meter, Seconds(1)).value();
  clock.advance(Seconds(static_cast<double>(state.range(0)) + 0.5));
  for (auto _ : state) benchmark::DoNotOptimize(window->so_far());
}
BENCHMARK(look_into_a_window)->ArgName("blocks")->Arg(20)->Arg(200)->Arg(2000)->Unit(benchmark::kMicrosecond);

/// Registers a sample of every meter that is there.
struct Samples {
  Samples() {
    for (const char* fixture : {"x86-intel_pstate-rapl", "jetson-tx2-jp46", "jetson-agx-orin-jp5"}) {
      memory.push_back(std::make_unique<FakeFiles>(loaded(std::string(POLYTHROTTLE_SOURCE_DIR) + "/tests/fixtures/" + fixture)));
      add(Host{*memory.back(), still}, std::string("own_code/") + fixture);
    }
    add(Host{*files, *clock}, "this_machine");
  }
  void add(Host host, const std::string& where) {
    for (const auto* driver : meter_drivers()) {
      if (driver->discover(host, {}).meters.empty()) continue;
      const std::string name = "sample/" + std::string(driver->name) + "/" + where;
      benchmark::RegisterBenchmark(name.c_str(), [host, driver](benchmark::State& state) {
        sample(state, host, driver);
      })->Unit(benchmark::kMicrosecond);
    }
  }

  std::vector<std::unique_ptr<FakeFiles>> memory;
  FakeClock still;
  std::unique_ptr<Files> files = real_files();
  std::unique_ptr<Clock> clock = real_clock();
};
const Samples samples;

}  // namespace
}  // namespace polythrottle
