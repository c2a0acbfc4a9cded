#include "replay/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "base/stats.h"
#include "replay/bound.h"
#include "replay/nominal.h"

namespace polythrottle::replay {
namespace {

/// Only the first run of a contender is looked at event by event.
void forget_bulk(ReplayResult& run) {
  run.requests = {};
  run.timeline = {};
  run.records = {};
}

Seconds longest_job(const std::vector<ContenderRuns>& contenders, std::size_t seed) {
  Seconds longest{0};
  for (const auto& contender : contenders) {
    for (const JobOutcome& job : contender.runs[seed].jobs) {
      if (job.time) longest = std::max(longest, job.job.at + *job.time);
    }
  }
  return longest;
}

}  // namespace

Estimate estimate(std::span<const double> values) {
  Estimate out{.mean = mean(values), .count = values.size(), .deviation = std::sqrt(variance(values)), .half_width = {}};
  if (values.size() > 1) {
    const auto n = static_cast<double>(values.size());
    out.half_width = student_quantile(0.975, n - 1.0) * out.deviation / std::sqrt(n);
  }
  return out;
}

std::optional<double> Comparison::ratio_to_bound(const ReplayResult& run) {
  // Of several jobs the last one's bound says nothing about the sum: only a single job is compared.
  if (run.jobs.size() != 1 || !run.jobs.front().time || !run.jobs.front().bound) return std::nullopt;
  return *run.jobs.front().time / *run.jobs.front().bound;
}

Result<Seconds> bound_of(const ReplayOptions& options, const FinetuneJob& job, std::span<const serving::Row> rows,
                         const std::vector<Outcome>& requests) {
  TRY(const auto nominal, Nominal::make(options.board, options.network, options.precision));
  Seconds work{std::numeric_limits<double>::infinity()};
  int largest = 1;
  for (const auto& row : rows) largest = std::max(largest, row.max_batch);
  std::vector<Seconds> batches(static_cast<std::size_t>(largest), work);
  for (const auto& row : rows) {
    work = std::min(work, job_work(nominal.board(), nominal.network(), job, nominal.setting(row.config)));
    const auto times = nominal.fastest_batches(row.config, row.max_batch);
    for (std::size_t i = 0; i < times.size(); ++i) batches[i] = std::min(batches[i], times[i]);
  }
  std::vector<Obligation> kept;
  for (const Outcome& request : requests) {
    if (request.in_time()) kept.push_back({request.arrived, request.deadline});
  }
  return clairvoyant_bound({.submitted = job.at, .work = work, .batch_seconds = batches, .requests = kept});
}

Result<Comparison> compare(const CompareOptions& options, const CompareProgress& progress) {
  Comparison out;
  for (const auto& contender : options.contenders) out.contenders.push_back({contender, {}});
  const bool bounds = !options.base.jobs.empty();
  const std::size_t count = options.seeds * (options.contenders.size() + (bounds ? 1 : 0));
  std::size_t index = 0;
  std::vector<interference::Samples> samples;
  for (const auto& contender : options.contenders) {
    samples.emplace_back();
    if (options.samples) {
      TRY(samples.back(), options.samples(contender));
    }
  }
  for (std::size_t s = 0; s < options.seeds; ++s) {
    ReplayOptions one = options.base;
    one.seed = options.first_seed + s;
    TRY(one.arrivals, options.arrivals(one.seed));
    const auto run = [&](const Contender& contender) {
      one.policy = contender.policy;
      one.predictor = contender.predictor;
      one.rows = contender.rows;
      one.row = contender.row;
      one.row_choice = contender.row_choice;
      one.costs = contender.costs;
      auto result = replay(one, [&](Seconds now) {
        if (progress) progress(index, count, contender, now);
      });
      ++index;
      return result;
    };
    for (std::size_t c = 0; c < out.contenders.size(); ++c) {
      one.samples = samples[c];
      TRY(auto result, run(out.contenders[c].contender));
      if (s > 0) forget_bulk(result);
      out.contenders[c].runs.push_back(std::move(result));
    }
    if (!bounds) continue;
    const Seconds horizon = longest_job(out.contenders, s);
    if (horizon <= Seconds(0)) continue;
    // Rows and clocks of the first contender: what its inference alone keeps is what everybody has to keep.
    one.jobs.clear();
    one.keep_requests = true;
    one.keep_timeline = one.keep_decisions = false;
    one.traffic_until = horizon;
    one.samples = samples.front();
    Contender alone = options.contenders.front();
    alone.name = alone.policy = "inference-only";
    TRY(const auto kept, run(alone));
    for (auto& contender : out.contenders) {
      for (JobOutcome& job : contender.runs[s].jobs) {
        if (!job.time) continue;
        TRY(job.bound, bound_of(one, job.job, contender.contender.rows, kept.requests));
      }
    }
  }
  return out;
}

}  // namespace polythrottle::replay
