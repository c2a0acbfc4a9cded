#include "replay/submissions.h"

#include <fmt/format.h>

#include <algorithm>

#include "replay/duration.h"

namespace polythrottle::replay {

using serving::Cause;

Submissions::Submissions(const std::vector<FinetuneJob>& jobs) : jobs_(jobs), submitted_at_(jobs.size()) {
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    outcomes_.push_back({.job = jobs[i]});
    by_submission_.push_back(i);
  }
  std::stable_sort(by_submission_.begin(), by_submission_.end(), [&](std::size_t a, std::size_t b) { return jobs_[a].at < jobs_[b].at; });
}

std::optional<Seconds> Submissions::next() const {
  return next_ < by_submission_.size() ? std::optional(jobs_[by_submission_[next_]].at) : std::nullopt;
}

std::optional<std::size_t> Submissions::index(serving::JobId job) const {
  const auto found = index_of_.find(job);
  return found == index_of_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::vector<serving::Action>> Submissions::submit(Seconds now, serving::Core& core, const simulation::Network& network) {
  const std::size_t index = by_submission_[next_++];
  JobOutcome& job = outcomes_[index];
  serving::JobSpec spec = job_spec(network, job.job, fmt::format("job {}", index + 1));
  if (job.job.deadline) spec.deadline = now + *job.job.deadline;
  auto submitted = core.submit(now, std::move(spec));
  if (!submitted) {
    job.why_not = "refused: " + submitted.error().text();
    return std::nullopt;
  }
  index_of_[submitted->id] = index;
  submitted_at_[index] = now;
  return std::move(submitted->actions);
}

void Submissions::step_done(std::size_t index, int items, Seconds took) {
  JobOutcome& job = outcomes_[index];
  job.items_done += items;
  ++job.pieces;
  job.running += took;
}

void Submissions::forget_ended(Seconds now, const serving::Core& core, Joules energy) {
  for (auto it = index_of_.begin(); it != index_of_.end();) {
    const auto pending = core.jobs();
    const bool ended = std::none_of(pending.begin(), pending.end(), [&](const auto& job) { return job.id == it->first; });
    if (!ended) {
      ++it;
      continue;
    }
    outcomes_[it->second].time = now - submitted_at_[it->second];
    last_end_ = now;
    energy_at_end_ = energy;
    it = index_of_.erase(it);
  }
}

/// Why no step has run and none will.
std::optional<Cause> Submissions::never_runs(const serving::Core& core, bool step_runs) const {
  if (step_runs || std::any_of(outcomes_.begin(), outcomes_.end(), [](const JobOutcome& job) { return job.pieces > 0; }))
    return std::nullopt;
  const auto& records = core.records();
  const auto held = std::find_if(records.rbegin(), records.rend(), [](const auto& r) { return r.act == serving::Act::kHoldStep; });
  if (held == records.rend()) return std::nullopt;
  const bool never = held->cause == Cause::kNeverBeside || held->cause == Cause::kNotCalibrated;
  return never ? std::optional(held->cause) : std::nullopt;
}

std::vector<serving::JobId> Submissions::give_up_hopeless(const serving::Core& core, bool step_runs) {
  std::vector<serving::JobId> ids;
  const auto cause = never_runs(core, step_runs);
  if (!cause) return ids;
  for (const auto& [id, index] : index_of_) {
    ids.push_back(id);
    outcomes_[index].why_not = *cause == Cause::kNeverBeside
                                   ? "this policy runs no fine-tuning"
                                   : "the predictor knows no co-runs, so that nothing was admitted (polythrottle interference calibrate)";
  }
  index_of_.clear();
  return ids;
}

void Submissions::give_up(Seconds now, const serving::Core& core) {
  const auto& records = core.records();
  const auto held = std::find_if(records.rbegin(), records.rend(), [](const auto& r) { return r.act == serving::Act::kHoldStep; });
  for (const auto& [id, index] : index_of_) {
    std::string& why_not = outcomes_[index].why_not = fmt::format("given up after {}", duration_text(now));
    const auto pending = core.jobs();
    const auto job = std::find_if(pending.begin(), pending.end(), [id = id](const auto& one) { return one.id == id; });
    if (job != pending.end() && !core.could_run(now, *job->spec)) {
      why_not += fmt::format("; at {:.3g} requests/s its smallest step, of {} items, fits under the SLO at no row", core.arrivals(now).rate,
                             job->spec->pieces.back());
      continue;
    }
    if (held != records.rend()) why_not += "; at last, " + serving::sentence(*held);
  }
}

void Submissions::fill(ReplayResult& result) {
  const bool all_ended =
      !outcomes_.empty() && std::all_of(outcomes_.begin(), outcomes_.end(), [](const auto& job) { return job.time.has_value(); });
  if (all_ended) {
    result.job_seconds = last_end_ - jobs_[by_submission_.front()].at;
    result.energy_to_job_end = energy_at_end_;
  }
  result.jobs = std::move(outcomes_);
}

}  // namespace polythrottle::replay
