#include "study/what_if.h"

#include <algorithm>
#include <cmath>

namespace polythrottle {
namespace {

WhatIf::Option option_of(const StudyPosterior& posterior, CandidateId id) {
  return {posterior.space().config(id), posterior.chance(id), posterior.forecast(id), {}};
}

/// The first of the largest `score` among settings that were never measured, or not to the end.
template <class Score>
std::optional<CandidateId> best_open(const StudyPosterior& posterior, Score score) {
  std::vector<bool> open(posterior.space().size(), true);
  for (const Visit& v : posterior.belief().visits) open[v.id] = v.trials > 0 && !v.complete && !v.broken;
  std::optional<CandidateId> best;
  for (CandidateId id = 0; id < open.size(); ++id) {
    if (open[id] && (!best || score(id) > score(*best))) best = id;
  }
  return best;
}

/// Where nothing measured meets the limits: the best of what is likely to, else the likeliest.
std::optional<CandidateId> likely_to_meet(const StudyPosterior& posterior) {
  const Belief& belief = posterior.belief();
  return best_open(posterior, [&](CandidateId id) {
    const bool likely = belief.probability(id) >= kConfidence;
    return std::pair(likely, likely ? -belief.objective.posterior.mean(id) : belief.log_feasible(id));
  });
}

}  // namespace

Result<WhatIf> what_if(const Summary& summary) {
  TRY(const auto posterior, StudyPosterior::of(summary));
  WhatIf out;
  if (!summary.best) {
    if (const auto next = likely_to_meet(posterior)) out.next = option_of(posterior, *next);
    return out;
  }
  const auto best = posterior.space().find(summary.best->config);
  if (!best) return fail(Errc::kOutOfRange, "the best setting measured is none of the candidates: " + summary.best->config.text());
  out.best = option_of(posterior, *best);
  const Belief& belief = posterior.belief();
  const double incumbent = belief.objective.posterior.mean(*best);
  const Eigen::VectorXd log_gain = log_expected_improvement(belief.objective.posterior, incumbent, 0.0) + belief.log_feasible;
  const auto next = best_open(posterior, [&](CandidateId id) { return log_gain(id); });
  if (next) {
    out.next = option_of(posterior, *next);
    out.next->saving = Comparison(posterior, {*best, *next}).change(*best, *next);
    out.expected_gain = posterior.relative_gain(*best, std::exp(log_gain(*next)));
  }
  out.settled = out.expected_gain < out.min_gain;
  return out;
}

}  // namespace polythrottle
