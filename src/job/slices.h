#pragma once
// Jobs that know nothing of us: let run for a slice at a time, stopped in between.

#include <memory>
#include <string_view>

#include "job/job.h"
#include "job/program_tree.h"

namespace polythrottle::job {

/// Starts it held; an item is a slice. Errors: those of ProgramTree::start and hold.
Result<std::unique_ptr<Job>> start_sliced(std::string_view kind, ProgramTree::Options::Hold hold, const Spec& spec,
                                          const std::string& folder, const std::string& output);

}  // namespace polythrottle::job
