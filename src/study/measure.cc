#include "study/measure.h"

#include <algorithm>

#include "base/stats.h"
#include "study/blocks.h"
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

/// Are single batches known, all of the time? Else only a count for the whole is.
bool batches_known(const Work& work) { return !work.completions.empty() && work.counted.empty(); }

/// Inferences of the window. Where it begins in the middle of a run (study/sizing.h) a batch that was under way counts by its share in it.
/// Where batches overlap, those under way at the end are not known, so that shares at the beginning alone would be too few: they count
/// whole where they end.
double inferences_in(const Work& work, const WindowReading& reading, std::span<const Block> blocks) {
  double busy = 0.0;
  for (const auto& c : work.completions) {
    const auto opened = reading.samples.empty() ? work.began : reading.samples.front().at;
    busy += std::max(0.0, (c.at - std::max<Clock::TimePoint>(opened, c.at - c.latency)).count());
  }
  const bool one_at_a_time = busy <= 1.05 * sum_of(blocks, &Block::seconds);
  return batches_known(work) && one_at_a_time ? sum_of(blocks, &Block::inferences) : static_cast<double>(work.inferences);
}

std::vector<SharedError> shared_errors(const WindowReading& reading, const std::vector<std::string>& sources) {
  std::vector<SharedError> out;
  const double joules = reading.energy.si();
  for (std::size_t k = 0; k < reading.one_sigma.size() && k < sources.size(); ++k) {
    if (joules > 0.0) out.push_back({sources[k], reading.one_sigma[k].si() / joules});
  }
  return out;
}

}  // namespace

Metrics measure_latency(const Work& work) {
  Metrics metrics = work.summary;
  add_latency(work, metrics);
  for (const auto& [name, estimate] : work.summary) metrics.insert_or_assign(name, estimate);
  return metrics;
}

Estimate power_of(const WindowReading& reading, const std::vector<std::string>& error_sources) {
  const double watts = reading.elapsed > Seconds(0) ? reading.energy.si() / reading.elapsed.count() : 0.0;
  const auto relative = relative_error(blocks_of({}, reading), reading.own_error, &Block::seconds);
  return {watts, relative ? std::optional(*relative * watts) : std::nullopt, {}, shared_errors(reading, error_sources)};
}

Metrics measure(const Work& work, const WindowReading& whole, const std::vector<std::string>& error_sources) {
  const WindowReading reading = work.counted.empty() ? whole : within(whole, work.counted);
  Metrics metrics = measure_latency(work);
  const auto blocks = blocks_of(work, reading);
  const double seconds = reading.elapsed.count();
  const double inferences = inferences_in(work, reading, blocks);
  if (inferences <= 0.0 || seconds <= 0.0) return metrics;
  const double joules = reading.energy.si();
  // Without single batches the work of a block is not known: then the power's error stands for the energy's.
  const auto work_done = batches_known(work) ? &Block::inferences : &Block::seconds;
  const auto samples = work.completions.empty() ? std::nullopt : std::optional(work.completions.size());
  const double each = joules / inferences;
  const auto relative = relative_error(blocks, reading.own_error, work_done);
  metrics[std::string(kEnergy)] = {each, relative ? std::optional(*relative * each) : std::nullopt, samples,
                                   shared_errors(reading, error_sources)};
  Estimate power = power_of(reading, error_sources);
  power.samples = samples;
  metrics[std::string(kPower)] = std::move(power);
  const auto scatter = batches_known(work) ? scatter_of_ratio(blocks, &Block::inferences, &Block::seconds) : std::nullopt;
  metrics[std::string(kThroughput)] = {inferences / seconds, scatter, samples, {}};
  return metrics;
}

}  // namespace polythrottle
