#pragma once
// Everything that happened, on disk before the machine changes.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "trial/trial.h"

namespace polythrottle {

/// What identifies a study and how it was made: device, model hash, space, SLO, seed, versions. Keys sorted; values are text or JSON text.
using StudyFacts = std::map<std::string, std::string>;

/// Used by one thread.
class Journal {
 public:
  virtual ~Journal() = default;
  /// Facts written by `describe`; empty for a new study.
  virtual Result<StudyFacts> facts() const = 0;
  /// Adds or replaces facts, durably, in one transaction.
  virtual Status describe(const StudyFacts& facts) = 0;
  /// The trial is on disk (synchronous=FULL) when this returns.
  virtual Result<TrialId> begin(const Advice& advice, std::uint64_t seed, double wall_seconds) = 0;
  /// One transaction. Errors: kInvalid if the trial is not running.
  virtual Status finish(TrialId id, const Outcome& outcome, double wall_seconds) = 0;
  /// All trials in order of beginning.
  virtual Result<std::vector<Trial>> history() const = 0;
};

enum class OpenMode {
  kCreate,    ///< must not exist yet (an empty file is taken over)
  kResume,    ///< must exist
  kReadOnly,  ///< must exist; writes nothing, not even a WAL file beside it where that can be avoided
};

/// A study file: SQLite, WAL mode, schema in src/journal/schema. Errors: kNotFound, kPermission, kCorrupt (no study, damaged, or a newer
/// schema), kInvalid (kCreate and it holds a study), kBusy (another process is writing it), kIo (disk full).
Result<std::unique_ptr<Journal>> open_sqlite_journal(const std::string& path, OpenMode mode);
/// In memory: for tests and for `tune` without --study.
std::unique_ptr<Journal> memory_journal();

}  // namespace polythrottle
