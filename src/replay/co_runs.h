#pragma once
// The few runs that teach a predictor: batches alone and beside steps of fine-tuning, at several sizes and clocks, on a simulated board.

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "host/simulation/machine.h"
#include "interference/interference.h"
#include "knob/knob.h"
#include "knob/lease.h"
#include "replay/job.h"
#include "space/config.h"

namespace polythrottle::replay {

/// What meets: batches of a network, and steps that fine-tune it.
struct CoRunWork {
  std::string network;  ///< see simulation::networks
  simulation::Precision precision = simulation::Precision::kFp16;
  simulation::Precision step_precision = simulation::Precision::kFp16;
  int items = 64;          ///< of a whole step
  int outputs = 1000;      ///< columns of the new last layer
  int trained_layers = 1;  ///< see simulation::Training; 1 is the new last layer alone
  int largest_batch = 16;
};
/// Batches of `network` and steps of `job`.
CoRunWork co_run_work(std::string network, simulation::Precision precision, const FinetuneJob& job);
/// The steps in the words by which a calibration names them: "batch=64,outputs=1000,train=head", and their precision if it is another one.
std::string step_words(const CoRunWork& work);
/// What the predictor is told of it.
struct CoRunCosts {
  interference::WorkCost inference;
  interference::WorkCost step;
};
/// Errors: kNotFound for the network, with the names.
Result<CoRunCosts> co_run_costs(const CoRunWork& work);

/// One batch that is to be run.
struct CoRun {
  std::size_t setting = 0;  ///< which of the configurations
  int batch = 1;
  int step_items = 0;  ///< of the step beside it; 0: alone
  Seconds rest{0};     ///< before it, for a batch alone
};
/// Few runs that cover much: every configuration gets three batches beside a step, of sizes that differ from one configuration to the next
/// (powers of two up to `largest_batch`), and one alone; the first one gets one more of each, and two alone after a rest, when governors
/// have lowered the clocks. In the order to be run. Steps are whole, and a quarter of one in every other configuration.
std::vector<CoRun> co_run_design(const CoRunWork& work, std::size_t settings);

/// Configurations for a design where nobody says which will be used: all clocks at their highest; the GPU's at 0.7 and at 0.45 of it, the
/// memory's at 0.6, the CPU's at half with the GPU's at 0.85; those of them that the board's tables tell apart, each at the nearest level.
/// Floors stay where they are found.
std::vector<Config> spread_settings(std::span<const std::unique_ptr<Knob>> knobs);

/// Clocks of `config` over the highest of their tables, which are the reference's: gpu_max_hz, mem_hz, cpu_hz; 1 for what it does not name.
interference::Speeds speeds_of(const Config& config, std::span<const std::unique_ptr<Knob>> knobs);

/// The clocks of a simulated board behind a lease, given back when this goes. The lease's record is a scratch file, for the machine dies
/// with this process. One thread.
class CoRunClocks {
 public:
  /// Errors: those of Lease::take; kIo for the scratch file.
  static Result<std::unique_ptr<CoRunClocks>> make(simulation::Machine& machine);
  ~CoRunClocks();
  CoRunClocks(const CoRunClocks&) = delete;
  CoRunClocks& operator=(const CoRunClocks&) = delete;

  std::span<const std::unique_ptr<Knob>> knobs() const { return knobs_; }
  /// Errors: those of Lease::apply; kIo naming a knob that did not come to what was asked.
  Status apply(const Config& config);

 private:
  CoRunClocks() = default;
  std::string folder_;
  std::unique_ptr<Host> host_;
  std::vector<std::unique_ptr<Knob>> knobs_;
  std::unique_ptr<Lease> lease_;
};

struct CoRunResult {
  std::vector<CoRun> runs;  ///< one for each batch of `samples`, in order
  interference::Samples samples;
  Seconds took{0};
  Joules energy;  ///< of the whole board
};

struct CoRunHooks {
  /// Sets the machine's clocks. Its failure ends the runs.
  std::function<Status(const Config&)> apply;
  /// After each batch.
  std::function<void(std::size_t done, std::size_t total)> progress = [](std::size_t, std::size_t) {};
  std::stop_token stop;
};
/// Runs the design on the machine. Shares of time beside are counted from what ran when, not from what was meant. A configuration begins
/// with half a second of batches that do not count, so that clocks and governor come to rest. Steps go on to their end.
/// Errors: those of Machine::start and of `apply`; kTimeout when stopped, with nothing to show.
Result<CoRunResult> make_co_runs(simulation::Machine& machine, const CoRunWork& work, std::span<const Config> configs,
                                 std::span<const interference::Speeds> speeds, std::span<const CoRun> design, const CoRunHooks& hooks);

}  // namespace polythrottle::replay
