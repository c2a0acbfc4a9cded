#include "optimizer/space_prior.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string_view>

namespace polythrottle {
namespace {

using Eigen::Index;

/// Of each earlier study at most so many settings: more teach little and cost time at every suggestion.
constexpr std::size_t kEarlierSettings = 24;

std::uint64_t mixed(std::uint64_t hash, std::uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
  return hash ^ (hash >> 29);
}

std::uint64_t mixed(std::uint64_t hash, std::string_view text) { return mixed(hash, std::hash<std::string_view>{}(text)); }

/// Straight lines in the knobs and nothing else: for metrics of which the simulations say nothing (temperature, memory).
FieldPrior linear_prior(const RelativeKnobs& knobs) {
  FieldPrior prior{Eigen::VectorXf::Zero(knobs.rows()), RowMatrix::Zero(knobs.rows(), static_cast<Index>(knobs.knobs().size()))};
  for (Index row = 0; row < knobs.rows(); ++row) {
    for (std::size_t k = 0; k < knobs.knobs().size(); ++k) {
      if (knobs.knobs()[k].role == Role::kCategory) continue;
      prior.basis(row, static_cast<Index>(k)) = 0.3F * (knobs.logs(row)[k] - knobs.reference_logs()[k]);
    }
  }
  return prior;
}

}  // namespace

SpacePrior::SpacePrior(const Problem& problem) : earlier_(problem.search.earlier), knobs_(problem.space, problem.reference) {
  for (std::size_t s = 0; s < earlier_.size(); ++s) add_rows(s);
  physics_ = physics_prior(knobs_, {.seed = problem.seed});
}

std::uint64_t SpacePrior::fingerprint(const Problem& problem) {
  std::uint64_t hash = mixed(problem.seed + 1, problem.space.size());
  for (const auto& p : problem.space.parameters()) {
    hash = mixed(mixed(mixed(hash, p.name), p.unit), static_cast<std::uint64_t>(p.role));
    for (const auto& level : p.levels) hash = mixed(hash, to_text(level));
  }
  for (CandidateId id = 0; id < problem.space.size(); ++id) {
    for (const std::uint16_t level : problem.space.levels(id)) hash = hash * 0x100000001b3ULL ^ level;
  }
  hash = mixed(hash, problem.reference.text());
  for (const auto& earlier : problem.search.earlier) {
    hash = mixed(mixed(mixed(hash, earlier.name), earlier.reference.text()), earlier.history.size());
    for (const auto& p : earlier.parameters) hash = mixed(mixed(hash, p.name), static_cast<std::uint64_t>(p.role));
    for (const auto& trial : earlier.history) {
      hash = mixed(mixed(hash, trial.asked.text()), static_cast<std::uint64_t>(trial.state));
      for (const auto& [name, estimate] : trial.metrics()) hash = mixed(mixed(hash, name), std::bit_cast<std::uint64_t>(estimate.value));
    }
  }
  return hash;
}

void SpacePrior::add_rows(std::size_t study) {
  const EarlierStudy& old = earlier_[study];
  std::vector<const Trial*> useful;
  for (const Trial& trial : old.history) {
    if (trial.state == TrialState::kCompleted) useful.push_back(&trial);
  }
  const std::size_t stride = (useful.size() + kEarlierSettings - 1) / kEarlierSettings;
  for (std::size_t i = 0; i < useful.size(); i += std::max<std::size_t>(stride, 1)) {
    const Index row = knobs_.rows();
    if (knobs_.add(old.parameters, old.reference, useful[i]->asked)) earlier_rows_.push_back({row, useful[i], study});
  }
}

std::vector<FieldObservation> SpacePrior::earlier_observations(const std::string& metric, int output) const {
  std::vector<FieldObservation> out;
  for (std::size_t s = 0; s < earlier_.size(); ++s) {
    const std::vector<Trial> taught = teaching(earlier_[s].history);
    const auto how = modelled(metric, {}, taught, earlier_[s].reference);
    if (!how || !how->logarithm) continue;
    for (const EarlierRow& at : earlier_rows_) {
      const auto value = at.study == s ? value_of(at.trial->metrics(), metric) : std::nullopt;
      if (!value) continue;
      FieldObservation o{.row = at.row, .output = output, .value = how->of(*value), .task = static_cast<int>(s) + 1};
      if (!state_error(o, *how, at.trial->metrics().find(metric)->second)) continue;
      out.push_back(o);
    }
  }
  return out;
}

const FieldPrior& SpacePrior::of(const std::string& metric, bool negated) {
  if (negated) {
    const FieldPrior& plain = of(metric);
    return derived_.try_emplace("-" + metric, FieldPrior{-plain.mean, -plain.basis}).first->second;
  }
  if (is_latency(metric)) return physics_.latency;
  if (is_energy(metric)) return physics_.energy;
  const bool known = metric == kPower || metric == kThroughput;
  const std::string key = known ? metric : std::string();
  if (const auto it = derived_.find(key); it != derived_.end()) return it->second;
  if (!known) return derived_.emplace(key, linear_prior(knobs_)).first->second;
  const float energy = metric == kPower ? 1.0F : 0.0F;
  return derived_
      .emplace(key, FieldPrior{energy * physics_.energy.mean - physics_.latency.mean + log_batch(knobs_),
                               energy * physics_.energy.basis - physics_.latency.basis})
      .first->second;
}

}  // namespace polythrottle
