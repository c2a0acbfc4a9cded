#pragma once
// A configuration: what every knob is set to.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "space/parameter.h"

namespace polythrottle {

/// Name and value of each knob, in the order they were set. Small; compared and copied freely.
class Config {
 public:
  using Entry = std::pair<std::string, Value>;
  Config() = default;
  Config(std::initializer_list<Entry> entries) : entries_(entries) {}

  const std::vector<Entry>& entries() const { return entries_; }
  bool empty() const { return entries_.empty(); }
  /// Adds, or replaces the value of a name already there (which keeps its place).
  void set(std::string_view name, Value value);
  std::optional<Value> get(std::string_view name) const;
  /// The value as a number; nullopt if the name is absent or its value is a label.
  std::optional<double> number(std::string_view name) const;
  /// "gpu_mhz=2602 mem_mhz=14001".
  std::string text() const;

  /// Same names with the same values, whatever their order.
  friend bool operator==(const Config& a, const Config& b);

 private:
  std::vector<Entry> entries_;
};

}  // namespace polythrottle
