#pragma once
// The user's machine is borrowed: what was found is on disk before the first write, and is written back whatever happens.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/host.h"
#include "knob/knob.h"
#include "space/config.h"

namespace polythrottle {

/// What one knob did in a restore.
struct Restored {
  std::string knob;
  Value found;
  Value now;           ///< what the hardware reports after the restore
  bool moved = false;  ///< had we changed it?
  Status status;       ///< refused, or back where it was
};

/// Holds the machine from the first write until the restore. One per machine at a time.
///
/// The record is a JSON file at a fixed path (`default_record_path`), written and fsynced with its folder before the first knob is
/// written; an existing record is never overwritten. Not thread-safe; destroying it restores.
class Lease {
 public:
  /// Reads every knob, takes the machine's lock and writes the record. With no knob it holds nothing and writes nothing.
  /// Errors: kBusy naming the holder's pid; kCorrupt if a record of an earlier run is still there (call `recover` first); kIo, kPermission
  /// if the record cannot be written (then nothing was touched).
  static Result<std::unique_ptr<Lease>> take(Host& host, std::vector<Knob*> knobs, std::string record_path);
  virtual ~Lease() = default;

  /// What the knobs held when the lease was taken.
  virtual const Config& found() const = 0;
  /// Writes the entries of `config` that are knobs of this lease (others are ignored) and differ from the present value, in the order the
  /// knobs were given, and reads all of them back. Answers what the machine then reports.
  /// Errors: kOutOfRange, kPermission, kInvalid ... of the first refusal; what was already written stays until the next apply or restore.
  virtual Result<Config> apply(const Config& config) = 0;
  /// Writes back what was found, in reverse order, only where we moved it, going on past a refusal; verified by reading. Removes the
  /// record if every knob is back. Safe to call twice.
  virtual std::vector<Restored> restore() = 0;

 protected:
  Lease() = default;
};

/// Fixed per machine: /run/polythrottle/lease.json for root, $XDG_RUNTIME_DIR (or /tmp/polythrottle-UID) for another user.
std::string default_record_path();

/// Brings back what a killed run left: reads the record, and if its owner is dead and the boot is the same, writes the found values.
/// Empty if there is no record. A record of another boot is not written back: its knobs are reported and the record is removed.
/// A corrupt record is renamed aside (never deleted) and reported as kCorrupt. kBusy if its owner is alive.
Result<std::vector<Restored>> recover(Host& host, std::span<Knob* const> knobs, const std::string& record_path);

}  // namespace polythrottle
