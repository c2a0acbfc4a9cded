#pragma once
// How far a long run has come: one line that rewrites itself, on a terminal only.

#include <cstddef>

namespace polythrottle::bench {

class ProgressLine {
 public:
  /// Writes to stderr, unless `quiet` or that is no terminal. `total` > 0.
  ProgressLine(bool quiet, std::size_t total);
  /// Clears the line.
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(std::size_t done);

 private:
  bool silent_;
  std::size_t total_;
  std::size_t shown_percent_ = 0;
};

}  // namespace polythrottle::bench
