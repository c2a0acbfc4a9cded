#pragma once
// What a replay answers, for people and for programs. Everything here returns text.

#include <optional>
#include <string>
#include <vector>

#include "replay/compare.h"

namespace polythrottle {

/// What was replayed, in words.
struct ReplayHeading {
  std::string device;    ///< as typed
  std::string board;     ///< "simulated Jetson AGX Orin"
  std::string model;     ///< "efficientnet-b7 fp16"
  std::string slo;       ///< "700 ms", "250 ms, from 30 s on 700 ms"
  std::string arrivals;  ///< "Poisson, 8/s"
  double rate = 0.0;     ///< requests a second, mean
  Seconds duration{0};
  std::string predictor;             ///< "physical, 24 co-runs"
  std::vector<std::string> configs;  ///< of each contender, where from: "tuned: least simulated energy of 1820 settings"
  std::vector<std::string> notes;
  std::uint64_t first_seed = 0;
  std::size_t seeds = 1;
};

/// One contender: its numbers one under the other. Several: side by side. More than one seed: means with their 95 % intervals.
std::string render_replay(const ReplayHeading& heading, const replay::Comparison& comparison);
/// docs/replay.md has the meaning of every field.
std::string render_replay_json(const ReplayHeading& heading, const replay::Comparison& comparison);
/// A JSON object a line, of the first seed; `contender` names whose it is.
std::string render_decisions(const replay::Comparison& comparison);

/// Of the first contender's first seed: every event a line, in the order of time within its kind. RFC 4180 with a header.
std::string render_timeline_csv(const replay::ReplayResult& run);
/// A script for gnuplot, which names no output: latency of each request against the SLO, power, and bars where steps ran.
std::string render_timeline_plot(const ReplayHeading& heading, const std::string& contender, const replay::ReplayResult& run);

}  // namespace polythrottle
