#include "study/measure.h"

#include <algorithm>
#include <cmath>

#include "base/stats.h"
#include "study/stretches.h"

namespace polythrottle {
namespace {

constexpr std::size_t kLatencyBlocks = 20;

void add_latency(const Work& work, Metrics& metrics) {
  const std::size_t n = work.completions.size();
  if (n == 0) return;
  std::vector<double> latencies;
  for (const auto& c : work.completions) latencies.push_back(c.latency.count());
  // Blocks in order of completion, so that slow drift inside the window widens the error.
  const std::size_t blocks = std::min(kLatencyBlocks, n);
  std::vector<double> sums(blocks, 0.0), counts(blocks, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    sums[i * blocks / n] += latencies[i];
    counts[i * blocks / n] += 1.0;
  }
  metrics[std::string(kLatencyMean)] = {mean(latencies), ratio_std_error(sums, counts), n, {}};
  std::sort(latencies.begin(), latencies.end());
  for (const auto& row : metric_table()) {
    if (row.quantile <= 0.0) continue;
    metrics[std::string(row.name)] = {sorted_quantile(latencies, row.quantile), sorted_quantile_std_error(latencies, row.quantile), n, {}};
  }
}

/// Joules, inferences and seconds between neighbouring readings of the meter.
struct Blocks {
  std::vector<double> joules, inferences, seconds;
};

/// A batch counts in every block it ran in, by its share of time there: counted where it ends, a batch that is not short against a block
/// would make neighbours look alternately idle and busy, and the error many times too large.
Blocks blocks_of(const Work& work, const WindowReading& reading) {
  Blocks out;
  const auto& samples = reading.samples;
  for (std::size_t i = 1; i < samples.size(); ++i) {
    out.joules.push_back((samples[i].energy - samples[i - 1].energy).si());
    out.inferences.push_back(0.0);
    out.seconds.push_back((samples[i].at - samples[i - 1].at).count());
  }
  if (!work.counted.empty()) {  // done at an even rate
    const double rate = static_cast<double>(work.inferences) / std::max(reading.elapsed.count(), 1e-12);
    for (std::size_t i = 0; i < out.seconds.size(); ++i) out.inferences[i] = rate * out.seconds[i];
    return out;
  }
  for (const auto& c : work.completions) {
    const auto began = c.at - c.latency;
    const double length = std::max(c.latency.count(), 1e-12);
    // The first block that ends behind the batch's beginning.
    auto block = static_cast<std::size_t>(
        std::upper_bound(samples.begin(), samples.end(), began, [](const auto& at, const MeterSample& s) { return at < s.at; }) -
        samples.begin());
    for (block = std::max<std::size_t>(block, 1); block < samples.size() && samples[block - 1].at < c.at; ++block) {
      const auto overlap = std::min(c.at, samples[block].at) - std::max(began, samples[block - 1].at);
      out.inferences[block - 1] += static_cast<double>(c.inferences) * std::max(overlap.count(), 0.0) / length;
    }
  }
  return out;
}

}  // namespace

Metrics measure_latency(const Work& work) {
  Metrics metrics;
  add_latency(work, metrics);
  for (const auto& [name, estimate] : work.summary) metrics.insert_or_assign(name, estimate);
  return metrics;
}

Metrics measure(const Work& work, const WindowReading& whole, const std::vector<std::string>& error_sources) {
  const WindowReading reading = work.counted.empty() ? whole : within(whole, work.counted);
  Metrics metrics = measure_latency(work);
  const double seconds = reading.elapsed.count();
  const double inferences = static_cast<double>(work.inferences);
  if (inferences <= 0.0 || seconds <= 0.0) return metrics;
  const Blocks blocks = blocks_of(work, reading);
  const double joules = reading.energy.si();
  std::vector<SharedError> shared;
  for (std::size_t k = 0; k < reading.one_sigma.size() && k < error_sources.size(); ++k) {
    if (joules > 0.0) shared.push_back({error_sources[k], reading.one_sigma[k].si() / joules});
  }
  const std::size_t n = work.completions.size();
  metrics[std::string(kEnergy)] = {joules / inferences, ratio_std_error(blocks.joules, blocks.inferences), n, shared};
  metrics[std::string(kPower)] = {joules / seconds, ratio_std_error(blocks.joules, blocks.seconds), n, shared};
  metrics[std::string(kThroughput)] = {inferences / seconds, ratio_std_error(blocks.inferences, blocks.seconds), n, {}};
  if (!work.counted.empty()) metrics[std::string(kThroughput)].std_error.reset();  // of a count for the whole, nothing is known
  return metrics;
}

}  // namespace polythrottle
