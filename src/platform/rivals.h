#pragma once
// Who else may set the clocks and limits of this machine: services and tools that are running, or have left their mark.

#include <string>
#include <vector>

#include "host/host.h"

namespace polythrottle {

/// Somebody who writes the same settings as we do.
struct Rival {
  std::string name;      ///< "tuned"
  std::string evidence;  ///< why we think it is here: "process 812 (/usr/bin/python3 /usr/sbin/tuned)", "/run/tlp/last_pwr"
  std::string writes;    ///< which settings
  std::string when;      ///< "at start, and about every 10 s with dynamic tuning"
  std::string pause;     ///< what stops it for now; empty where there is nothing to stop
  std::string resume;    ///< what brings it back
  /// May it write one of our settings in the middle of a run? Not so what writes at boot only, or a fan.
  bool may_interfere = true;
};

/// Looks at /proc and at the state files that such tools leave below /run, /var and /sys; writes nothing. This process and processes of
/// other PID namespaces are not seen. Never fails: what cannot be read is not there. Takes some 10 us per process.
std::vector<Rival> rivals(const Host& host);

/// The names of those who may write one of our settings in the middle of a run.
std::vector<std::string> who_may_interfere(const std::vector<Rival>& rivals);

/// One line for people who are about to start a run; empty if nobody would interfere.
std::string rivals_note(const std::vector<Rival>& rivals);

}  // namespace polythrottle
