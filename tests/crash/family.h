#pragma once
// Runs the real program and everything that it leaves behind, to the very end.

#include <map>
#include <string>
#include <vector>

#include "base/units.h"

namespace polythrottle::crash {

/// How a run and its descendants ended.
struct Ended {
  int exit_code = -1;   ///< of the program; -1 where a signal ended it
  int signal = 0;       ///< that ended the program
  Seconds survived{0};  ///< from the program's end to that of the last process it left behind
  bool hung = false;    ///< something of it was still there after two minutes, and was killed
  std::string err;      ///< what it and whoever shares its output said on stderr
};

/// Makes this process the parent of whatever its descendants leave behind (prctl(2), PR_SET_CHILD_SUBREAPER). Once per process.
void adopt_orphans();
/// Runs POLYTHROTTLE_PROGRAM with these words and this added environment, its outputs going to a file in `folder`, and returns when it
/// and all that it started have ended: a watchdog then has done its work. `adopt_orphans` comes first. This process has no other children.
Ended run_family(const std::vector<std::string>& words, const std::map<std::string, std::string>& environment, const std::string& folder);

}  // namespace polythrottle::crash
