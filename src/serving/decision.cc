#include "serving/decision.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace polythrottle::serving {
namespace {

std::optional<double> finite(std::optional<double> number) { return number && std::isfinite(*number) ? number : std::nullopt; }
std::optional<double> finite(std::optional<Seconds> time) { return time ? finite(std::optional<double>(time->count())) : std::nullopt; }

/// Three digits or so: "0.42 ms", "4.2 ms", "212 ms", "1.25 s", "3600 s". Not negative.
std::string duration(double seconds) {
  const double ms = seconds * 1e3;
  if (ms < 0.005) return "0 ms";
  if (ms < 0.995) return fmt::format("{:.2f} ms", ms);
  if (ms < 9.95) return fmt::format("{:.1f} ms", ms);
  if (ms < 999.5) return fmt::format("{:.0f} ms", ms);
  if (seconds < 9.995) return fmt::format("{:.2f} s", seconds);
  return seconds < 99.95 ? fmt::format("{:.1f} s", seconds) : fmt::format("{:.0f} s", seconds);
}

/// "in 212 ms", "12 ms ago", "now".
std::string away(double seconds) {
  const std::string size = duration(std::abs(seconds));
  if (size == "0 ms") return "now";
  return seconds > 0.0 ? "in " + size : size + " ago";
}

std::string percent(double share, int digits) {
  return fmt::format("{:.{}g} %", share * 100.0, share > 0.99 ? std::max(digits, 3) : digits);
}

std::string counted(long number, std::string_view what) { return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s"); }

/// " (expected 171 ms, planned for 187 ms)", as much of it as is known.
std::string expectation(const DecisionRecord& record) {
  const auto predicted = finite(record.predicted), bound = finite(record.bound);
  const std::string first = predicted ? duration(std::max(*predicted, 0.0)) : "", second = bound ? duration(std::max(*bound, 0.0)) : "";
  if (predicted && bound && first != second) return fmt::format(" (expected {}, planned for {})", first, second);
  if (predicted) return fmt::format(" (expected {})", first);
  return bound ? fmt::format(" (planned for {})", second) : "";
}

/// "the earliest deadline (in 212 ms)".
std::string earliest(const DecisionRecord& record) {
  const auto slack = finite(record.slack);
  return slack ? fmt::format("the earliest deadline ({})", away(*slack)) : "the earliest deadline";
}

/// "the risk of a missed deadline, 0.2 %, VERB the budget of 1 %": with as many digits as tell the two apart.
std::string risk(const DecisionRecord& record, std::string_view verb) {
  const auto probability = finite(record.risk), budget = finite(record.budget);
  int digits = 2;
  if (probability && budget && *probability != *budget)
    while (digits < 6 && percent(*probability, digits) == percent(*budget, digits)) ++digits;
  const auto shown = [&](double share) { return share > 0.0 && share < 1e-5 ? "below 0.001 %" : percent(share, digits); };
  return fmt::format("the risk of a missed deadline{} {} the budget{}", probability ? ", " + shown(*probability) + "," : "", verb,
                     budget ? " of " + shown(*budget) : "");
}

std::string done(const DecisionRecord& record) {
  switch (record.act) {
    case Act::kBatch: {
      const std::string requests = record.queued > static_cast<std::size_t>(std::max(record.size, 0))
                                       ? fmt::format("{} of {} waiting requests", record.size, record.queued)
                                       : counted(record.size, "request");
      return "ran " + requests + (record.beside ? " beside fine-tuning" : "");
    }
    case Act::kWaitForMore: return fmt::format("let {} wait for a larger batch", counted(static_cast<long>(record.queued), "request"));
    case Act::kDrop:
      return record.size == 1 ? fmt::format("dropped request {}", record.subject) : "dropped " + counted(record.size, "request");
    case Act::kStep: return fmt::format("fine-tuned on {}{}", counted(record.size, "item"), record.beside ? " beside a batch" : "");
    case Act::kHoldStep: return "held fine-tuning back";
    case Act::kRow:
      return record.subject == 0 ? std::string("changed to the reference configuration")
                                 : fmt::format("changed to configuration {}", record.subject);
  }
  return "did something";
}

std::string because(const DecisionRecord& record) {
  const bool dropped = record.act == Act::kDrop;
  const std::string whose = !dropped ? earliest(record) : record.size == 1 ? "its deadline" : "the deadline";
  const auto slack = finite(record.slack);
  switch (record.cause) {
    case Cause::kFull: return "this configuration takes no more at once" + expectation(record);
    case Cause::kDeadline: return earliest(record) + " allows no longer wait" + expectation(record);
    case Cause::kWorthNoWait: return "waiting would gain nothing" + expectation(record);
    case Cause::kShrunk: return "a larger one would miss " + earliest(record) + expectation(record);
    case Cause::kRoomForMore: return earliest(record) + " leaves time to wait" + expectation(record);
    case Cause::kExpired:
      if (!dropped || !slack) return whose + " has passed";
      return fmt::format("{} {} {}", whose, *slack <= 0.0 ? "was" : "is", away(*slack));
    case Cause::kHopeless:
      return fmt::format("{}{} cannot be met even alone and at once{}", whose, dropped && slack ? " (" + away(*slack) + ")" : "",
                         expectation(record));
    case Cause::kQueueFull: return record.queued > 0 ? fmt::format("the queue is full ({} waiting)", record.queued) : "the queue is full";
    case Cause::kDraining: return "the server is on its way down";
    case Cause::kNoDeadline: return "its deadline is not a finite time";
    case Cause::kSlack: return risk(record, "is within") + expectation(record);
    case Cause::kGreedy: return "this policy always runs fine-tuning at once" + expectation(record);
    case Cause::kRisk: return risk(record, "would be over") + expectation(record);
    case Cause::kAfterBatch: return "a batch runs and gets the device to itself";
    case Cause::kNotCalibrated: return "no batch beside fine-tuning has been measured yet";
    case Cause::kNeverBeside: return "this policy runs no fine-tuning";
    case Cause::kPaused: return "its owner paused it";
    case Cause::kBetweenRows: return "the configuration is being changed";
    case Cause::kRate: return "it serves the present rate for less energy";
    case Cause::kLoadRose: return "the one before does not serve the present rate";
    case Cause::kJobEnergy: return "the pending job ends for less energy there";
    case Cause::kSloAtRisk: return "too many deadlines are missed or at risk";
    case Cause::kDrift: return "latency or energy left the band it was measured in";
    case Cause::kHot: return "the device is too hot";
    case Cause::kRival: return "another program changed a knob";
  }
  return "of something";
}

bool runs(Act act) { return act == Act::kBatch || act == Act::kStep || act == Act::kRow; }
bool waits(Act act) { return act == Act::kWaitForMore || act == Act::kHoldStep; }

}  // namespace

const char* to_string(Act act) {
  switch (act) {
    case Act::kBatch: return "batch";
    case Act::kWaitForMore: return "wait_for_more";
    case Act::kDrop: return "drop";
    case Act::kStep: return "step";
    case Act::kHoldStep: return "hold_step";
    case Act::kRow: return "row";
  }
  return "unknown";
}

const char* to_string(Cause cause) {
  switch (cause) {
    case Cause::kFull: return "full";
    case Cause::kDeadline: return "deadline";
    case Cause::kWorthNoWait: return "worth_no_wait";
    case Cause::kShrunk: return "shrunk";
    case Cause::kRoomForMore: return "room_for_more";
    case Cause::kExpired: return "expired";
    case Cause::kHopeless: return "hopeless";
    case Cause::kQueueFull: return "queue_full";
    case Cause::kDraining: return "draining";
    case Cause::kNoDeadline: return "no_deadline";
    case Cause::kSlack: return "slack";
    case Cause::kGreedy: return "greedy";
    case Cause::kRisk: return "risk";
    case Cause::kAfterBatch: return "after_batch";
    case Cause::kNotCalibrated: return "not_calibrated";
    case Cause::kNeverBeside: return "never_beside";
    case Cause::kPaused: return "paused";
    case Cause::kBetweenRows: return "between_rows";
    case Cause::kRate: return "rate";
    case Cause::kLoadRose: return "load_rose";
    case Cause::kJobEnergy: return "job_energy";
    case Cause::kSloAtRisk: return "slo_at_risk";
    case Cause::kDrift: return "drift";
    case Cause::kHot: return "hot";
    case Cause::kRival: return "rival";
  }
  return "unknown";
}

std::string reason(const DecisionRecord& record) { return because(record); }

std::string sentence(const DecisionRecord& record) {
  std::string text = fmt::format("{:.3f} s: {}, because {}", record.at.count(), done(record), because(record));
  if (const auto until = finite(record.until); until && waits(record.act)) text += fmt::format("; looks again by {:.3f} s", *until);
  if (const auto actual = finite(record.actual); actual && runs(record.act)) text += "; it took " + duration(std::max(*actual, 0.0));
  return text + ".";
}

}  // namespace polythrottle::serving
