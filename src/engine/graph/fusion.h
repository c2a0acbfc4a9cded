#pragma once
// Which operators an inference library would launch together.

#include <cstddef>
#include <vector>

#include "engine/graph/trace.h"

namespace polythrottle::graph {

/// For each step the index of the step that leads its kernel (its own, if it leads). A pointwise operator joins the kernel of that operand
/// whose kernel begins last, if it writes as many elements as that operand has: so no kernel waits for one that begins after it.
std::vector<std::size_t> fuse(const Trace& trace);

}  // namespace polythrottle::graph
