#pragma once
// A server that already runs, as work: requests at their times, whatever becomes of those before them.

#include <cstdint>
#include <memory>

#include "host/host.h"
#include "workload/oip_client.h"
#include "workload/workload.h"

namespace polythrottle {

struct ServerLoad {
  OipLoadOptions load;          ///< `duration` is each run's own; each starts the arrivals over, so that all trials see the same
  std::int64_t inferences = 1;  ///< in one request
  Seconds longest_warm_up{10};  ///< of traffic before a window
  Seconds longest_drain{30};    ///< for a server that fell behind to be through with what it has
};

/// No knobs of its own. A Completion is a request; its latency counts from its scheduled time. One that was dropped (HTTP 503) or failed
/// has 0 inferences and `load.patience` as its latency: whoever sent it has no answer. A server that cannot keep up (more requests are
/// without an answer than come in two seconds, and more than 20) ends the window at once (`Work::saturated`), or the warm-up, and has up to
/// `longest_drain` to work off what it has before the next load. `clock` is the real one and outlives it.
/// Errors of `warm_up` and `run`: kIo where nothing is answered, with the server's words; those of run_oip_load.
std::unique_ptr<Workload> server_workload(Clock& clock, ServerLoad load);

}  // namespace polythrottle
