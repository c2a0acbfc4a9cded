#pragma once
// Any program as an optimizer: one JSON object a line, each way (docs/peer-protocol.md). One process for each search.

#include <cstddef>
#include <memory>
#include <string>

#include "base/result.h"
#include "optimizer/optimizer.h"

namespace polythrottle::bench {

/// What the program calls itself and its version. Starts it once for that, which also shows that it runs.
/// Errors: kIo if it dies, kTimeout, kCorrupt for an answer that is none; with its last line of stderr.
Result<std::string> about_peer(const std::string& command);

/// One search by the program, which is started here and ready when this returns, so that no request for advice pays for its start. `cap` is
/// announced to it: trials, the reference included. The history given to `ask` must only grow. Errors, of `ask` too: as about_peer.
Result<std::unique_ptr<Optimizer>> make_peer(const std::string& command, std::size_t cap);

}  // namespace polythrottle::bench
