#pragma once
// What the answer says of the machine's control: clocks that obeyed, what setting them cost, and trials that went wrong.

#include <string>

#include "study/summary.h"

namespace polythrottle {

/// Two lines at most: how many settings the clock proved, and what setting a configuration cost. Empty where no knob of a machine was
/// moved.
std::string render_control(const Summary& summary);

/// A line for each reason for which trials were void, refused or failed; after the first five only their number.
std::string render_mishaps(const Summary& summary);

}  // namespace polythrottle
