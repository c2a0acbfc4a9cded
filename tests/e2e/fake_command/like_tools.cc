// The forms in which tools print; numbers are made up here. Sources of the forms: src/workload/presets.cc.
#include <cstdio>
#include <vector>

#include "modes.h"

namespace fake {
namespace {

/// Batches back to back for the task's duration.
int run(const Task& task) {
  int count = 0;
  for (const double until = now() + task.duration; now() < until; ++count) work(task.latency);
  return count;
}

void say(const char* text) {
  std::printf("[11/23/2026-10:00:00] [I] %s\n", text);
  std::fflush(stdout);
}

int trtexec(const Task& task, bool all_percentiles) {
  say("=== Model Options ===");
  say("Loaded engine with size: 1 MiB");
  work(task.load);
  say("Starting inference");
  const double began = now();
  const int count = run(task);
  const double took = now() - began, ms = 1e3 * task.latency;
  std::printf("[11/23/2026-10:00:00] [I] Warmup completed 3 queries over 200 ms\n");
  std::printf("[11/23/2026-10:00:00] [I] Timing trace has %d queries over %g s\n", count, took);
  say("Average on 10 runs - GPU latency: 1.1 ms - Host latency: 1.2 ms (enqueue 0.3 ms)");
  say("=== Performance summary ===");
  std::printf("[11/23/2026-10:00:00] [I] Throughput: %g qps\n", count / took);
  std::printf("[11/23/2026-10:00:00] [I] Latency: min = %g ms, max = %g ms, mean = %g ms, median = %g ms", 0.9 * ms, 2 * ms, ms, 0.98 * ms);
  if (all_percentiles) std::printf(", percentile(90%%) = %g ms, percentile(95%%) = %g ms", 1.1 * ms, 1.2 * ms);
  std::printf(", percentile(99%%) = %g ms\n", 1.5 * ms);
  say("Enqueue Time: min = 77 ms, max = 77 ms, mean = 77 ms, median = 77 ms, percentile(95%) = 77 ms, percentile(99%) = 77 ms");
  say("H2D Latency: min = 77 ms, max = 77 ms, mean = 77 ms, median = 77 ms, percentile(95%) = 77 ms, percentile(99%) = 77 ms");
  say("Total Host Walltime: 3.0 s");
  std::printf("&&&& PASSED TensorRT.trtexec [TensorRT v100200] # trtexec\n");
  return 0;
}

int perf_analyzer(const Task& task) {
  work(task.load);
  std::printf("*** Measurement Settings ***\n  Batch size: %d\n  Measurement window: 5000 msec\n\nRequest concurrency: 1\n", task.batch);
  std::fflush(stdout);
  const double began = now();
  const int count = run(task);
  const double took = now() - began, us = 1e6 * task.latency;
  std::printf("  Client: \n    Request count: %d\n    Throughput: %g infer/sec\n", count, count * task.batch / took);
  std::printf("    Avg latency: %.0f usec (standard deviation 5 usec)\n    p50 latency: %.0f usec\n    p90 latency: %.0f usec\n", us,
              0.98 * us, 1.1 * us);
  std::printf("    p95 latency: %.0f usec\n    p99 latency: %.0f usec\n", 1.2 * us, 1.5 * us);
  std::printf("  Server: \n    Inference count: 7\n    Avg request latency: 7 usec (overhead 1 usec + queue 2 usec)\n\n");
  std::printf("Inferences/Second vs. Client Average Batch Latency\nConcurrency: 1, throughput: 7 infer/sec, latency 7 usec\n");
  return 0;
}

int llama_bench(const Task& task, int tests) {
  const int repetitions = 5;
  std::fprintf(stderr, "llama-bench: benchmark 1/%d: starting\n", tests);
  work(task.load);
  std::fprintf(stderr, "llama-bench: benchmark 1/%d: warmup prompt run\n", tests);
  std::vector<double> seconds;
  for (int i = 1; i <= repetitions; ++i) {
    std::fprintf(stderr, "llama-bench: benchmark 1/%d: prompt run %d/%d\n", tests, i, repetitions);
    work(task.duration / repetitions);
    seconds.push_back(task.latency);
  }
  std::printf("{\"build_number\": 5163, \"model_filename\": \"a.gguf\", \"n_prompt\": %d, \"n_gen\": 0, \"n_depth\": 0, \"samples_ns\": [ ",
              16 * task.batch);
  for (std::size_t i = 0; i < seconds.size(); ++i) std::printf("%s%.0f", i > 0 ? ", " : "", 1e9 * seconds[i]);
  std::printf(" ],\"samples_ts\": [ 1.0, 1.0, 1.0, 1.0, 1.0 ]}\n");
  return 0;
}

}  // namespace

int print_like(const std::string& mode, const Task& task) {
  if (mode == "trtexec" || mode == "trtexec-8.4") return trtexec(task, mode == "trtexec");
  if (mode == "perf_analyzer") return perf_analyzer(task);
  if (mode == "llama-bench" || mode == "llama-bench-2") return llama_bench(task, mode == "llama-bench" ? 1 : 2);
  if (mode == "no-begin" || mode == "no-count" || mode == "never") {
    const int count = run(task);
    if (mode != "never") std::printf("mean: %g ms\n", 1e3 * task.latency);
    if (mode == "no-begin") std::printf("did %d batches\n", count);
    std::printf("bye\n");
    return 0;
  }
  return -1;
}

}  // namespace fake
