#pragma once
// One knob as the mathematics sees it: a name, a unit, a role and a table of allowed values.

#include <string>
#include <variant>
#include <vector>

namespace polythrottle {

/// What a knob does to the machine. An optimizer knows knobs through this alone, never by name.
enum class Role {
  kComputeClock,  ///< clock of the unit that runs the network
  kMemoryClock,
  kHostClock,   ///< clock of the CPU that feeds the unit
  kClockFloor,  ///< lower bound of a governor
  kPowerCap,
  kBatch,
  kParallelism,  ///< threads, instances, number of devices
  kCategory,     ///< unordered
  kOther,        ///< ordered, unknown effect
};
const char* to_string(Role role);

/// A number (SI, or the unit of a recorded column) or a label.
using Value = std::variant<double, std::string>;

/// "2602", "0.75", "fp16": shortest text that reads back to the same value.
std::string to_text(const Value& value);

struct Parameter {
  std::string name;           ///< as in docs/terms.md, e.g. "gpu_max_hz"; recorded tables keep their column names
  std::string unit;           ///< "Hz", "W", "" for a plain number
  Role role = Role::kOther;   ///< kCategory if and only if the levels have no order
  std::vector<Value> levels;  ///< distinct, at least one; in their order: numbers ascending, labels from the end that saves most
  std::string help;           ///< one line for people

  bool ordered() const { return role != Role::kCategory; }
};

}  // namespace polythrottle
