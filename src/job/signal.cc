// Any program, stopped with SIGSTOP except for the slices in which it may run. Works everywhere; a program that watches its children sees
// them stop, and each slice costs a look through the machine's processes.

#include "job/slices.h"

namespace polythrottle::job_driver {
namespace {

Status available() { return {}; }

Result<std::unique_ptr<job::Job>> start(const job::Spec& spec, const std::string& folder, const std::string& output) {
  return job::start_sliced("signal", job::ProgramTree::Options::Hold::kSignals, spec, folder, output);
}

}  // namespace

extern const job::KindDriver signal;
constinit const job::KindDriver signal{"signal", "any program, in slices, stopped by SIGSTOP", available, start};

}  // namespace polythrottle::job_driver
