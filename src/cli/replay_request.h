#pragma once
// From the flags of `replay` to what is compared, with everything checked that can be before anything runs.

#include <CLI/App.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "replay/compare.h"
#include "report/replay.h"

namespace polythrottle {

/// As typed.
struct ReplayFlags {
  std::string device, model, precision = "fp16", slo, arrivals = "poisson", duration = "30s";
  std::optional<double> rate;
  std::vector<std::string> jobs;
  std::string policy = "adaptive";
  std::vector<std::string> configs;
  std::string predictor, predictor_file;
  double budget = serving::PolicyOptions().budget;
  bool no_wait = false;
  double patience = 20.0;
  std::uint64_t seed = 0;
  std::size_t seeds = 1;
  std::string faults;
  std::string json, decisions, timeline;
  bool quiet = false;
};
void bind_replay_flags(CLI::App& command, ReplayFlags& flags);

struct ReplayRequest {
  replay::CompareOptions compare;
  ReplayHeading heading;
  bool calibrate = false;  ///< co-runs are to be made for each contender
};
/// Errors: kInvalid for what is wrong with the words (usage); kOutOfRange for what the board cannot do: an SLO below its fastest batch, a
/// rate above its highest, a job larger than its memory.
Result<ReplayRequest> replay_request(const ReplayFlags& flags);

}  // namespace polythrottle
