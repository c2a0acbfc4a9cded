#pragma once
// A fine-tuning job: a program of the user's that runs only while it is let.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "interference/interference.h"

namespace polythrottle::job {

/// What a user submits; as JSON in POST /v1/jobs, the keys are the members' names.
struct Spec {
  std::string name;
  std::vector<std::string> command;                  ///< words[0] a path or in PATH; no shell reads them
  std::map<std::string, std::string> environment{};  ///< added
  std::string folder;                                ///< to run in; "" for the job's own
  std::optional<double> memory_bytes;                ///< limit on the whole job
  std::optional<double> cpus;                        ///< likewise, in CPUs
  std::optional<Seconds> deadline;                   ///< after its submission
  std::string kind;                                  ///< "step", "freezer", "signal"; "" for the best that works here
  Seconds slice{0.02};                               ///< kinds without steps: let for so long at a time
  friend bool operator==(const Spec&, const Spec&) = default;
};
/// Errors: kInvalid naming the key (unknown ones too).
Result<Spec> parse_spec(std::string_view json);
std::string to_json(const Spec& spec);

enum class State { kStarting, kWaiting, kStepping, kPaused, kDone, kFailed, kCancelled, kInterrupted };
const char* to_string(State state);

/// What the job said of its work, or what is assumed of one that says nothing.
struct Offer {
  int items = 1;                               ///< of one step
  std::vector<int> pieces = {1};               ///< sizes in which it may be run, descending, `items` first
  long steps = 1;                              ///< left; a guess where `open_ended`
  bool open_ended = false;                     ///< it does not say how many
  std::optional<interference::WorkCost> cost;  ///< of one item forward and backward, and of the update, where it says so
};

/// A started program. Used by one thread, except where said. Destroying it ends the whole program tree (SIGTERM, then SIGKILL).
class Job {
 public:
  virtual ~Job() = default;
  virtual std::string_view kind() const = 0;
  /// Waits until the job offers work, at most until `patience`. nullopt: it ended by itself (see `ended`). Errors: kTimeout; kCorrupt for
  /// garbage on the protocol; kIo.
  virtual Result<std::optional<Offer>> next(Seconds patience) = 0;
  /// Lets it do so many items and waits until it has; how long that took. Errors: kTimeout where it does not report within `patience`
  /// (it is then frozen or ended, so that it cannot go on by itself), kCorrupt, kIo (it died).
  virtual Result<Seconds> run(int items, Seconds patience) = 0;
  /// How it ended: exit code, or 128 + the signal's number; nullopt while it lives.
  virtual std::optional<int> ended() = 0;
  /// Ends the program without patience; from any thread, while another waits in `next` or `run`, which then answer that it has ended.
  virtual void cut() = 0;
};

/// A way to schedule jobs: one per file of src/job without a header.
struct KindDriver {
  std::string_view name;
  std::string_view summary;
  /// Can it be had here? kUnsupported, kPermission with what would help.
  Status (*available)();
  /// Output goes to the file `output`. Errors: kNotFound, kPermission, kIo, kUnsupported.
  Result<std::unique_ptr<Job>> (*start)(const Spec& spec, const std::string& folder, const std::string& output);
};

/// The driver of that name; for "" the best that works here and needs nothing of the program ("step" must be asked for).
/// Errors: kInvalid naming the kinds; what `available` answers.
Result<const KindDriver*> find_kind(std::string_view name);

}  // namespace polythrottle::job

namespace polythrottle {
std::span<const job::KindDriver* const> job_drivers();
}  // namespace polythrottle
