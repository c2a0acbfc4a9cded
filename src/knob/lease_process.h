#pragma once
// Who a process is, and whether it is still that one.

#include <optional>
#include <string>

#include "host/host.h"

namespace polythrottle::lease {

struct ProcessState {
  char state = '?';     ///< as in /proc/PID/stat; Z: it has ended and nobody asked how
  long long start = 0;  ///< clock ticks after boot
};

/// From /proc/PID/stat (proc(5), fields 3 and 22); nullopt if there is no such process (or no such file, on a recorded machine).
std::optional<ProcessState> look_at_process(const Files& files, long long pid);
/// Is there a process of this number that started then, and runs?
bool is_alive(const Files& files, long long pid, long long start);
/// How this process was called, on one line and short: "polythrottle tune --model net.onnx"; empty if that cannot be read.
std::string own_command(const Files& files);
/// Another one after every boot; empty if it cannot be read.
std::string boot_id(const Files& files);
/// "12:03:11", and the day before it if that is not today; local time of Unix seconds.
std::string clock_text(double when, double now);

}  // namespace polythrottle::lease
