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
/// has 0 inferences and `load.patience` as its latency: whoever sent it has no answer. A server that cannot keep up (requests without an
/// answer grow in number until more are under way than come in two seconds, and in the longest half of the window) ends the window at once
/// (`Work::saturated`), and is left to work off what it has before anything else is sent. `clock` is the real one and outlives it.
/// Errors of `warm_up` and `run`: kIo where nothing is answered, with the server's words; those of run_oip_load.
std::unique_ptr<Workload> server_workload(Clock& clock, ServerLoad load);

}  // namespace polythrottle
