#include "replay/slo_schedule.h"

#include <fmt/format.h>

#include <algorithm>

#include "replay/duration.h"

namespace polythrottle::replay {
namespace {

Result<Seconds> above_zero(std::string_view text) {
  auto parsed = parse_duration(text);
  if (parsed && *parsed <= Seconds(0)) return fail(Errc::kInvalid, fmt::format("--slo {}: give a time above zero", text));
  if (!parsed) parsed.error().what = fmt::format("--slo: {}", parsed.error().what);
  return parsed;
}

}  // namespace

Seconds SloSchedule::tightest() const {
  Seconds out = first;
  for (const auto& change : changes) out = std::min(out, change.slo);
  return out;
}

std::string SloSchedule::text() const {
  std::string out = duration_text(first);
  for (const auto& change : changes) out += fmt::format(", from {} on {}", duration_text(change.at), duration_text(change.slo));
  return out;
}

Result<SloSchedule> parse_slo_schedule(std::string_view text) {
  SloSchedule out;
  for (bool first = true;; first = false) {
    const std::size_t comma = text.find(',');
    const std::string_view word = text.substr(0, comma);
    const std::size_t at = word.find('@');
    TRY(const Seconds slo, above_zero(word.substr(0, at)));
    if ((at == std::string_view::npos) != first) {
      return fail(Errc::kInvalid, fmt::format("--slo: '{}' is out of place", word), "write SLO[,SLO@TIME...], as in 250ms,700ms@30s");
    }
    if (first) {
      out.first = slo;
    } else {
      TRY(const Seconds from, above_zero(word.substr(at + 1)));
      if (!out.changes.empty() && from <= out.changes.back().at) {
        return fail(Errc::kInvalid, fmt::format("--slo: '{}' is not after the change before it", word));
      }
      out.changes.push_back({from, slo});
    }
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return out;
}

}  // namespace polythrottle::replay
