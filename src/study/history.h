#pragma once
// What is counted of a study's trials.

#include <cstddef>
#include <span>

#include "trial/constraint.h"
#include "trial/trial.h"

namespace polythrottle {

/// The first completed measurement of the reference setting, which relative limits stand on; nullptr if there is none.
const Trial* first_reference(std::span<const Trial> history);

/// Counts against the budget: not a second look, a check or a round of confirmation, and it taught something.
bool explores(const Trial& trial);
/// How many do.
std::size_t explored(std::span<const Trial> history);

/// The trial's metrics are outside a limit, or it was stopped early because they clearly were.
bool broke_a_limit(const Trial& trial, std::span<const Constraint> constraints);
/// How many trials of kind kTry and kFound did: what --max-violations counts.
std::size_t searched_in_violation(std::span<const Trial> history, std::span<const Constraint> constraints);

}  // namespace polythrottle
