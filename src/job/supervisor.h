#pragma once
// The process between us and a job: its descendants cannot get away from it, and it ends them all when we end.

#include <sched.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "job/user.h"

namespace polythrottle::job {

/// All that the supervisor needs. Made before the fork, for nothing can be allocated after it.
struct Supervised {
  const char* path = nullptr;  ///< program
  char* const* arguments = nullptr;
  char* const* environment = nullptr;
  const char* folder = nullptr;        ///< to run in
  int output = -1;                     ///< standard output and error
  int control = -1;                    ///< our end closed: end the job. The supervisor's closed: it has
  int failure = -1;                    ///< a StartFailure is written here if the program cannot be started, else nothing
  const User* user = nullptr;          ///< null: as we are
  std::vector<const char*> entrances;  ///< files to write "0" to, for the program
  const char* way_out = nullptr;       ///< the same for both; null: none
  const char* thaw_file = nullptr;     ///< null: no freezer
  const char* thaw_text = nullptr;
  std::vector<const char*> folders;  ///< to remove in the end
  std::vector<const char*> files;    ///< likewise, before
  std::optional<double> data_bytes;  ///< RLIMIT_DATA of each process
  std::optional<cpu_set_t> affinity;
};

/// What could not be done, as the program's start got to it.
struct StartFailure {
  enum class Act : int { kFork, kGroup, kLimit, kUser, kFolder, kProgram };
  Act act = Act::kProgram;
  int reason = 0;  ///< errno
};

/// Becomes the supervisor, in a child of ours; never returns. Ends with the program's exit code, or 128 + the number of the signal that
/// ended it, when the program has ended and everything that it had started has been ended.
[[noreturn]] void supervise(const Supervised& job);

}  // namespace polythrottle::job
