#include "engine/graph/fusion.h"

namespace polythrottle::graph {

std::vector<std::size_t> fuse(const Trace& trace) {
  std::vector<std::size_t> leader(trace.steps.size());
  for (std::size_t index = 0; index < trace.steps.size(); ++index) {
    const Step& step = trace.steps[index];
    leader[index] = index;
    if (step.role != Role::kPointwise) continue;
    const Read* last = nullptr;
    for (const Read& read : step.reads) {
      const auto maker = trace.storages[read.storage].maker;
      if (!maker || (last != nullptr && leader[*maker] <= leader[*trace.storages[last->storage].maker])) continue;
      last = &read;
    }
    if (last != nullptr && last->elements == count(step.output)) leader[index] = leader[*trace.storages[last->storage].maker];
  }
  return leader;
}

}  // namespace polythrottle::graph
