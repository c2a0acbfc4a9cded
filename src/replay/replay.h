#pragma once
// The serving core in virtual time on a simulated board: arrivals in, outcomes out.

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "arrivals/arrivals.h"
#include "base/result.h"
#include "replay/board.h"
#include "replay/job.h"
#include "replay/slo_schedule.h"
#include "serving/core.h"
#include "serving/drift_guard.h"
#include "serving/load_table.h"

namespace polythrottle::replay {

struct ReplayOptions {
  std::string board;    ///< "jetson-orin"
  std::string network;  ///< see simulation::networks
  simulation::Precision precision = simulation::Precision::kFp16;
  std::uint64_t seed = 0;  ///< of the board's noise; that of the arrivals is in `arrivals`
  bool noise = true;
  std::string faults;

  Seconds slo{1};
  std::vector<SloChange> slo_changes;  ///< in the order of time
  std::optional<Arrivals> arrivals;    ///< from its beginning; needed
  std::optional<double> expected_rate;
  Seconds duration{30};           ///< requests that arrive in [0, duration) count
  Seconds traffic_until{0};       ///< traffic goes on at least so long
  double patience = 20.0;         ///< durations after which a job that has not ended is given up
  std::vector<FinetuneJob> jobs;  ///< in any order

  std::vector<serving::Row> rows;                                   ///< not empty; the first is the reference
  std::size_t row = 0;                                              ///< in force from before time 0 on
  std::function<std::unique_ptr<serving::RowChoice>()> row_choice;  ///< empty: the row never changes
  /// What was measured of each row: a drift guard holds the batches against it (serving/drift_guard.h). Empty: there is no guard.
  std::vector<serving::RowCost> costs;
  std::string policy = "adaptive";
  serving::PolicyOptions policy_options;
  /// Makes the policy in place of `policy`. For tests.
  std::function<std::unique_ptr<serving::Policy>()> make_policy;
  std::string predictor = "physical";
  /// Co-runs that the predictor learns from before time 0; empty: it knows nothing.
  interference::Samples samples;

  bool keep_requests = false;            ///< outcome by outcome
  bool keep_timeline = false;            ///< batches, steps, power
  bool keep_decisions = false;           ///< the latest ...
  std::size_t decisions_kept = 100'000;  ///< ... so many
  std::stop_token stop;                  ///< between two events
};

/// What became of one request.
struct Outcome {
  Seconds arrived{0};
  Seconds deadline{0};
  std::optional<Seconds> answered;  ///< none: dropped at `dropped`
  Seconds dropped{0};
  bool in_time() const;
};

/// Of requests that arrived in some span.
struct RequestCounts {
  std::size_t requests = 0;
  std::size_t answered = 0;  ///< late ones included
  std::size_t late = 0;      ///< answered after their deadline
  std::map<serving::Cause, std::size_t> drops;
  std::size_t dropped() const;
  /// Answered late or dropped, over all; 0 without requests.
  double violations_ratio() const;
  double drops_ratio() const;
};

struct LatencySummary {
  Seconds p50{0}, p95{0}, p99{0}, max{0};
};

struct JobOutcome {
  FinetuneJob job;
  std::optional<Seconds> time;  ///< from its submission to its end
  std::string why_not;          ///< empty if it has ended
  long items_done = 0;
  std::size_t pieces = 0;        ///< that ran
  Seconds running{0};            ///< sum of their durations
  std::optional<Seconds> bound;  ///< clairvoyant, of `time`; filled in by `compare`

  long steps_done() const { return items_done / job.batch; }
};

struct BatchMark {
  Seconds started{0}, ended{0};
  int size = 0;
  std::size_t queued = 0;  ///< that stayed behind
};
struct StepMark {
  Seconds started{0}, ended{0};
  std::size_t job = 0;
  int items = 0;
};
struct PowerMark {
  Seconds until{0};
  Watts mean;  ///< since the mark before, or 0
};
struct RowMark {
  Seconds at{0};
  std::size_t row = 0;
};
struct Timeline {
  std::vector<BatchMark> batches;
  std::vector<StepMark> steps;
  std::vector<PowerMark> power;
  std::vector<RowMark> rows;
};

struct ReplayResult {
  RequestCounts counted;                  ///< requests that arrived in [0, duration)
  RequestCounts beside_jobs;              ///< those that arrived, at any time, between the submission of a job and its end
  std::optional<LatencySummary> latency;  ///< of the counted ones that were answered; none without any
  std::size_t batches = 0;                ///< that answered at least one counted request
  double mean_batch = 0.0;                ///< their size

  std::vector<JobOutcome> jobs;             ///< as given
  std::optional<Seconds> job_seconds;       ///< from the first submission to the end of the last job; none if one did not end
  Joules energy;                            ///< over [0, duration), all rails of the board
  std::size_t answers = 0;                  ///< given in [0, duration)
  std::optional<Joules> energy_to_job_end;  ///< over [0, end of the last job)
  std::optional<Joules> energy_per_answer;  ///< `energy` over `answers`

  std::size_t row_changes = 0;                       ///< that took effect
  std::size_t row_changes_failed = 0;                ///< that the board did not take
  std::map<serving::Cause, std::size_t> row_causes;  ///< of those that took effect
  std::optional<serving::DriftGuard::Stale> stale;   ///< the guard alarmed: what was measured of the rows no longer holds
  std::vector<double> row_shares;                    ///< of the time until the traffic ended, by row
  std::uint64_t decisions = 0;
  Seconds traffic_ended{0};
  Seconds ended{0};
  bool calibrated = false;  ///< did the predictor know of co-runs when it ended?

  std::vector<Outcome> requests;  ///< by arrival, uncounted ones too
  Timeline timeline;
  std::vector<serving::DecisionRecord> records;
};

/// Called now and then with the time of the machine.
using Progress = std::function<void(Seconds now)>;

/// Exact for its options. The board is in its row before time 0. Traffic lasts for `duration`, and on until every job has ended or
/// cannot; then what waits is answered. Errors: kInvalid for an unknown policy or predictor, and for options that do not go together;
/// those of Board::make; kTimeout if it was stopped; kCorrupt if the core does what its contract forbids.
Result<ReplayResult> replay(const ReplayOptions& options, const Progress& progress = {});

}  // namespace polythrottle::replay
