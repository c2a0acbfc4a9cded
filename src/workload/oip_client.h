#pragma once
// Open-loop load on a server that speaks the Open Inference Protocol over HTTP.

#include <cstddef>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "arrivals/arrivals.h"
#include "base/result.h"
#include "base/units.h"
#include "engine/http_url.h"
#include "host/host.h"
#include "workload/oip_payload.h"

namespace polythrottle {

/// One request from its scheduled time to its end; times since the start of the load.
struct Exchange {
  enum class Outcome {
    kAnswered,    ///< HTTP 200
    kDropped,     ///< HTTP 503: the server would not
    kFailed,      ///< another status, a broken connection, or no answer in time
    kUnanswered,  ///< the load was ended before
  };
  Seconds scheduled{0};
  Seconds noticed{0};  ///< when the generator got to it; later than `scheduled` by its own lag
  Seconds ended{0};
  bool waited = false;  ///< for a connection, for as many as are allowed were busy
  Outcome outcome = Outcome::kAnswered;
  std::string reason{};  ///< unless answered: the server's words, or what broke

  /// From the scheduled time on, so that nothing that waits is left out; a lower bound unless answered.
  Seconds latency() const { return ended - scheduled; }
  Seconds lag() const { return noticed - scheduled; }
};

struct OipLoadOptions {
  HttpUrl server;
  std::string model, version{};      ///< version "": the server's choice
  std::vector<OipPayload> payloads;  ///< sent in turn; not empty
  Arrivals arrivals;                 ///< from its start
  Seconds duration{60};              ///< requests scheduled in it are sent
  std::size_t connections = 256;     ///< at once; what is beyond waits, and that counts
  Seconds patience{30};              ///< for an answer, from the scheduled time on
};

enum class Go { kOn, kNoMore, kStop };  ///< kNoMore: what is under way is waited for; kStop: it ends as kUnanswered

/// Called on the thread of `run_oip_load`; must be quick.
struct OipLoadWatch {
  std::function<Go(const Exchange&)> ended;
  /// About ten times a second: time since the start, requests under way, those of them that wait for a connection.
  std::function<Go(Seconds now, std::size_t under_way, std::size_t waiting)> tick = nullptr;
};

struct OipLoadRun {
  Clock::TimePoint began, ended;
  std::size_t connections = 0;  ///< most that were open at once
  std::size_t reconnects = 0;   ///< requests sent again since the server had closed the connection they were sent on, unread
};

/// Sends requests at their times, whatever becomes of those before them, and returns when all have ended. Connections are kept. A request
/// whose kept connection turns out to be closed is sent again, once. One thread, the caller's; `clock` is the real one (connections wait in
/// real time). A stop ends it as kStop does. Errors: kInvalid for no payload; kNotFound for a host that has no address. A server that does
/// not answer is no error here: every request says it.
Result<OipLoadRun> run_oip_load(Clock& clock, OipLoadOptions options, const OipLoadWatch& watch, std::stop_token stop);

}  // namespace polythrottle
