#pragma once
// Which knob saves what at a study's best setting, and what keeps that setting where it is: by the posterior, from the study's file alone.

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "study/posterior.h"
#include "study/summary.h"

namespace polythrottle {

/// A setting beside another one.
struct Compared {
  CandidateId id = 0;
  bool measured = false;  ///< this setting was; the change is the posterior's in any case
  Chance chance;          ///< that this setting meets the limits
  Predicted saving;       ///< of the objective, relative
};

/// What is one level away from the best setting along one knob, everything else as it is.
struct Neighbour {
  enum class Side { kBelow, kAbove, kOther };  ///< kOther: a label without order, the one expected to be best
  /// What speaks against going there. Better and worse are claimed with P >= kConfidence.
  enum class Verdict {
    kEnd,         ///< there is no such level
    kNotAllowed,  ///< none of the levels there is a candidate together with the other knobs' values
    kWorse,       ///< the objective
    kLimit,       ///< it is better and not known to meet the limits
    kBarred,      ///< a limit, broken with P >= kConfidence; whether it is better is not known
    kFlat,        ///< it differs by less than kFlatRatio
    kUnknown,     ///< too little is known of it
    kOpen,        ///< nothing: it is predicted to be better and to meet the limits
  };
  /// Less than this, relative, is hardly a change.
  static constexpr double kFlatRatio = 0.02;
  Side side = Side::kBelow;
  Verdict verdict = Verdict::kEnd;
  Value value;                       ///< the nearest allowed level; unset for kEnd and kNotAllowed
  std::optional<Compared> compared;  ///< the saving is that of moving there; absent for kEnd and kNotAllowed
  std::optional<double> slower;      ///< StudyPosterior::slower from the best setting
};

struct KnobExplanation {
  /// What keeps the knob where it is.
  enum class Binding {
    kOpen,     ///< nothing known: `decisive` looks better
    kLimit,    ///< a limit: `decisive` would be better and breaks it
    kBarred,   ///< a limit: `decisive` breaks it, whatever else it does
    kUnknown,  ///< `decisive` is not known well enough to say
    kFlat,     ///< the objective hardly changes: `decisive` makes next to no difference
    kEnd,      ///< its range ends, and the other side is worse
    kCoupled,  ///< the level further on is not allowed, and the other side is worse
    kTurns,    ///< the objective: it is worse on every side
    kSingle,   ///< it has one level
  };
  std::string name;
  Role role = Role::kOther;
  Value at_reference, at_best;
  bool moved = false;             ///< the two differ
  std::optional<Compared> alone;  ///< the reference with this knob moved, saving against the reference; absent: not moved or not allowed
  std::optional<Compared> last;   ///< the best with this knob back, saving of the best against that; absent: not moved or not allowed
  std::vector<Neighbour> neighbours;  ///< below, then above; or the one other label
  Binding binding = Binding::kSingle;
  std::size_t decisive = 0;  ///< of `neighbours`; for kEnd and kCoupled the side that is closed. Unused for kSingle
};

/// Two moved knobs, and how much more they save together than their separate savings, taken one upon the other, suggest.
struct Interaction {
  std::string first, second;
  Predicted more;
};

/// The objective along one knob, everything else as at the best setting.
struct Curve {
  struct Point {
    Value level;
    Forecast predicted;
    double probability_met = 0.0;
    std::optional<Estimate> measured;  ///< pooled over its trials
    bool reference = false, best = false;
  };
  Parameter knob;  ///< levels: those of the points
  std::vector<Point> points;
};

struct Explanation {
  Summary summary;  ///< of the study, under the limits asked about
  Config best;
  bool chosen = false;                   ///< stored in the study; else recommended now, from the posterior
  bool known_to_meet = false;            ///< best meets the limits with P >= kConfidence
  Compared all;                          ///< the best, saving against the reference
  std::vector<KnobExplanation> knobs;    ///< moved ones by saving alone, the largest first, then the others as the space lists them
  std::optional<Interaction> strongest;  ///< of all pairs of moved knobs that can be compared; absent if there is none
  std::optional<Curve> curve;            ///< of the most effective knob; absent if no knob has two levels
  std::size_t compared = 0, compared_measured = 0;  ///< settings behind all these numbers, and those of them that were measured
  std::size_t candidates = 0, measured = 0;         ///< settings of the space, and those of them that were measured
  bool warm_started = false;                        ///< the search knew earlier studies, which are no part of this posterior
};

/// Errors: those of StudyPosterior::of; kNotFound if no setting can be recommended; kOutOfRange if that setting is no candidate.
/// `own_limits`: `summary` was made for the study's own limits, so that its stored choice holds.
Result<Explanation> explain(const Summary& summary, bool own_limits = true);

}  // namespace polythrottle
