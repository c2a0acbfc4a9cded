#pragma once
// What a stored study says of settings it did not measure: the belief of the optimizer `polythrottle`, rebuilt from the study's file,
// whichever optimizer made its trials. Beside each trial's own error it knows how far repeated trials lie apart (scatter.h).

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "optimizer/belief.h"
#include "study/summary.h"

namespace polythrottle {

/// A change of the objective for the better (worse where negative), relative, as it is believed: predicted, not measured.
struct Predicted {
  double ratio = 0.0;               ///< median
  double low = 0.0, high = 0.0;     ///< 95 % interval
  double probability_better = 0.5;  ///< P(ratio > 0)
  bool spans_zero() const { return low <= 0.0 && high >= 0.0; }
};

/// How likely a setting meets the limits, and which of them is the least likely.
struct Chance {
  double met = 1.0;                     ///< P(all limits hold)
  std::optional<std::size_t> tightest;  ///< index into the constraints; absent: that it runs at all, or there is no limit
  double tightest_met = 1.0;            ///< P(that one holds)
};

/// The objective's metric at a setting, with its 95 % interval.
struct Forecast {
  double value = 0.0, low = 0.0, high = 0.0;
};

/// Movable; everything in it stays valid while it lives.
class StudyPosterior {
 public:
  /// Under the limits that `summary` was made for. Errors: kNotFound, saying what is missing and what to do: the reference was not
  /// measured, fewer than two settings were, a limit's metric never was, the file does not list its candidates; kOutOfRange if the
  /// reference is no candidate; kCorrupt.
  static Result<StudyPosterior> of(const Summary& summary);

  const Problem& problem() const { return problem_; }
  const Space& space() const { return *space_; }
  const Belief& belief() const { return belief_; }
  CandidateId reference() const { return reference_; }
  /// The trials behind it: errors hold the scatter too; of those that were stopped for a limit which is not asked about, the latency is a
  /// guess.
  const std::vector<Trial>& history() const { return history_; }
  /// A completed trial of it knows the objective.
  bool measured(CandidateId id) const;
  /// How many settings were.
  std::size_t measured() const;
  Forecast forecast(CandidateId id) const;
  Chance chance(CandidateId id) const;
  /// What a gain in modelled numbers is of the objective at `base`, relative.
  double relative_gain(CandidateId base, double gain) const;
  /// By how much latency is longer at `to` than at `from`, relative, by the first limit on latency; nullopt where there is none or the
  /// difference is not certain (less than 1.96 standard deviations, taken as uncorrelated, which is on the careful side).
  std::optional<double> slower(CandidateId from, CandidateId to) const;

 private:
  StudyPosterior(std::unique_ptr<const Space> space, Problem problem, std::vector<Trial> history, CandidateId reference)
      : space_(std::move(space)), problem_(std::move(problem)), history_(std::move(history)), reference_(reference) {}

  std::unique_ptr<const Space> space_;
  Problem problem_;  // refers to *space_
  std::vector<Trial> history_;
  CandidateId reference_ = 0;
  Believer believer_;  // behind belief_
  Belief belief_;
};

/// Changes between a few settings, all from one joint belief, because differences are known better than each side.
class Comparison {
 public:
  /// `posterior` must outlive it. Repeated ids count once.
  Comparison(const StudyPosterior& posterior, std::vector<CandidateId> ids);

  /// Of moving from one setting to another, relative to the first. Both must be among the ids.
  Predicted change(CandidateId from, CandidateId to) const;
  /// What two moves give together beyond what each gives alone: of `both` against `neither`, relative to what the product of the separate
  /// effects leaves (for objectives that are not positive: their sum).
  Predicted interaction(CandidateId neither, CandidateId first, CandidateId second, CandidateId both) const;
  /// The settings compared.
  std::size_t settings() const { return places_.size(); }
  /// Those of them that were measured.
  std::size_t measured() const;

 private:
  using Weights = std::vector<std::pair<CandidateId, double>>;
  /// Of the weighted sum of modelled numbers, less being better; `base` is the setting it is relative to where no logarithm is modelled.
  Predicted predicted(const Weights& weights, CandidateId base) const;

  const StudyPosterior& posterior_;
  std::map<CandidateId, long> places_;  // row of the joint belief
  Belief::Joint joint_;
};

}  // namespace polythrottle
