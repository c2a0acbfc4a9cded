#pragma once
// The processes of one group, as the kernel lists them.

#include <sys/types.h>

#include <vector>

#include "base/units.h"

namespace polythrottle {

/// Source: /proc/PID/stat, fields 3, 5, 16 and 17 (state, pgrp, cutime, cstime: Linux Documentation/filesystems/proc.rst), and each
/// member's CPU-time clock (clock_getcpuclockid(3)), which counts nanoseconds where the file counts ticks.
class ProcessGroup {
 public:
  explicit ProcessGroup(pid_t group) : group_(group), members_{group} {}

  struct State {
    int running = 0;      ///< members that are no zombies
    Seconds cpu_time{0};  ///< of the members, and of what they started and have waited for
  };
  /// Of the members known: the leader, and those that the last `find` saw. About 20 us for each.
  State now() const;
  /// Looks through all processes of the machine. About 10 us for each.
  void find();

 private:
  pid_t group_;
  std::vector<pid_t> members_;
};

}  // namespace polythrottle
