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
  Value now;             ///< what the hardware reports after the restore; where no knob can tell, the text of its nodes
  bool moved = false;    ///< had we asked for another value (or for the same one: asking is what counts)?
  bool written = false;  ///< was it written back? Not where it was never moved, nor for a record of another boot
  Status status;         ///< refused, or back where it was
};

/// Holds the machine from the first write until the restore. One per machine at a time. The host and the knobs outlive it.
///
/// The record is a JSON file at a fixed path (`default_record_path`), written and fsynced with its folder before the first knob is
/// written; an existing record is never overwritten, except that `asked` in our own is renewed (atomically, before each knob is written)
/// so that whoever reads it knows what we moved. It keeps the value and the raw text of every node (Knob::found_nodes). The machine's lock
/// is flock(2) on RECORD.lock, which stays behind, empty. Not thread-safe; destroying it restores.
///
/// {"schema":1, "boot_id":, "pid":, "pid_start": clock ticks after boot (field 22 of /proc/PID/stat), "started": Unix seconds,
///  "knobs":[{"name":, "found":, "asked": null until moved, "nodes":[{"path":, "text": null for a folder that was not there}]}]}
class Lease {
 public:
  /// Reads every knob, takes the machine's lock and writes the record. With no knob it holds nothing and writes nothing.
  /// Errors: kBusy naming the holder's pid; kCorrupt if a record of an earlier run is still there (call `recover` first); kIo, kPermission
  /// if the record cannot be written (then nothing was touched).
  static Result<std::unique_ptr<Lease>> take(Host& host, std::vector<Knob*> knobs, std::string record_path);
  virtual ~Lease() = default;

  /// What the knobs held when the lease was taken.
  virtual const Config& found() const = 0;
  /// Writes the entries of `config` that are knobs of this lease (others are ignored), in the order the knobs were given, members of a
  /// group together where the first of them stands, and reads every knob of the lease back. A knob that was asked for the same value before
  /// and still reports it is left alone. Answers what the machine then reports, which is not what was asked for where a node lies, rounds
  /// or is held down by somebody else: the caller compares. Errors: kOutOfRange, kPermission, kInvalid ... of the first refusal; what was
  /// already written stays until the next apply or restore. kInvalid after `restore`.
  virtual Result<Config> apply(const Config& config) = 0;
  /// What every knob of the lease reports now; writes nothing. Errors: those of Knob::read.
  virtual Result<Config> now() = 0;
  /// Writes back what was found, in reverse order, only where we moved it, going on past a refusal; what was refused is tried once more
  /// when the rest is back, for it may have been in the way. Verified by reading, with patience for firmware that takes a moment. Removes
  /// the record if every knob is back, and lets go of the lock. Calling it again retries what was refused.
  virtual std::vector<Restored> restore() = 0;

 protected:
  Lease() = default;
};

/// Fixed per machine and user: /run/polythrottle/lease.json for root, $XDG_RUNTIME_DIR (or /tmp/polythrottle-UID) for another user.
std::string default_record_path();

/// Brings back what a killed run left: reads the record, and if its owner is dead and the boot is the same, writes the found values of
/// the knobs that were moved, as Lease::restore does. The nodes are written from the record; `knobs` (those discovered now, found by name)
/// serve to read values, and to write those that are no files. The record is removed if every knob is back. Empty if there is no record. A
/// record of another boot is not written back: its knobs are reported and the record is removed. A corrupt record is renamed aside (never
/// deleted) and reported as kCorrupt. kBusy if its owner is alive. kPermission, kIo for the record.
Result<std::vector<Restored>> recover(Host& host, std::span<Knob* const> knobs, const std::string& record_path);

}  // namespace polythrottle
