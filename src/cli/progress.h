#pragma once
// What the user sees while a study runs: one line that rewrites itself on a terminal, plain lines elsewhere.

#include <string>

#include "cli/status_line.h"
#include "study/runner.h"

namespace polythrottle {

class Progress {
 public:
  /// Writes to stderr. `provenance` stands behind every joule.
  Progress(bool quiet, Provenance provenance, std::size_t budget);
  Observer observer();

 private:
  void began(const Trial& trial, std::size_t number, std::size_t of);
  void ended(const Trial& trial, std::span<const Trial> history, const Problem* problem);

  bool quiet_;
  StatusLine line_;
  Provenance provenance_;
  std::size_t budget_;
  std::string best_;      ///< "best 1.2 J measured (-14 %), 6 % to spare"
  std::string unproved_;  ///< what was said last of clocks that could not be read
  std::string label_;
};

}  // namespace polythrottle
