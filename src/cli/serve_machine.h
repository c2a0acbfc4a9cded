#pragma once
// What a server runs on: this machine or a simulated board at the wall's pace, its knobs on loan, and the configurations it may be in.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/cli.h"
#include "engine/backend.h"
#include "host/simulation/machine.h"
#include "interference/interference.h"
#include "knob/lease.h"
#include "platform/platform.h"
#include "server/snapshot.h"
#include "serving/load_table.h"
#include "serving/row_choice.h"
#include "serving/state.h"

namespace polythrottle {

struct ServeFlags {
  std::string model, name, device = "cpu", upstream, precision = "fp16", provider = "cpu";
  std::string slo, config, policy = "adaptive", calibration;
  double budget = 0.01, rate = 0.0;
  int batch = 8, threads = 1;
  bool no_wait = false;
  std::vector<std::string> dimensions;
  std::uint64_t seed = 0;
};

/// Rows of the core and how it goes from one to another.
struct ServeRows {
  std::vector<serving::Row> rows;
  std::vector<serving::RowCost> costs;  ///< what was measured of them; empty: nothing that a batch could be held against
  std::string study;                    ///< it comes from; "" for none
  std::size_t row = 0;
  std::function<std::unique_ptr<serving::RowChoice>()> choice;  ///< empty: it stays
  std::string origin;                                           ///< for people
  Config program;                                               ///< the workload's own part: batch, threads
};

/// The machine is given back by whoever holds this, when it goes.
class ServeMachine {
 public:
  /// Only looks, but for what an earlier run left, which is put back first. Errors: kInvalid for wrong words.
  static Result<std::unique_ptr<ServeMachine>> open(const ServeFlags& flags, Cli& cli);
  ~ServeMachine();

  Host& host();
  const Machine& machine() const { return machine_; }
  bool simulated() const { return board_ != nullptr; }
  std::string words() const;  ///< "simulated Jetson ...", or the machine's description

  /// Errors: kInvalid for wrong words; those of reading a study; kInvalid where it was made on another device or of another model.
  Result<ServeRows> rows(const ServeFlags& flags, Seconds slo);
  /// Takes the lease of what the rows move. Nothing where they move nothing. Errors: those of Lease::take.
  Status borrow(const ServeRows& rows);
  /// Sets a row and reads it back; did the machine take it? Safe from several threads.
  Result<bool> set(const serving::Row& row);
  /// Puts back what was found, and complains of what could not be. True if all is back.
  bool give_back();
  /// Every knob on loan: what was asked last and what it holds now. Safe from several threads.
  std::vector<server::KnobReading> knobs();
  /// Has somebody else written a knob since it was set?
  bool rival();

  /// Opens an engine for the model, or for another version of its file.
  Result<std::shared_ptr<Backend>> engine(const ServeFlags& flags, const std::string& path);
  /// What the model asks of the device, for the predictor. Errors: those of counting its graph.
  Result<interference::WorkCost> cost(const ServeFlags& flags) const;

 private:
  ServeMachine() = default;
  Result<ServeRows> board_rows(const ServeFlags& flags, Seconds slo);
  Result<ServeRows> study_rows(const ServeFlags& flags, Seconds slo);

  std::unique_ptr<simulation::Machine> board_;
  std::string folder_;  // scratch, of a simulated board's lease
  std::unique_ptr<ThisMachine> here_;
  std::unique_ptr<Host> host_;
  Machine machine_;
  std::mutex mutex_;  // of the lease and what follows
  std::unique_ptr<Lease> lease_;
  Config asked_;
  bool set_ = false, rival_ = false;
};

/// The dimensions of --dim. Errors: kInvalid.
Result<std::map<std::string, std::int64_t>> dimensions_of(const ServeFlags& flags);

}  // namespace polythrottle
