#pragma once
// Jobs on disk, so that they outlive the server: a folder each with what was asked, how far it came, and what it printed.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "job/job.h"

namespace polythrottle::job {

/// What is kept of a job.
struct Record {
  std::uint64_t id = 0;
  Spec spec;
  State state = State::kStarting;
  std::string kind;
  long steps_done = 0;
  std::optional<long> steps;    ///< in all, where it said so
  double submitted = 0.0;       ///< Unix seconds
  std::optional<double> ended;  ///< likewise
  std::optional<int> exit_code;
  std::string why;
};

/// ROOT/ID/{spec.json, state.json, output.log}. Safe from several threads; one process at a time (a lock on ROOT says who). Writes are
/// atomic: beside the file, synchronised, renamed.
class Store {
 public:
  /// Makes the folder where it is not there, for this user alone. Errors: kBusy where another server has it; kPermission, kIo.
  static Result<std::unique_ptr<Store>> open(const std::string& root);
  virtual ~Store() = default;

  /// In the order of their numbers. A job whose files cannot be read is there as kFailed, with the reason.
  virtual std::vector<Record> all() const = 0;
  /// A new job, kStarting; ids begin at 1 and are never used again. Errors: kIo (a full disk among them): then nothing is left of it.
  virtual Result<std::uint64_t> add(const Spec& spec, double submitted) = 0;
  /// Errors: kIo; the state before is then still there.
  virtual Status save(const Record& record) = 0;
  /// Where a job may work that names no folder, and where its output goes.
  virtual std::string folder(std::uint64_t id) const = 0;
  virtual std::string output(std::uint64_t id) const = 0;
  /// What it printed from byte `offset` on, at most `most` bytes; empty where there is no more yet. Errors: kNotFound, kIo.
  virtual Result<std::string> read_output(std::uint64_t id, std::size_t offset, std::size_t most) const = 0;

 protected:
  Store() = default;
};

}  // namespace polythrottle::job
