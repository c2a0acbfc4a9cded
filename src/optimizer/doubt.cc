#include "optimizer/doubt.h"

#include <algorithm>
#include <optional>

namespace polythrottle {
namespace {

using Eigen::Index;

/// An observation this many deviations above what the others say of it is a suspect: one in 2000 by chance.
constexpr double kSurprise = 3.3;
/// It is not believed, before it is seen again, where the data are this much likelier without it (ln): outliers are about one in 20.
constexpr double kOutlierOdds = 3.0;
constexpr int kDoubts = 2;
/// An earlier study may make this one's numbers so much less likely (ln) and is still kept.
constexpr double kBenefitOfDoubt = 1.0;
/// Chi-square for each number beyond which a study is of no machine the prior knows.
constexpr double kImplausible = 8.0;
/// Fewer numbers cannot tell an outlier from a prior that is wrong.
constexpr std::size_t kLeastToDoubt = 6;

/// The seen-once observation that is highest above what the others say; nullopt if none is far above.
std::optional<FieldObservation> suspect_of(const Field& field, const std::vector<Visit>& visits) {
  std::optional<FieldObservation> worst;
  double highest = kSurprise;
  for (Index i = 0; i < field.first_surprises().size(); ++i) {
    const auto& o = field.observations()[static_cast<std::size_t>(i)];
    const bool seen_once =
        std::any_of(visits.begin(), visits.end(), [&](const Visit& v) { return static_cast<Index>(v.id) == o.row && v.trials == 1; });
    if (o.task != 0 || !seen_once || !(field.first_surprises()(i) > highest)) continue;
    highest = field.first_surprises()(i), worst = o;
  }
  return worst;
}

/// `observations` with the suspect as a plain measurement of `variance`; what else was made of the same look at it is left out.
std::vector<FieldObservation> with_suspect(std::vector<FieldObservation> observations, FieldObservation suspect, double variance) {
  std::erase_if(observations, [&](const auto& o) { return o.task == 0 && o.row == suspect.row && o.output == suspect.output; });
  suspect.censored = false;
  suspect.variance = variance;
  observations.push_back(suspect);
  return observations;
}

/// Do these numbers contradict every simulated machine? Their chi-square under the prior before any scale was fitted; half of a sound
/// study's are below 1 for each number, and a machine with everything upside down has tens.
bool defies_physics(const std::vector<const FieldPrior*>& priors, const RelativeKnobs& knobs,
                    const std::vector<FieldObservation>& observations) {
  const FieldScales scales;
  const double likely = Field::log_likelihood(priors, knobs, observations, scales.median);
  std::vector<FieldObservation> average = observations;
  for (auto& o : average) o.value = static_cast<double>(priors[static_cast<std::size_t>(o.output)]->mean(o.row));
  const double most = Field::log_likelihood(priors, knobs, average, scales.median);
  return 2.0 * (most - likely) > kImplausible * static_cast<double>(observations.size());
}

}  // namespace

Result<Field> fit_with_doubt(const std::vector<const FieldPrior*>& priors, const RelativeKnobs& knobs,
                             std::vector<FieldObservation> observations, const std::vector<Visit>& visits, std::vector<Index>& doubted) {
  TRY(auto field, Field::fit(priors, knobs, std::move(observations)));
  for (int round = 0; round < kDoubts && field.observations().size() >= kLeastToDoubt; ++round) {
    const auto suspect = suspect_of(field, visits);
    if (!suspect) break;
    const double fitted = field.scale(suspect->output == 0 ? FieldScales::kNoise : FieldScales::kSecondNoise);
    const double variance = std::max(suspect->variance.value_or(fitted * fitted), 1e-6);
    TRY(const Field believing, Field::fit(priors, knobs, with_suspect(field.observations(), *suspect, variance)));
    TRY(auto doubting, Field::fit(priors, knobs, with_suspect(field.observations(), *suspect, kDisbelief * variance)));
    if (!(doubting.log_posterior() > believing.log_posterior() + kOutlierOdds)) break;
    doubted.push_back(suspect->row);
    field = std::move(doubting);
  }
  return field;
}

Result<std::set<int>> studies_that_help(const std::vector<const FieldPrior*>& priors, const RelativeKnobs& knobs,
                                        const std::vector<FieldObservation>& all_observations,
                                        const std::vector<FieldObservation>& earlier) {
  std::set<int> studies, kept;
  // A bound is no reading: what stopped trials say is left out of this comparison, with the guess that goes with each.
  std::set<std::pair<Index, int>> stopped;
  for (const auto& o : all_observations) {
    if (o.censored) stopped.emplace(o.row, o.output);
  }
  std::vector<FieldObservation> observations = all_observations;
  std::erase_if(observations, [&](const auto& o) { return stopped.contains({o.row, o.output}); });
  for (const auto& o : earlier) studies.insert(o.task);
  if (studies.empty()) return kept;
  std::vector<FieldObservation> before;
  TRY(const Field alone, Field::fit(priors, knobs, observations));
  double best = Field::log_likelihood(priors, knobs, observations, alone.scales());
  for (const int study : studies) {
    std::vector<FieldObservation> own, more = before;
    for (const auto& o : earlier) {
      if (o.task == study) own.push_back(o), more.push_back(o);
    }
    if (defies_physics(priors, knobs, own)) continue;
    std::vector<FieldObservation> all = more;
    all.insert(all.end(), observations.begin(), observations.end());
    TRY(const Field field, Field::fit(priors, knobs, all));
    // What this study's numbers are worth once those of the others are known.
    const double likelihood =
        Field::log_likelihood(priors, knobs, all, field.scales()) - Field::log_likelihood(priors, knobs, more, field.scales());
    if (likelihood < best - kBenefitOfDoubt) continue;
    best = std::max(best, likelihood), before = std::move(more);
    kept.insert(study);
  }
  return kept;
}

}  // namespace polythrottle
