#include "study/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>

#include "optimizer/optimizer.h"
#include "trial/json.h"

namespace polythrottle {
namespace {

using Side = Neighbour::Side;
using Verdict = Neighbour::Verdict;
using Binding = KnobExplanation::Binding;

bool warm_started(const StudyFacts& facts) {
  const auto text = facts.find(fact::kSearch);
  if (text == facts.end()) return false;
  const auto search = parse_json(text->second);
  if (!search) return false;
  const auto earlier = search->find("warm_start");
  return earlier != search->end() && !earlier->empty();
}

/// The stored choice where it holds and was measured, else what the posterior recommends.
Result<Recommendation> recommended(const Summary& s, const StudyPosterior& posterior, bool own_limits, bool& chosen) {
  if (own_limits) {
    TRY(const auto choice, choice_of(s.facts));
    const auto id = choice ? posterior.space().find(choice->config) : std::nullopt;
    chosen = id && posterior.measured(*id);
    if (chosen) return *choice;
  }
  TRY(const auto optimizer, make_optimizer("polythrottle"));
  const auto now = optimizer->recommend(posterior.problem(), posterior.history());
  if (!now) return fail(Errc::kNotFound, "no setting can be recommended from what the study measured", "measure more settings");
  return *now;
}

/// `base` with some knobs at the values that `from` gives them; nullopt if that is no candidate.
std::optional<CandidateId> with_knobs(const Space& space, CandidateId base, CandidateId from, std::initializer_list<std::size_t> knobs) {
  Config config = space.config(base);
  const Config source = space.config(from);
  for (const std::size_t k : knobs) config.set(space.parameters()[k].name, *source.get(space.parameters()[k].name));
  return space.find(config);
}

/// Builds an explanation in two passes, because one joint belief must hold every setting that is compared.
class Explainer {
 public:
  Explainer(const StudyPosterior& posterior, std::span<const Trial> trials, CandidateId best)
      : posterior_(posterior), trials_(trials), space_(posterior.space()), reference_(posterior.reference()), best_(best) {}

  void fill(Explanation& out) {
    for (std::size_t k = 0; k < space_.parameters().size(); ++k) out.knobs.push_back(places_of(k));
    find_pairs(out.knobs);
    const Comparison comparison(posterior_, ids_);
    out.all = at(best_);
    out.all.saving = comparison.change(reference_, best_);
    for (auto& knob : out.knobs) compare(knob, comparison);
    out.strongest = strongest(out.knobs, comparison);
    out.compared = comparison.settings(), out.compared_measured = comparison.measured();
    out.candidates = space_.size(), out.measured = posterior_.measured();
    out.curve = curve_of(out.knobs);
    sort(out.knobs);
  }

 private:
  struct Pair {
    std::size_t first, second;
    CandidateId both;
  };

  std::uint16_t level(CandidateId id, std::size_t knob) const { return space_.levels(id)[knob]; }

  Compared at(CandidateId id) const { return {id, posterior_.measured(id), posterior_.chance(id), {}}; }
  /// The same, to be compared.
  std::optional<Compared> noted(std::optional<CandidateId> id) {
    if (!id) return std::nullopt;
    ids_.push_back(*id);
    return at(*id);
  }

  std::optional<CandidateId> beside_best(std::size_t knob, std::size_t to) const {
    Config config = space_.config(best_);
    config.set(space_.parameters()[knob].name, space_.parameters()[knob].levels[to]);
    return space_.find(config);
  }

  Neighbour neighbour(std::size_t knob, Side side) {
    const auto count = static_cast<int>(space_.parameters()[knob].levels.size()), here = static_cast<int>(level(best_, knob));
    const int step = side == Side::kBelow ? -1 : 1;
    Neighbour out{.side = side};
    for (int to = here + step; to >= 0 && to < count; to += step) {
      out.verdict = Verdict::kNotAllowed;
      const auto id = beside_best(knob, static_cast<std::size_t>(to));
      if (!id) continue;
      out.value = space_.parameters()[knob].levels[static_cast<std::size_t>(to)];
      out.compared = noted(id);
      break;
    }
    return out;
  }

  /// Labels have no order: of all that are allowed, the one expected to be best.
  Neighbour other_label(std::size_t knob) {
    Neighbour out{.side = Side::kOther, .verdict = Verdict::kNotAllowed};
    const auto& mean = posterior_.belief().objective.posterior.mean;
    std::optional<CandidateId> found;
    for (std::size_t to = 0; to < space_.parameters()[knob].levels.size(); ++to) {
      const auto id = to == level(best_, knob) ? std::nullopt : beside_best(knob, to);
      if (id && (!found || mean(*id) < mean(*found))) found = id;
    }
    if (found) out.value = space_.parameters()[knob].levels[level(*found, knob)];
    out.compared = noted(found);
    return out;
  }

  KnobExplanation places_of(std::size_t k) {
    const Parameter& p = space_.parameters()[k];
    KnobExplanation out{.name = p.name, .role = p.role};
    out.at_reference = p.levels[level(reference_, k)], out.at_best = p.levels[level(best_, k)];
    out.moved = level(reference_, k) != level(best_, k);
    if (out.moved) {
      out.alone = noted(with_knobs(space_, reference_, best_, {k}));
      out.last = noted(with_knobs(space_, best_, reference_, {k}));
    }
    if (p.levels.size() < 2) return out;
    if (!p.ordered()) {
      out.neighbours.push_back(other_label(k));
    } else {
      for (const Side side : {Side::kBelow, Side::kAbove}) out.neighbours.push_back(neighbour(k, side));
    }
    return out;
  }

  void find_pairs(const std::vector<KnobExplanation>& knobs) {
    ids_.push_back(reference_), ids_.push_back(best_);
    for (std::size_t i = 0; i < knobs.size(); ++i) {
      for (std::size_t j = i + 1; j < knobs.size(); ++j) {
        if (!knobs[i].alone || !knobs[j].alone) continue;
        const auto both = with_knobs(space_, reference_, best_, {i, j});
        if (both) pairs_.push_back({i, j, *both}), ids_.push_back(*both);
      }
    }
  }

  void compare(KnobExplanation& knob, const Comparison& comparison) const {
    if (knob.alone) knob.alone->saving = comparison.change(reference_, knob.alone->id);
    if (knob.last) knob.last->saving = comparison.change(knob.last->id, best_);
    for (auto& n : knob.neighbours) {
      if (!n.compared) continue;
      n.compared->saving = comparison.change(best_, n.compared->id);
      n.slower = posterior_.slower(best_, n.compared->id);
      n.verdict = verdict_of(*n.compared);
    }
    bind(knob);
  }

  static Verdict verdict_of(const Compared& there) {
    const Predicted& saving = there.saving;
    if (saving.probability_better <= 1.0 - kConfidence) return Verdict::kWorse;
    if (saving.probability_better >= kConfidence) return there.chance.met < kConfidence ? Verdict::kLimit : Verdict::kOpen;
    if (there.chance.met <= 1.0 - kConfidence) return Verdict::kBarred;
    const bool flat = std::max(std::abs(saving.low), std::abs(saving.high)) <= Neighbour::kFlatRatio;
    return flat ? Verdict::kFlat : Verdict::kUnknown;
  }

  /// The side that says most about why the knob stays: what would be better comes first, then what is not known, then closed ends.
  static void bind(KnobExplanation& knob) {
    static constexpr std::pair<Verdict, Binding> kOrder[] = {
        {Verdict::kOpen, Binding::kOpen},          {Verdict::kLimit, Binding::kLimit}, {Verdict::kBarred, Binding::kBarred},
        {Verdict::kUnknown, Binding::kUnknown},    {Verdict::kFlat, Binding::kFlat},   {Verdict::kEnd, Binding::kEnd},
        {Verdict::kNotAllowed, Binding::kCoupled}, {Verdict::kWorse, Binding::kTurns}};
    for (const auto& [verdict, binding] : kOrder) {
      std::optional<std::size_t> found;
      for (std::size_t i = 0; i < knob.neighbours.size(); ++i) {
        const Neighbour& n = knob.neighbours[i];
        if (n.verdict != verdict) continue;
        if (!found || (n.compared && n.compared->saving.ratio > knob.neighbours[*found].compared->saving.ratio)) found = i;
      }
      if (!found) continue;
      knob.binding = binding, knob.decisive = *found;
      return;
    }
  }

  std::optional<Interaction> strongest(const std::vector<KnobExplanation>& knobs, const Comparison& comparison) const {
    std::optional<Interaction> out;
    for (const auto& [i, j, both] : pairs_) {
      const Predicted more = comparison.interaction(reference_, knobs[i].alone->id, knobs[j].alone->id, both);
      if (!out || std::abs(more.ratio) > std::abs(out->more.ratio)) out = Interaction{knobs[i].name, knobs[j].name, more};
    }
    return out;
  }

  /// The largest change that a knob makes, as far as it is known: moved ones by their savings, others by their neighbours.
  static double effect(const KnobExplanation& knob) {
    double largest = 0.0;
    for (const auto* c : {&knob.alone, &knob.last}) {
      if (*c) largest = std::max(largest, 1.0 + std::abs((*c)->saving.ratio));  // a moved knob comes before every other
    }
    for (const auto& n : knob.neighbours) {
      if (n.compared && !knob.moved) largest = std::max(largest, std::abs(n.compared->saving.ratio));
    }
    return largest;
  }

  std::optional<Curve> curve_of(const std::vector<KnobExplanation>& knobs) const {
    const auto most = std::max_element(knobs.begin(), knobs.end(), [](const auto& a, const auto& b) { return effect(a) < effect(b); });
    if (most == knobs.end() || !(effect(*most) > 0.0)) return std::nullopt;
    const auto k = static_cast<std::size_t>(most - knobs.begin());
    Curve out{.knob = space_.parameters()[k], .points = {}};
    out.knob.levels.clear();
    for (std::size_t to = 0; to < space_.parameters()[k].levels.size(); ++to) {
      const auto id = beside_best(k, to);
      if (!id) continue;
      out.points.push_back(point(*id, space_.parameters()[k].levels[to]));
      out.knob.levels.push_back(out.points.back().level);
    }
    if (out.points.size() < 2) return std::nullopt;
    return out;
  }

  Curve::Point point(CandidateId id, const Value& level) const {
    Curve::Point out{.level = level, .predicted = posterior_.forecast(id), .probability_met = posterior_.belief().probability(id)};
    const Metrics metrics = pooled(trials_, space_.config(id));
    if (const auto it = metrics.find(posterior_.problem().objective.metric); it != metrics.end()) out.measured = it->second;
    out.reference = id == reference_, out.best = id == best_;
    return out;
  }

  static void sort(std::vector<KnobExplanation>& knobs) {
    const auto saving = [](const KnobExplanation& k) { return k.alone ? k.alone->saving.ratio : k.last ? k.last->saving.ratio : 0.0; };
    std::stable_sort(knobs.begin(), knobs.end(),
                     [&](const auto& a, const auto& b) { return a.moved != b.moved ? a.moved : a.moved && saving(a) > saving(b); });
  }

  const StudyPosterior& posterior_;
  std::span<const Trial> trials_;  // as they were measured
  const Space& space_;
  CandidateId reference_, best_;
  std::vector<CandidateId> ids_;
  std::vector<Pair> pairs_;
};

}  // namespace

Result<Explanation> explain(const Summary& summary, bool own_limits) {
  TRY(const auto posterior, StudyPosterior::of(summary));
  Explanation out{.summary = summary, .warm_started = warm_started(summary.facts)};
  TRY(const auto best, recommended(summary, posterior, own_limits, out.chosen));
  out.best = best.config, out.known_to_meet = best.known_to_meet;
  const auto id = posterior.space().find(best.config);
  if (!id) return fail(Errc::kOutOfRange, "the study's best setting is none of its candidates: " + best.config.text());
  Explainer(posterior, summary.trials, *id).fill(out);
  return out;
}

}  // namespace polythrottle
