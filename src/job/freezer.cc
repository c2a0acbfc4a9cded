// Any program, in a control group of its own that is frozen except for the slices in which it may run. No process can leave the group, and
// none notices.

#include "job/cgroup.h"
#include "job/slices.h"

namespace polythrottle::job_driver {
namespace {

Status available() { return job::JobGroup::can_freeze(*real_files()); }

Result<std::unique_ptr<job::Job>> start(const job::Spec& spec, const std::string& folder, const std::string& output) {
  return job::start_sliced("freezer", job::ProgramTree::Options::Hold::kFreezer, spec, folder, output);
}

}  // namespace

extern const job::KindDriver freezer;
constinit const job::KindDriver freezer{"freezer", "any program, in slices, stopped by the freezer of control groups", available, start};

}  // namespace polythrottle::job_driver
