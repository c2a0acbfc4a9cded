#pragma once
// What numbers on the command line may be.

#include <CLI/App.hpp>

namespace polythrottle {

/// Whole numbers that fit: the parser itself takes "-1" for a very large one.
CLI::Validator whole_number();
/// Finite, at least zero, and short enough to be meant as seconds or a rate: not nan, not inf.
CLI::Validator duration_number();

}  // namespace polythrottle
