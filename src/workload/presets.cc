#include "workload/presets.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <array>
#include <nlohmann/json.hpp>

#include "trial/json.h"

namespace polythrottle {
namespace {

/// NVIDIA trtexec. "[date] [I] Starting inference", its warm-up and the timed queries, "Timing trace has N queries over S s" (an explicit
/// batch is one query), and a line "Latency: min = ... ms, max = ..., mean = ..., median = ..., percentile(99%) = ...". Other lines have
/// such numbers too ("H2D Latency: ...", "GPU Compute Time: ...", up to 8.0 "End-to-End Host Latency: ..."). 8.0 and 8.4 print one
/// percentile, the 99th unless told otherwise, 8.6 and later three or more. Source: TensorRT samples/trtexec/trtexec.cpp and
/// samples/common/sampleReporting.cpp, and logs that users put into issues 2129, 3083 and 4177 of NVIDIA/TensorRT.
const std::array kTrtexec{Pattern{"begin", R"(\[I\] Starting inference)"},
                          Pattern{"end", R"(\[I\] Timing trace has \d+ queries over )"},
                          Pattern{"batches", R"(\[I\] Timing trace has (\d+) queries over )"},
                          Pattern{"timed_seconds", R"(\[I\] Timing trace has \d+ queries over ([0-9.e+-]+) s)"},
                          Pattern{"mean_ms", R"(\[I\] Latency: .*\bmean = ([0-9.e+-]+) ms)"},
                          Pattern{"p50_ms", R"(\[I\] Latency: .*\bmedian = ([0-9.e+-]+) ms)"},
                          Pattern{"p95_ms", R"(\[I\] Latency: .*\bpercentile\(95%\) = ([0-9.e+-]+) ms)"},
                          Pattern{"p99_ms", R"(\[I\] Latency: .*\bpercentile\(99%\) = ([0-9.e+-]+) ms)"}};

/// Triton's perf_analyzer. "Request concurrency: N" (or "Request Rate: R ..."), windows until they are stable,
/// then "  Client:" with the mean over those windows; infer/sec counts inferences, not requests. With --percentile=P "Avg latency" is left
/// out. The server's part says "Inference count" and "Avg request latency" instead. Source: perf_analyzer src/inference_profiler.cc and its
/// documentation (docs/measurements_metrics.md), and outputs in pull requests 355, 2264 and 3899 of triton-inference-server/server.
const std::array kPerfAnalyzer{Pattern{"begin", R"(^Request (?:concurrency|Rate): )"},
                               Pattern{"end", R"(^\s*Client:\s*$)"},
                               Pattern{"inferences_per_second", R"(^\s+Throughput: ([0-9.e+-]+) infer/sec)"},
                               Pattern{"mean_us", R"(^\s+Avg latency: ([0-9.]+) usec)"},
                               Pattern{"p50_us", R"(^\s+p50 latency: ([0-9.]+) usec)"},
                               Pattern{"p95_us", R"(^\s+p95 latency: ([0-9.]+) usec)"},
                               Pattern{"p99_us", R"(^\s+p99 latency: ([0-9.]+) usec)"}};

/// Any program that says "latency_ms: 12.3" after each batch, with "inferences: 4" on the same line if it likes; = for : too.
const std::array kLatencyMs{Pattern{"latency_ms", R"(\blatency_ms["']?\s*[:=]?\s*([0-9][0-9.eE+-]*))"},
                            Pattern{"inferences", R"(\blatency_ms\b.*\binferences["']?\s*[:=]?\s*([0-9]+))"}};

/// llama.cpp's llama-bench. With --progress, on standard error, "llama-bench: benchmark 1/1: prompt run 1/5" as each repetition begins
/// (warm-up runs have no number); with -o jsonl, on standard output, one JSON object after the last one. A repetition is a batch, its
/// tokens are the inferences. Source: llama.cpp tools/llama-bench/llama-bench.cpp and its README.md.
Result<Said> read_llama_bench(std::string_view line) {
  static const RE2 kRun(R"(^llama-bench: benchmark (\d+)/(\d+): (?:prompt|generation) run 1/)");
  Said said;
  int number = 0, of = 0;
  if (RE2::PartialMatch({line.data(), line.size()}, kRun, &number, &of)) {
    if (of != 1) {
      return fail(Errc::kCorrupt, fmt::format("llama-bench makes {} tests, and one is wanted", of),
                  "prompts: -p 512 -n 0; generation: -p 0 -n 128; one value for each flag");
    }
    said.begins = true;
    return said;
  }
  const std::size_t first = line.find_first_not_of(" \t");
  if (first == std::string_view::npos || line[first] != '{') return said;
  const auto json = parse_json(line);
  if (!json || !json->is_object() || !json->contains("samples_ns")) return said;
  const auto count = [&](const char* name) {
    const auto it = json->find(name);
    return it != json->end() && it->is_number() ? it->get<double>() : 0.0;
  };
  if (count("n_depth") > 0.0) {
    return fail(Errc::kCorrupt, "llama-bench -d: filling the context takes energy that its times leave out", "leave -d out");
  }
  const double tokens = count("n_prompt") + count("n_gen");
  const Json& samples = (*json)["samples_ns"];
  if (!samples.is_array() || samples.empty() || !(tokens >= 1.0 && tokens <= 1e9)) {
    return fail(Errc::kCorrupt, "llama-bench reports no samples, or no tokens");
  }
  for (const auto& sample : samples) {
    const double seconds = sample.is_number() ? sample.get<double>() * 1e-9 : -1.0;
    if (!(seconds > 0.0 && seconds <= 1e6)) {
      return fail(Errc::kCorrupt, fmt::format("llama-bench reports a repetition of {} ns", sample.dump().substr(0, 40)));
    }
    said.latencies.emplace_back(seconds);
  }
  said.inferences = tokens;
  said.ends = true;
  return said;
}

const std::array kPresets{
    Preset{"trtexec", "NVIDIA TensorRT's trtexec, 8.0 to 10",
           "trtexec --percentile=50,95,99 prints those percentiles (8.4 and older take only one)", kTrtexec},
    Preset{"perf_analyzer", "NVIDIA Triton's perf_analyzer",
           "perf_analyzer prints mean and percentiles for one --concurrency-range N; with --percentile the mean is left out",
           kPerfAnalyzer},
    Preset{"llama-bench",
           "llama.cpp's llama-bench",
           "llama-bench needs -o jsonl --progress, and one test: -p 512 -n 0 or -p 0 -n 128",
           {},
           read_llama_bench},
    Preset{"latency_ms", "any program that prints latency_ms: 12.3 after each batch",
           "it must print latency_ms: 12.3 after each batch and flush", kLatencyMs},
};

}  // namespace

std::span<const Preset> presets() { return kPresets; }

}  // namespace polythrottle
