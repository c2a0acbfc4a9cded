#pragma once
// The first steps of a job: alone and beside batches that nobody asked for, so that the predictor can speak of the two together.

#include <cstdint>
#include <functional>
#include <map>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "engine/backend.h"
#include "host/host.h"
#include "interference/interference.h"
#include "job/job.h"

namespace polythrottle::server {

struct CoRunOptions {
  interference::WorkCost inference;  ///< of the model that is served
  Seconds batch_alone{0};            ///< latency of one request alone
  interference::Speeds speeds;       ///< in force
  int largest_batch = 1;
  int beside = 12;        ///< pieces of steps with batches beside them; one more than a predictor needs does no harm
  int alone = 2;          ///< without, first
  Seconds patience{600};  ///< for a piece
  std::map<std::string, std::int64_t> dimensions;  ///< as zero_inputs takes them
  /// Does no request wait or run? Pieces begin only then; batches give way to requests that come meanwhile, and a piece that was beside
  /// requests says nothing. Safe from several threads.
  std::function<bool()> quiet = [] { return true; };
  std::stop_token stop;
};

struct CoRuns {
  interference::Samples samples;
  interference::WorkCost cost;  ///< of an item of the job: what it said, or as much arithmetic as it took time
  job::Offer next;              ///< what it offers then; at the beginning of an optimizer step
  bool over = false;            ///< it ended meanwhile
  long items = 0;               ///< of the job, done in them
};

/// Real steps of the job, in its smallest pieces, to the end of an optimizer step. `first`: its first offer. Errors: those of the job and
/// of the backend; kTimeout where `stop` came.
Result<CoRuns> make_co_runs(job::Job& job, const job::Offer& first, Backend& backend, Clock& clock, const CoRunOptions& options);

}  // namespace polythrottle::server
