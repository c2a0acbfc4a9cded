// The loop around a trial: a whole study of instant trials, so that what remains is asking, journal, bookkeeping.

#include <benchmark/benchmark.h>

#include "host/host.h"
#include "study/runner.h"
#include "workload/recorded.h"

namespace polythrottle {
namespace {

std::string table_of(int rows) {
  std::string text = "workload,gpu_mhz,latency_ms,energy_j_per_inference\n";
  for (int i = 1; i <= rows; ++i)
    text += "n," + std::to_string(i) + "," + std::to_string(1000.0 / i) + "," + std::to_string(1.0 + i) + "\n";
  return text;
}

/// 20 trials of a recorded table with the grid, in a memory journal: items are trials.
void study(benchmark::State& state) {
  const auto files = real_files();
  const auto clock = real_clock();
  Host host{*files, *clock};
  const auto table = parse_recorded_table(table_of(20), "n").value();
  Plan plan;
  plan.limits.push_back(parse_slo("100x").value());
  plan.budget = 20;
  plan.confirm_rounds = 0;
  for (auto _ : state) {
    Device device{.name = "recorded", .host = host, .space = table.space, .reference = table.reference};
    device.workload = recorded_workload(host, table, Seconds(0));
    const auto journal = memory_journal();
    const auto optimizer = make_optimizer("grid").value();
    const auto end = run_study(device, *journal, nullptr, *optimizer, plan, {}, {});
    if (!end) return state.SkipWithError(end.error().what.c_str());
  }
  state.SetItemsProcessed(state.iterations() * 20);
}
BENCHMARK(study)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace polythrottle
