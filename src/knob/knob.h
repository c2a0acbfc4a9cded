#pragma once
// One setting of the machine that a search may move.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "host/host.h"
#include "space/config.h"
#include "space/parameter.h"

namespace polythrottle {

/// A node of the machine as it was found. `text` nullopt: it is a folder that was not there and that a write may make.
struct FoundNode {
  std::string path;
  std::optional<std::string> text;  ///< as read; or, ahead of the node's own entry, a step that makes the writes behind it legal
};

/// Settings that the kernel checks against each other, such as the floor and the ceiling of one clock: written as a whole, in an order in
/// which every step is legal. Used by one thread.
class KnobGroup {
 public:
  virtual ~KnobGroup() = default;
  /// May these values stand together? Names that are no member and members that are missing do not count.
  virtual bool allows(const Config& config) const = 0;
  /// Sets the members named in `wanted` (other names are ignored), each value as for Knob::write. A member that is not named keeps what it
  /// was last set to, or else was found with, as far as the new values leave room for it.
  /// Errors: kOutOfRange as for Knob::write, also where the values do not go together; then nothing is written.
  virtual Status write(const Config& wanted) = 0;
};

/// What a setting in Hz promises of its clock, beside what its role says.
struct ClockClaim {
  bool held = false;   ///< a lock: the clock runs at the value; else it may also be below, whenever hardware or load like it
  double slack = 0.0;  ///< Hz by which the clock may be above the value, where hardware rounds up
};

/// Used by one thread.
class Knob {
 public:
  virtual ~Knob() = default;
  /// Name, unit, role and the table of allowed values, found by probing.
  virtual const Parameter& parameter() const = 0;
  /// What the hardware reports now; may be off the table. Errors: kNotFound, kPermission, kIo, kCorrupt.
  virtual Result<Value> read() = 0;
  /// Sets a table value (or, in a restore, a value `read` once answered) and answers what the hardware then reports. A value that is
  /// neither is refused with kOutOfRange and nothing is written.
  virtual Result<Value> write(const Value& wanted) = 0;
  /// Every path a write may touch, for --dry-run.
  virtual std::vector<std::string> paths() const = 0;
  /// What the nodes of this setting hold now, for the lease record: writing each text back, in this order, restores the setting exactly
  /// (also where one Value stands for several nodes, and from another process), and a folder that was not there is removed. A node may
  /// come twice, first with a text on the way. Empty where the setting is no file: it is restored by `write` of the value found.
  /// Errors: those of `read`.
  virtual Result<std::vector<FoundNode>> found_nodes() { return std::vector<FoundNode>(); }
  /// The group this knob is written with, the same object for all members and alive as long as one of them; null: it stands alone.
  virtual KnobGroup* group() const { return nullptr; }
  /// What the hardware runs at in this moment, where that is read apart from the setting (the clock under a limit). nullopt: there is no
  /// such reading, or the unit sleeps and has no clock. Errors: those of `read`.
  virtual Result<std::optional<Value>> actual() { return std::optional<Value>(); }
  /// For a setting in Hz. A lock that only caps the clock (NVML's, from the lowest clock to the value) is not held.
  virtual ClockClaim claim() const { return {}; }
  /// Not part of a space unless it is asked for by name, though other knobs of its driver are.
  virtual bool by_request() const { return false; }
};

/// Something looked for and not usable: said to the user with the reason and what would help.
struct Absence {
  std::string name;
  Error why;
  bool by_request = false;  ///< nobody who does not ask for it by name misses it
};

/// What a driver found on a machine. Discovery only looks; it never writes.
struct KnobDiscovery {
  std::vector<std::unique_ptr<Knob>> knobs;
  std::vector<Absence> absent;
};

/// A configuration is written in this order, and given back in the opposite one: drivers by `order`, equal ones by their file's name, each
/// one's knobs as it answers them; those by request behind all others. Where one setting moves another, that order is not enough and they
/// are one KnobGroup.
struct KnobDriver {
  std::string_view name;
  std::string_view summary;
  KnobDiscovery (*discover)(Host& host);
  bool by_request = false;  ///< no knob of it is part of a space unless it is asked for by name
  int order = 0;            ///< 1: behind the clocks, so that CPUs come back before their clocks do
};
std::span<const KnobDriver* const> knob_drivers();

}  // namespace polythrottle
