#pragma once
// A study whose numbers no longer hold: the machine is not the one that was measured.

#include <optional>
#include <string>

#include "journal/journal.h"

namespace polythrottle {

struct Stale {
  std::string reason;   ///< one line for people
  double wall_seconds;  ///< since the Unix epoch, when it was found
};

/// Durable. The first mark stays: what came after it was seen on a machine that was already another. Errors: those of the journal.
Status mark_stale(Journal& journal, const Stale& stale);
/// The same of a file that nobody else writes. Errors: those of opening it as well.
Status mark_stale(const std::string& path, const Stale& stale);
/// nullopt: not marked. A mark that cannot be read counts, with a reason that says so.
std::optional<Stale> stale_of(const StudyFacts& facts);
/// "it is stale: REASON; tune again"
std::string stale_text(const Stale& stale);

}  // namespace polythrottle
