#pragma once
// What a study file says beside its trials: the names of its facts, and how they read back.

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "journal/journal.h"
#include "optimizer/optimizer.h"
#include "space/space.h"
#include "trial/constraint.h"

namespace polythrottle {

struct StudyEnd;

/// Keys of StudyFacts. Those marked * must be the same when a study is resumed.
namespace fact {
inline constexpr char kProgram[] = "program";  ///< version that made it
inline constexpr char kDevice[] = "device";    ///< * as typed
inline constexpr char kDeviceText[] = "device_description";
inline constexpr char kModel[] = "model";              ///< path as typed; absent for a recorded table
inline constexpr char kSha256[] = "sha256";            ///< * of the model, or of the recorded table
inline constexpr char kCommand[] = "command";          ///< * as typed; absent where no command runs
inline constexpr char kSpace[] = "space";              ///< * JSON list of parameters
inline constexpr char kAllowed[] = "allowed";          ///< * which of their combinations are candidates (Space::ranges)
inline constexpr char kCandidates[] = "candidates";    ///< * number of them
inline constexpr char kReference[] = "reference";      ///< * JSON configuration
inline constexpr char kFound[] = "found";              ///< JSON configuration of the machine's knobs before us; absent without any
inline constexpr char kObjective[] = "objective";      ///< * metric name
inline constexpr char kSlo[] = "slo";                  ///< * as typed
inline constexpr char kConstraints[] = "constraints";  ///< * JSON list, as typed
inline constexpr char kLoad[] = "load";                ///< * "closed loop", or the arrivals of an open one
inline constexpr char kMeter[] = "meter";              ///< * name
inline constexpr char kBoundary[] = "meter_boundary";
inline constexpr char kProvenance[] = "energy_provenance";  ///< measured, estimated, recorded, simulated
inline constexpr char kOptimizer[] = "optimizer";           ///< *
inline constexpr char kSearch[] = "search";                 ///< * JSON: how the optimizer was steered
inline constexpr char kSeed[] = "seed";                     ///< *
inline constexpr char kBudget[] = "budget";
inline constexpr char kConditions[] = "conditions";  ///< * JSON: what else a measurement depends on (--dim, --window, ...)
inline constexpr char kOptions[] = "options";        ///< JSON: what `--resume` needs to set the study up again
inline constexpr char kMachine[] = "machine";        ///< JSON: host, kernel, CPU
inline constexpr char kBaseline[] = "baseline";      ///< JSON: temperature and idle power before the first trial (study/baseline.h)
inline constexpr char kNotes[] = "notes";            ///< JSON list of remarks made before the first trial
inline constexpr char kStop[] = "stop";              ///< JSON {reason, text, expected_gain}; reason "running" until it stops
inline constexpr char kChoice[] = "choice";  ///< JSON {config, probability_met, known_to_meet}, or null: what the optimizer recommends
inline constexpr char kStale[] = "stale";  ///< JSON {reason, at}: not to be relied on any longer (study/stale.h); absent while it is
}  // namespace fact

/// A fact as it stands. Errors: kCorrupt if it is absent.
Result<std::string> fact_text(const StudyFacts& facts, const char* key);

/// The limits a study was made with, its SLO first. Errors: kCorrupt.
Result<std::vector<ConstraintSpec>> limits_of(const StudyFacts& facts);
/// Its reference setting. Errors: kCorrupt.
Result<Config> reference_of(const StudyFacts& facts);
/// The candidates it searched, under the ids it knew them by. Errors: kNotFound if it does not list them (older studies, and products too
/// large to number), kCorrupt.
Result<Space> space_of(const StudyFacts& facts);
/// What its optimizer recommended when it stopped; nullopt while it runs, and for studies that do not say. Errors: kCorrupt.
Result<std::optional<Recommendation>> choice_of(const StudyFacts& facts);

/// A study as prior knowledge of another. `name` stands in what people read. Errors: kNotFound if its reference was never measured, so that
/// nothing in it can be compared; those of reading it.
Result<EarlierStudy> earlier_study(std::string name, const Journal& journal);

/// The facts of a study that begins or goes on: no stop, and no choice that later trials could contradict.
StudyFacts running_facts();
/// The facts of one that has stopped.
StudyFacts stopped_facts(const StudyEnd& end);

}  // namespace polythrottle
