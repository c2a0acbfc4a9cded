#include "report/control.h"

#include <fmt/format.h>

#include "report/report.h"

namespace polythrottle {
namespace {

constexpr std::size_t kMostReasons = 5;

/// "Proved by the clock under load: 14 of 18 settings; 3 not contradicted (the load stayed below a limit)."
std::string proof_sentence(const ProofCount& count) {
  if (count.all() == 0) return {};
  std::string rest;
  const auto add = [&](std::size_t settings, const std::string& what) {
    if (settings > 0) rest += fmt::format("{} {} {}", rest.empty() ? ";" : ",", settings, what);
  };
  add(count.not_contradicted, "not contradicted (the load stayed below a limit)");
  add(count.unseen, "not proved (" + count.why_unseen + ")");
  return fmt::format("Proved by the clock under load: {} of {}{}.\n", count.proved, counted(count.all(), "setting", "settings"), rest);
}

/// "Setting a configuration took 2.1 ms (median of 18; most 150 ms), 0.4 ms a write."
std::string actuation_sentence(const Summary& s) {
  if (!s.actuation) return {};
  const ActuationCost& cost = *s.actuation;
  std::string out = fmt::format("Setting a configuration took {} (median of {}; most {}{})", format_metric(kActuation, cost.median_seconds),
                                cost.configurations, format_metric(kActuation, cost.most_seconds),
                                s.provenance == Provenance::kSimulated ? "; simulated" : "");
  if (cost.write_seconds) out += fmt::format(", {} a write", format_metric(kWrite, *cost.write_seconds));
  return out + ".\n";
}

}  // namespace

std::string render_control(const Summary& summary) { return proof_sentence(summary.proofs) + actuation_sentence(summary); }

std::string render_mishaps(const Summary& summary) {
  std::string out;
  std::size_t left_out = 0;
  for (std::size_t i = 0; i < summary.mishaps.size(); ++i) {
    const Mishap& m = summary.mishaps[i];
    if (i < kMostReasons) {
      out += fmt::format("{} {}: {}.\n", counted(m.trials, "trial", "trials"), to_string(m.state), m.note);
    } else {
      left_out += m.trials;
    }
  }
  if (left_out > 0) out += fmt::format("{} void, refused or failed for other reasons.\n", counted(left_out, "trial", "trials"));
  return out;
}

}  // namespace polythrottle
