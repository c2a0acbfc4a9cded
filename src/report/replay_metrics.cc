#include "report/replay_metrics.h"

#include <array>
#include <vector>

namespace polythrottle {
namespace {

using replay::LatencySummary;
using replay::ReplayResult;
using Number = std::optional<double>;

Number percentile(const ReplayResult& run, Seconds LatencySummary::*member) {
  return run.latency ? Number(((*run.latency).*member).count()) : std::nullopt;
}
Number joules(const std::optional<Joules>& energy) { return energy ? Number(energy->si()) : std::nullopt; }
Number count(std::size_t n) { return static_cast<double>(n); }

Number bound(const ReplayResult& run) {
  if (run.jobs.size() != 1 || !run.jobs.front().bound) return std::nullopt;
  return run.jobs.front().bound->count();
}
Number beside_jobs(const ReplayResult& run) {
  return run.beside_jobs.requests > 0 ? Number(run.beside_jobs.violations_ratio()) : std::nullopt;
}
Number pieces(const ReplayResult& run) {
  std::size_t sum = 0;
  for (const auto& job : run.jobs) sum += job.pieces;
  return run.jobs.empty() ? std::nullopt : count(sum);
}
Number steps(const ReplayResult& run) {
  long sum = 0;
  for (const auto& job : run.jobs) sum += job.steps_done();
  return run.jobs.empty() ? std::nullopt : Number(static_cast<double>(sum));
}

constexpr std::array kMetrics{
    ReplayMetric{"requests", "requests", ReplayUnit::kCount, false, false, [](const ReplayResult& r) { return count(r.counted.requests); }},
    ReplayMetric{"answered", "answered", ReplayUnit::kCount, false, false, [](const ReplayResult& r) { return count(r.counted.answered); }},
    ReplayMetric{"late", "answered late", ReplayUnit::kCount, false, false, [](const ReplayResult& r) { return count(r.counted.late); }},
    ReplayMetric{"dropped", "dropped", ReplayUnit::kCount, false, false, [](const ReplayResult& r) { return count(r.counted.dropped()); }},
    ReplayMetric{"violations_ratio", "violations", ReplayUnit::kPercent, false, true,
                 [](const ReplayResult& r) { return Number(r.counted.violations_ratio()); }},
    ReplayMetric{"drops_ratio", "drops", ReplayUnit::kPercent, false, true,
                 [](const ReplayResult& r) { return Number(r.counted.drops_ratio()); }},
    ReplayMetric{"violations_ratio_with_job", "violations until the job ended", ReplayUnit::kPercent, true, true, beside_jobs},
    ReplayMetric{"latency_p50_seconds", "latency p50", ReplayUnit::kSeconds, false, true,
                 [](const ReplayResult& r) { return percentile(r, &LatencySummary::p50); }},
    ReplayMetric{"latency_p95_seconds", "latency p95", ReplayUnit::kSeconds, false, true,
                 [](const ReplayResult& r) { return percentile(r, &LatencySummary::p95); }},
    ReplayMetric{"latency_p99_seconds", "latency p99", ReplayUnit::kSeconds, false, true,
                 [](const ReplayResult& r) { return percentile(r, &LatencySummary::p99); }},
    ReplayMetric{"latency_max_seconds", "latency, longest", ReplayUnit::kSeconds, false, true,
                 [](const ReplayResult& r) { return percentile(r, &LatencySummary::max); }},
    ReplayMetric{"batch_mean", "mean batch", ReplayUnit::kNumber, false, true,
                 [](const ReplayResult& r) { return r.batches > 0 ? Number(r.mean_batch) : std::nullopt; }},
    ReplayMetric{"job_seconds", "job, submission to end", ReplayUnit::kSeconds, true, true,
                 [](const ReplayResult& r) { return r.job_seconds ? Number(r.job_seconds->count()) : std::nullopt; }},
    ReplayMetric{"job_bound_seconds", "job, clairvoyant bound", ReplayUnit::kSeconds, true, true, bound},
    ReplayMetric{"job_over_bound_ratio", "job over bound", ReplayUnit::kRatio, true, true, &replay::Comparison::ratio_to_bound},
    ReplayMetric{"job_steps", "job steps", ReplayUnit::kCount, true, false, steps},
    ReplayMetric{"job_pieces", "job steps, in pieces", ReplayUnit::kCount, true, false, pieces},
    ReplayMetric{"energy_joules", "energy", ReplayUnit::kJoules, false, true, [](const ReplayResult& r) { return Number(r.energy.si()); }},
    ReplayMetric{"energy_joules_to_job_end", "energy until the job ended", ReplayUnit::kJoules, true, true,
                 [](const ReplayResult& r) { return joules(r.energy_to_job_end); }},
    ReplayMetric{"energy_joules_per_request", "energy per answered request", ReplayUnit::kJoules, false, true,
                 [](const ReplayResult& r) { return joules(r.energy_per_answer); }},
    ReplayMetric{"row_changes", "changes of clocks", ReplayUnit::kCount, false, false,
                 [](const ReplayResult& r) { return count(r.row_changes); }},
    ReplayMetric{"decisions", "decisions", ReplayUnit::kCount, false, false,
                 [](const ReplayResult& r) { return Number(static_cast<double>(r.decisions)); }},
};

}  // namespace

std::span<const ReplayMetric> replay_metrics() { return kMetrics; }

std::optional<replay::Estimate> over_seeds(const ReplayMetric& metric, const replay::ContenderRuns& contender) {
  std::vector<double> values;
  for (const auto& run : contender.runs) {
    if (const auto value = metric.value(run)) values.push_back(*value);
  }
  if (values.empty()) return std::nullopt;
  return replay::estimate(values);
}

}  // namespace polythrottle
