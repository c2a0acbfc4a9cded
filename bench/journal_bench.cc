// What durability costs: begin and finish of one trial, each a transaction that is on disk when it returns.

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <filesystem>

#include "journal/journal.h"

namespace polythrottle {
namespace {

Outcome outcome() {
  Outcome out;
  for (const auto& row : metric_table()) out.metrics[std::string(row.name)] = {1.25, 0.01, 40, {{"gain", 0.05}}};
  return out;
}

/// `finished`: trials already in the file.
void commit(benchmark::State& state) {
  const auto path = std::filesystem::current_path() / ("journal-bench-" + std::to_string(getpid()) + ".sqlite");
  const auto journal = open_sqlite_journal(path.string(), OpenMode::kCreate).value();
  const Advice advice{Advice::Kind::kTry, Config{{"gpu_max_hz", 1.3e9}, {"mem_hz", 1.6e9}, {"batch", 4.0}}, "EIC 0.03", 0.03};
  for (int i = 0; i < state.range(0); ++i) {
    const auto id = journal->begin(advice, 1, 0.0);
    if (!id || !journal->finish(*id, outcome(), 1.0)) return state.SkipWithError("the journal failed");
  }
  for (auto _ : state) {
    const auto id = journal->begin(advice, 1, 0.0);
    if (!id || !journal->finish(*id, outcome(), 1.0)) return state.SkipWithError("the journal failed");
  }
  state.SetLabel("two commits; file in the working folder");
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path.string() + suffix);
}
BENCHMARK(commit)->ArgName("finished")->Arg(0)->Arg(1000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace polythrottle
