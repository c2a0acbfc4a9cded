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
#include "space/parameter.h"

namespace polythrottle {

/// A node of the machine as it was found. `text` nullopt: it is a folder that was not there and that a write may make.
struct FoundNode {
  std::string path;
  std::optional<std::string> text;  ///< as read
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
  /// (also where one Value stands for several nodes, and from another process), and a folder that was not there is removed. Empty where
  /// the setting is no file: it is restored by `write` of the value found. Errors: those of `read`.
  virtual Result<std::vector<FoundNode>> found_nodes() { return std::vector<FoundNode>(); }
};

/// Something looked for and not usable: said to the user with the reason and what would help.
struct Absence {
  std::string name;
  Error why;
};

/// What a driver found on a machine. Discovery only looks; it never writes.
struct KnobDiscovery {
  std::vector<std::unique_ptr<Knob>> knobs;
  std::vector<Absence> absent;
};

struct KnobDriver {
  std::string_view name;
  std::string_view summary;
  KnobDiscovery (*discover)(Host& host);
};
std::span<const KnobDriver* const> knob_drivers();

}  // namespace polythrottle
