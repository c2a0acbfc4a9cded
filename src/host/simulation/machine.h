#pragma once
// A whole simulated board: its kernel files, its time, and work to run on it. Exact for a seed.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"
#include "host/host.h"
#include "host/simulation/execution.h"
#include "host/simulation/hardware.h"
#include "host/simulation/physics.h"

namespace polythrottle::simulation {

struct MachineOptions {
  std::uint64_t seed = 0;
  bool noise = true;        ///< measurement noise: batches, power, converters
  bool wall_paced = false;  ///< a second of the machine takes a second, for `serve`; else time passes only when somebody waits
  std::string faults;       ///< see faults.h
  Sharing sharing;          ///< of the GPU
};

/// One batch, or one step of fine-tuning.
struct WorkSpec {
  std::string network;  ///< see `networks`
  Precision precision = Precision::kFp16;
  int batch = 1;
  bool training = false;
  int output_dimension = 1000;      ///< training only, see Training
  int trained_layers = kAllLayers;  ///< training only, see Training
};
/// Memory that the work holds while it runs. Errors as of Machine::start.
Result<Footprint> footprint(const WorkSpec& work);

/// A Jetson as its kernel shows it. The node tables follow docs/hardware.md; what its hardware does is physics.h.
///
/// Time passes while somebody sleeps, waits for work, reads a sensor (0.55 ms per register) or writes a clock file (17 ms), and everything
/// due on the way happens at its time: governor and clocks that settle, heat, sensors, faults, periodic calls. A periodic call is another
/// thread of the machine: what it reads and writes takes time on a clock of its own and holds up nobody else, and sees the state as of its
/// beginning.
///
/// Safe from several threads; exact for a seed if one thread drives it. Files of this process in /proc bear its own number.
class Machine {
 public:
  /// Errors: kNotFound for an unknown board, with the names; kInvalid for a fault plan that cannot be read, or whose path names no node of
  /// this board or one that the fault cannot strike, and for `sharing` out of its ranges.
  static Result<std::unique_ptr<Machine>> make(std::string_view board, const MachineOptions& options = {});
  virtual ~Machine() = default;

  virtual Host host() = 0;
  virtual const Board& board() const = 0;

  /// Begins now, beside whatever else runs. Errors: kNotFound for the network, with the names; kOutOfRange for a batch, an output dimension
  /// or a number of trained layers below 1, and for work that needs more memory than the board has left beside what runs (`footprint`,
  /// Board::memory).
  virtual Result<WorkId> start(const WorkSpec& work) = 0;
  struct Event {
    WorkId id = 0;
    Clock::TimePoint started;
    Clock::TimePoint finished;
  };
  /// Lets time pass until a piece of work ends and answers it; pieces that have ended already come first, in order. nullopt if `until`
  /// comes first (it is then that time) or, with no work left, at once.
  virtual std::optional<Event> next_event(std::optional<Clock::TimePoint> until = std::nullopt) = 0;
  /// Lets time pass until this piece, which nobody has been told of yet, ends; others that end meanwhile stay for `next_event`.
  virtual Event wait_for(WorkId id) = 0;
  /// start and wait_for; answers the latency.
  Result<Seconds> run_batch(std::string_view network, Precision precision, int batch);

  // The truth, for tests and benchmarks: nothing below is visible to a program on the board.
  /// Drawn since the machine was made.
  virtual RailJoules energy() const = 0;
  /// Of one sensor channel, by label. Errors: kNotFound, with the labels.
  virtual Result<Joules> energy(std::string_view rail) const = 0;
  virtual Celsius temperature() const = 0;
  virtual void set_temperature(Celsius temperature) = 0;
  virtual Clocks clocks() const = 0;
  /// Limits in force.
  virtual Setting setting() const = 0;
  virtual bool throttled() const = 0;

 protected:
  Machine() = default;
};

}  // namespace polythrottle::simulation
