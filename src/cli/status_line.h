#pragma once
// One line on the terminal that rewrites itself.

#include <string>

namespace polythrottle {

/// On stderr. Clears its line when it goes.
class StatusLine {
 public:
  StatusLine();
  ~StatusLine();
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  /// Is there a terminal? Elsewhere nothing of the following does anything.
  bool terminal() const { return terminal_; }
  /// Shows `line` in place of what it showed, cut at the terminal's width.
  void show(const std::string& line);
  /// Prints whole lines that stay.
  void leave(const std::string& lines);

 private:
  bool terminal_;
  bool shown_ = false;
};

/// "2:05", "1:02:05".
std::string clock_text(double seconds);

}  // namespace polythrottle
