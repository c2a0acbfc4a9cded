#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/explain.h"
#include "report/report.h"

namespace polythrottle {
namespace {

using Side = Neighbour::Side;
using Verdict = Neighbour::Verdict;
using Binding = KnobExplanation::Binding;

/// Percent with one digit; never "-0.0".
std::string tenths(double ratio) { return fmt::format("{:.1f}", std::round(1000.0 * ratio) / 10.0 + 0.0); }

bool is_clock(Role role) { return role == Role::kComputeClock || role == Role::kHostClock; }

/// "1032MHz is predicted to take 1.2 % (0.4 to 2.0) more, its run 9 % longer".
std::string detail(const Explanation& e, const KnobExplanation& knob, const Neighbour& n) {
  std::string out =
      fmt::format("{} is predicted to {}", knob_text(knob.name, n.value), change_text(e.summary.objective, n.compared->saving));
  const bool about_objective = n.verdict == Verdict::kWorse || n.verdict == Verdict::kFlat;
  if (n.slower && about_objective)
    out += fmt::format(", its run {:.0f} % {}", 100.0 * std::abs(*n.slower), *n.slower > 0.0 ? "longer" : "shorter");
  return out;
}

/// Why a lower clock saves no energy, where the numbers allow to say so: neither the longer run nor the energy is in doubt.
std::string physics(const Explanation& e, const KnobExplanation& knob, const Neighbour& n) {
  if (e.summary.objective.metric != kEnergy || n.side != Side::kBelow || n.slower.value_or(0.0) <= 0.0) return "";
  const bool worse = n.compared->saving.high < 0.0;
  if (!worse && n.verdict != Verdict::kFlat) return "";
  if (is_clock(knob.role)) {
    return fmt::format("; the slower run pays static power for {} the lower clock saves (voltage floor or idle power)",
                       worse ? "longer than" : "about as long as");
  }
  if (knob.role == Role::kMemoryClock) {
    return fmt::format("; memory bandwidth: lower slows the run {} it saves", worse ? "more than" : "about as much as");
  }
  return "";
}

/// A claim about the objective whose 95 % interval spans zero is made with this word.
const char* hedge(const Predicted& change) { return change.spans_zero() ? "probably " : ""; }

/// "the SLO", "the limit power <= 15.00 W".
std::string limit_name(const Explanation& e, std::size_t index) {
  return fmt::format("the {} ({})", index == 0 ? "SLO" : "limit", describe(e.summary.constraints[index]));
}

std::string limit_verdict(const Explanation& e, const KnobExplanation& knob, const Neighbour& n) {
  const Chance& chance = n.compared->chance;
  const std::string p = probability_text(chance.tightest_met);
  if (!chance.tightest) return fmt::format("settings that did not run are near: {}, but runs with P {}", detail(e, knob, n), p);
  return fmt::format("{} {}binds: {}, but meets it with P {}", limit_name(e, *chance.tightest), hedge(n.compared->saving),
                     detail(e, knob, n), p);
}

std::string barred_verdict(const Explanation& e, const KnobExplanation& knob, const Neighbour& n) {
  const Chance& chance = n.compared->chance;
  const std::string p = probability_text(chance.tightest_met), value = knob_text(knob.name, n.value);
  const std::string head = chance.tightest ? fmt::format("{} bars {}, which meets it with P {}", limit_name(e, *chance.tightest), value, p)
                                           : fmt::format("{} is expected not to run (P {} that it does)", value, p);
  return fmt::format("{}; whether it would {} is not known", head, e.summary.objective.direction == Direction::kMinimize ? "save" : "gain");
}

std::string open_verdict(const Explanation& e, const KnobExplanation& knob, const Neighbour& n) {
  return fmt::format("nothing known binds it: {}, and meets the limits with P {}; that setting was {}", detail(e, knob, n),
                     probability_text(n.compared->chance.met), n.compared->measured ? "measured" : "not measured");
}

/// Everything that is known of the sides but `except`.
std::string details(const Explanation& e, const KnobExplanation& knob, const Neighbour* except) {
  std::string out, reasons;
  for (const auto& n : knob.neighbours) {
    if (&n == except || !n.compared) continue;
    out += (out.empty() ? "" : "; ") + detail(e, knob, n);
    reasons += physics(e, knob, n);
  }
  return out + reasons;
}

std::string unknown_verdict(const Explanation& e, const KnobExplanation& knob, const Neighbour& n) {
  return fmt::format("not decided: {}, and meets the limits with P {}", detail(e, knob, n), probability_text(n.compared->chance.met));
}

std::string flat_verdict(const Explanation& e, const KnobExplanation& knob, const Neighbour& n) {
  const char* where = n.side == Side::kBelow ? " below" : n.side == Side::kAbove ? " above" : "";
  return fmt::format("{} is flat{}: {}{}", metric_label(e.summary.objective.metric), where, detail(e, knob, n), physics(e, knob, n));
}

std::string turning_verdict(const Explanation& e, const KnobExplanation& knob) {
  const bool hedged =
      std::any_of(knob.neighbours.begin(), knob.neighbours.end(), [](const Neighbour& n) { return n.compared->saving.spans_zero(); });
  return fmt::format("{} {}{}{}: {}", metric_label(e.summary.objective.metric), hedged ? "probably " : "",
                     e.summary.objective.direction == Direction::kMinimize ? "rises" : "falls",
                     knob.neighbours.size() > 1 ? " on either side" : "", details(e, knob, nullptr));
}

std::string end_verdict(const Explanation& e, const KnobExplanation& knob, const Neighbour& closed) {
  const std::string rest = details(e, knob, &closed);
  return fmt::format("end of its range, at its {} level{}{}", closed.side == Side::kBelow ? "lowest" : "highest", rest.empty() ? "" : ": ",
                     rest);
}

std::string coupled_verdict(const Explanation& e, const KnobExplanation& knob, const Neighbour& closed) {
  const std::string rest = details(e, knob, &closed);
  const char* where = closed.side == Side::kBelow ? "lower levels" : closed.side == Side::kAbove ? "higher levels" : "other labels";
  return fmt::format("{} are not allowed with the other knobs as they are{}{}", where, rest.empty() ? "" : "; ", rest);
}

}  // namespace

std::string percent_text(const Predicted& p) { return fmt::format("{} % ({} to {})", tenths(p.ratio), tenths(p.low), tenths(p.high)); }

std::string change_text(const Objective& objective, const Predicted& p) {
  const bool less = objective.direction == Direction::kMinimize;
  if (p.ratio >= 0.0) return fmt::format("{} {}", less ? "save" : "gain", percent_text(p));
  const Predicted loss{-p.ratio, -p.high, -p.low, 1.0 - p.probability_better};
  return fmt::format("{} {}{}", less ? "take" : "lose", percent_text(loss), less ? " more" : "");
}

std::string probability_text(double p) {
  if (p < 0.005) return "<0.01";
  return p >= 0.995 ? ">0.99" : fmt::format("{:.2f}", p);
}

std::string verdict_text(const Explanation& e, const KnobExplanation& knob) {
  if (knob.binding == Binding::kSingle) return "";
  const Neighbour& decisive = knob.neighbours[knob.decisive];
  switch (knob.binding) {
    case Binding::kOpen: return open_verdict(e, knob, decisive);
    case Binding::kLimit: return limit_verdict(e, knob, decisive);
    case Binding::kBarred: return barred_verdict(e, knob, decisive);
    case Binding::kUnknown: return unknown_verdict(e, knob, decisive);
    case Binding::kFlat: return flat_verdict(e, knob, decisive);
    case Binding::kEnd: return end_verdict(e, knob, decisive);
    case Binding::kCoupled: return coupled_verdict(e, knob, decisive);
    case Binding::kTurns: return turning_verdict(e, knob);
    case Binding::kSingle: break;
  }
  return "";
}

}  // namespace polythrottle
