#pragma once
// fork and exec, with nothing of ours left in the child.

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/launcher.h"

namespace polythrottle {

/// A program just started; leader of its own process group. Whoever holds it closes the descriptors and waits for the process.
struct Spawned {
  pid_t pid = -1;
  int out = -1, err = -1;  ///< read ends of its standard output and standard error, not blocking; -1: they go elsewhere, or are one
  int in = -1;             ///< write end of its standard input, not blocking; -1: it reads elsewhere
  pid_t guard = -1;        ///< a process of ours that does nothing but kill the group when this process dies; -1: none could be made
};

/// Where a program is: `name` itself if it has a slash, else looked for in PATH. Errors: kNotFound, kPermission.
Result<std::string> find_program(const std::string& name);

/// Starts words[0] with these arguments and our environment, changed by that of `program`. The kernel kills it when the calling thread ends
/// (prctl(2), PR_SET_PDEATHSIG), and the guard kills what it has started in its group. Errors: those of find_program, kIo.
Result<Spawned> spawn(const Program& program);

/// Closes every descriptor from `first` on, or lets exec close it. System calls only: for a child of a process with several threads.
void let_go_of_descriptors(unsigned first, bool at_exec);
/// Our environment as NAME=VALUE, changed by `changes`.
std::vector<std::string> environment_with(const std::map<std::string, std::string>& changes);

}  // namespace polythrottle
