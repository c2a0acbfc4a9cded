#pragma once
// Borrowing this machine's settings: the lease as the subcommands take it, what an earlier run left, and leaving something in place.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/this_machine.h"
#include "knob/lease.h"
#include "platform/platform.h"

namespace polythrottle {

/// The lease of this machine: its record, this program itself as the watchdog, and what outlives a reboot (power_mode).
LeaseOptions lease_options(ThisMachine& here);

/// Lease::take, and the word for a second Ctrl-C.
Result<std::unique_ptr<Lease>> borrow(Host& host, std::vector<Knob*> knobs, LeaseOptions options);
/// Restores, and complains of what could not be put back; true if all is back. Nothing after `keep_in_place`.
bool give_back(Lease& lease);

/// Gives the machine back on every way out, unless that was done before; so that what could not be put back is told.
class GiveBack {
 public:
  /// Null: nothing was borrowed. The lease outlives this.
  explicit GiveBack(Lease* lease) : lease_(lease) {}
  ~GiveBack() { (void)now(); }
  GiveBack(const GiveBack&) = delete;
  GiveBack& operator=(const GiveBack&) = delete;
  /// `give_back`, once.
  bool now();
  /// Somebody else sees to it.
  void dismiss() { lease_ = nullptr; }

 private:
  Lease* lease_;
};

/// Every knob of the machine, also those that are there by request only.
std::vector<Knob*> all_knobs(const Machine& machine);
/// `recover`, and the word for a second Ctrl-C.
Result<Recovery> recover_all(Host& host, const std::string& record_path, const RecoverOptions& options = {});

struct LeftoverOptions {
  bool undo_kept = false;  ///< also what was left in place on purpose
  bool quiet = false;      ///< does not tell what it did
};
/// What an earlier run left is put back before the machine is looked at: its settings must not be taken for the owner's, nor the tables
/// that a setting cuts short for the machine's. True if there was something. Errors: those of `recover`; the first knob that refused;
/// Recovery::record.
Result<bool> bring_back_leftovers(Host& host, const std::string& record_path, const LeftoverOptions& options);
/// What is in force of somebody else's, for those who only look; empty if nothing is, or if that cannot be read.
std::string leftovers_note(Host& host, const std::string& record_path);
/// What `recover` did, for people: whose record it was and a line a knob; not those that refused. `left` is what look_at_record said
/// before.
std::vector<std::string> describe_recovery(Host& host, const std::optional<LeaseState>& left, const std::vector<Restored>& restored);
/// "gpu_max_hz was not restored to 1300MHz: ...".
Error not_restored(const Restored& restored);

/// What `keep_in_place` left.
struct Kept {
  Config in_place;  ///< settings of the machine
  Config ended;     ///< those that end with this program, such as a CPU quota
};
/// Sets the machine's part of `config`, proves it by reading back, and leaves it in place; `source` is the study or profile it comes from.
/// Errors: those of Lease::apply and Lease::keep; kIo where the machine reports something else; kInvalid if nothing of it can stay;
/// kUnsupported where an NVIDIA driver would forget it when this program ends (persistence mode off). Then the lease goes on.
Result<Kept> keep_in_place(Host& host, Lease& lease, std::span<Knob* const> knobs, const Config& config, const std::string& source);

}  // namespace polythrottle
