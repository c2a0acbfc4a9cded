#pragma once
// The user's machine is borrowed: what was found is on disk before the first write, and is written back whatever happens.

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
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
  bool same = false;     ///< does the machine hold what was found, node by node?
  Status status;         ///< refused, or back where it was
};

/// What a person needs later of a configuration that was left in place on purpose.
struct KeptWords {
  std::string source;  ///< where it came from: a study's or a profile's path
  std::string config;  ///< "gpu_max_hz=1300MHz mem_hz=3199MHz"
  double time = 0.0;   ///< Unix seconds
};

struct LeaseOptions {
  std::string record_path;
  /// argv of a program that puts the machine back if we die (src/helper/watchdog.h); `--fd N` is put behind it. Empty: none, for simulated
  /// machines, which die with us, and unit tests.
  std::vector<std::string> watchdog = {};
  /// Facts that no knob sets but that outlive a reboot, such as power_mode: written down, to be compared later.
  std::map<std::string, std::string> notes = {};
};

/// Holds the machine from the first write until the restore. One per machine at a time. The host and the knobs outlive it.
///
/// The record (knob/lease_record.h) is a JSON file at a fixed path (`default_record_path`), written and fsynced with its folder before the
/// first knob is written; an existing record is never overwritten, except that our own says of each knob, before it is first written, that
/// it was moved. It keeps the value and the raw text of every node (Knob::found_nodes). The machine's lock is flock(2) on RECORD.lock. The
/// watchdog is started before the record is written, and again if it has died. Not thread-safe; destroying it restores.
class Lease {
 public:
  /// Takes the machine's lock, reads every knob, starts the watchdog and writes the record. With no knob it holds nothing and writes
  /// nothing. Errors: kBusy naming the holder, or the configuration that is kept; kCorrupt if a record of an earlier run is still there
  /// (call `recover` first); kInvalid for a knob whose nodes are no `is_machine_path`; those of Watchdog::start; kIo, kPermission if the
  /// record cannot be written. Then nothing was touched.
  static Result<std::unique_ptr<Lease>> take(Host& host, std::vector<Knob*> knobs, LeaseOptions options);
  virtual ~Lease() = default;

  /// What the knobs held when the lease was taken.
  virtual const Config& found() const = 0;
  /// Is there a process that puts the machine back if this one dies now?
  virtual bool watched() const = 0;
  /// That process' number; 0 if there is none.
  virtual pid_t watchdog() const = 0;
  /// Writes the entries of `config` that are knobs of this lease (others are ignored), in the order the knobs were given, members of a
  /// group together where the first of them stands, and reads every knob of the lease back. A knob that was asked for the same value before
  /// and still reports it is left alone. Answers what the machine then reports (half a second's patience, for limits that come into force
  /// behind their write), which is not what was asked for where a node lies, rounds
  /// or is held down by somebody else: the caller compares. Errors: kOutOfRange, kPermission, kInvalid ... of the first refusal; what was
  /// already written stays until the next apply or restore. kIo where the record cannot be renewed, or where the watchdog died and no other
  /// starts: then nothing is written, and no knob has refused anything.
  /// kInvalid after `restore` or `keep`.
  virtual Result<Config> apply(const Config& config) = 0;
  /// What every knob of the lease reports now; writes nothing. Errors: those of Knob::read.
  virtual Result<Config> now() = 0;
  /// Writes back what was found, in reverse order, only where we moved it, going on past a refusal; what was refused is tried once more
  /// when the rest is back, for it may have been in the way. Verified by reading, with patience for firmware that takes a moment. Removes
  /// the record if every knob is back, and lets go of the lock. Calling it again retries what was refused. Empty after `keep`.
  virtual std::vector<Restored> restore() = 0;
  /// Leaves what was last applied in place on purpose: the record stays and says so, the lock and the watchdog go. `restore` of this
  /// object, and its end, then do nothing; `recover` with `undo_kept` writes back what was found. A knob that is no file of the machine (a
  /// limit on this process) ends with this process, and is put back now. Errors: of that, or kIo, kPermission for the record; then nothing
  /// has changed hands: the lease goes on. kInvalid after `restore`, and where nothing was moved that can stay.
  virtual Status keep(const KeptWords& words) = 0;

 protected:
  Lease() = default;
};

/// Fixed per machine and user: /var/lib/polythrottle/lease.json for root (on disk, so that it can be compared after a power loss),
/// $XDG_RUNTIME_DIR (or /tmp/polythrottle-UID) for another user, whose home folder may be shared between machines. A recorded machine,
/// below `sysroot`, has its own: SYSROOT/var/lib/polythrottle/lease.json.
std::string default_record_path(const std::string& sysroot = {});

/// A record as those see it who only look.
struct LeaseState {
  long long pid = 0;       ///< of its owner
  std::string command;     ///< how that was called, if known
  double started = 0.0;    ///< Unix seconds
  bool owned = false;      ///< its owner lives and has not let go
  bool this_boot = false;  ///< false: the machine was rebooted since, and what was set is gone
  std::optional<KeptWords> kept;
  std::map<std::string, std::string> notes;  ///< LeaseOptions::notes
  std::vector<std::string> moved;            ///< names of the knobs that were moved
};

/// Only looks. nullopt: there is no record. Errors: kCorrupt, kUnsupported for what is no record that this program can read; kPermission,
/// kIo.
Result<std::optional<LeaseState>> look_at_record(Host& host, const std::string& record_path);

/// "gpu_max_hz=1300MHz of /home/me/b4.sqlite, kept since 12:03:11": a kept configuration for people, in the local time of `now`.
std::string kept_text(const KeptWords& kept, double now);

struct RecoverOptions {
  bool undo_kept = false;  ///< also what was left in place on purpose
};

/// What `recover` did.
struct Recovery {
  std::vector<Restored> knobs;  ///< empty if there was no record
  /// Why the record is still there although nothing speaks for it any more: its disk takes no writes. The machine is back all the same,
  /// and the next `recover` writes the same values once more.
  Status record;
  /// Is everything done, the record included?
  bool whole() const;
};

/// Brings back what a killed run left: reads the record, and if its owner is dead and the boot is the same, writes the found values of
/// the knobs that were moved, as Lease::restore does. The nodes are written from the record; `knobs` (those discovered now, found by name)
/// serve to read values, and to write those that are no files. The record is removed if every knob is back; no disk has to take a write for
/// the machine to be put back.
/// A record of another boot is never written back: its knobs are compared (Restored::same) and it is renamed to RECORD.previous-boot, in
/// place of the one before it. What is no record of ours is renamed aside, never deleted, and reported as kCorrupt. kBusy if its owner is
/// alive or, without `undo_kept`, if it is kept. kPermission, kIo for the reading of the record.
Result<Recovery> recover(Host& host, std::span<Knob* const> knobs, const std::string& record_path, const RecoverOptions& options = {});

}  // namespace polythrottle
