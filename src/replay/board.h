#pragma once
// A simulated board that serves a network: its clocks behind a lease, batches and steps on it, in virtual time.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/simulation/machine.h"
#include "replay/job.h"
#include "space/config.h"

namespace polythrottle::replay {

struct BoardOptions {
  std::string name;     ///< "jetson-orin"
  std::string network;  ///< see simulation::networks
  simulation::Precision precision = simulation::Precision::kFp16;
  std::uint64_t seed = 0;
  bool noise = true;
  std::string faults;           ///< see host/simulation/faults.h
  std::vector<Config> configs;  ///< those it may be set to, so that only knobs named in them are leased
};

/// One thread. Times are seconds since it was made. It is given back when it goes.
class Board {
 public:
  /// Its clocks are `start` and have settled when it answers. Errors: those of Machine::make; kNotFound for the network; kInvalid for an
  /// entry that is no knob of the board (`batch` does not count); those of Lease::take and apply; kIo if the board does not take `start`.
  static Result<std::unique_ptr<Board>> make(const BoardOptions& options, const Config& start);
  virtual ~Board() = default;

  virtual Seconds now() const = 0;
  /// Energy of all rails since it was made.
  virtual Joules energy() const = 0;

  virtual Status start_batch(int size) = 0;
  virtual Status start_step(const FinetuneJob& job, int items) = 0;
  /// Begins to write the knobs; on a clock of its own, as a thread would, so that batches go on meanwhile. One at a time.
  virtual void apply(const Config& config) = 0;

  struct Event {
    enum class Kind { kBatch, kStep, kApplied } kind = Kind::kBatch;
    Seconds started{0};
    Seconds at{0};
    bool took_effect = true;  ///< of kApplied: the board says that it is set as asked
  };
  /// Lets time pass to the next thing that ends, or to `until` if that is earlier (then nullopt). Without `until` and with nothing under
  /// way it answers at once.
  virtual std::optional<Event> next(std::optional<Seconds> until) = 0;

 protected:
  Board() = default;
};

}  // namespace polythrottle::replay
