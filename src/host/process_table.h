#pragma once
// All processes of the machine, as the kernel lists them.

#include <sys/types.h>

#include <vector>

namespace polythrottle {

/// Source: /proc/PID/stat, fields 3 and 4 (Linux Documentation/filesystems/proc.rst).
struct ProcessEntry {
  pid_t pid = 0;
  pid_t parent = 0;
  char state = 0;  ///< 'R', 'S', 'D', 'T' stopped, 't' traced, 'Z' zombie, ...
  bool dead() const { return state == 'Z' || state == 'X'; }
  bool stopped() const { return state == 'T' || state == 't'; }
};

/// Calls `visit` with each, about 10 us for each. Makes system calls only, neither allocates nor locks: it may be called in the child of a
/// process with several threads. What begins or ends meanwhile may be seen or not. False: there is no /proc to look at.
bool visit_processes(void (*visit)(const ProcessEntry&, void*), void* with);

/// What `root` has started, what that has started and so on, dead ones included, `root` not; a parent stands before its children.
std::vector<ProcessEntry> descendants(pid_t root);

}  // namespace polythrottle
