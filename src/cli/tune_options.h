#pragma once
// What `tune` was asked for, as typed.

#include <CLI/App.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/meter_flags.h"
#include "trial/json.h"

namespace polythrottle {

/// Of --optimizer.
inline constexpr char kDefaultOptimizer[] = "polythrottle";

struct TuneOptions {
  std::string device, model, slo;
  std::string target;  ///< http://HOST:PORT of a server that already runs; the device is this machine
  std::optional<std::string> command;  ///< program that does the work, {NAME} in it for knobs
  std::string read;                    ///< how its output is understood: empty (json), steps, or a preset
  std::vector<std::string> patterns;   ///< MEANING=REGEX, instead of that
  std::vector<std::string> environment;  ///< NAME=TEXT, {NAME} in it for knobs
  std::string objective = "energy";
  std::vector<std::string> constraints;  ///< METRIC<=LIMIT
  std::vector<std::string> knobs;        ///< NAME=LEVEL,LEVEL,... or NAME=off
  std::string reference;                 ///< KNOB=VALUE,...
  std::vector<std::string> dimensions;   ///< NAME=VALUE
  std::vector<std::string> inputs;       ///< NAME=VALUE
  std::string provider = "cpu";
  std::string precision;    ///< simulated boards: fp16 (default), fp32
  std::string space;        ///< simulated boards: full (default), paper, paper-7.2
  std::string faults;       ///< simulated boards: fault plan
  MeterFlags meters;
  std::optional<double> rate;
  std::string arrivals;  ///< poisson, uniform, or a file; empty without --rate: closed loop
  std::optional<double> batch_delay_seconds;
  double window_seconds = 1.0;
  double window_limit_seconds = 20.0;
  std::optional<std::string> energy_error;        ///< as parse_min_gain reads it
  std::optional<double> settle_limit_seconds;     ///< longest that is left out before a window
  std::optional<double> cool_down_seconds;        ///< longest wait before a trial
  std::optional<double> idle_seconds;             ///< over which idle power is measured
  std::optional<std::size_t> check_every;         ///< explored trials between two checks of the reference
  std::optional<double> warm_up_seconds;          ///< of a command: longest, from its first batch on
  std::optional<double> command_timeout_seconds;  ///< longest time without a batch
  std::optional<std::size_t> confirm;
  std::optional<std::size_t> budget;
  std::optional<std::size_t> max_violations;
  std::string optimizer = kDefaultOptimizer;
  std::optional<std::string> explore;   ///< safe (default), strict, bold
  std::optional<std::string> min_gain;  ///< as parse_min_gain reads it
  std::optional<std::string> horizon;   ///< as parse_horizon reads it
  std::vector<std::string> warm_start;  ///< study files
  std::string phases = "joint";         ///< or paper
  std::uint64_t seed = 0;
  double pace_seconds = 0.0;

  std::string study, json, csv;
  bool resume = false, dry_run = false, quiet = false, keep = false;
};

/// Adds all flags of `tune` to `command`, bound to `options`, with help.
void bind_tune_options(CLI::App& command, TuneOptions& options);

/// The flags that make a study what it is, as typed: {"--slo": ["1.2x"], ...}.
Json typed_options(const CLI::App& command);
/// Puts back those of `typed` that were not given this time. Errors: kCorrupt.
Status fill_options(CLI::App& command, const Json& typed);

}  // namespace polythrottle
