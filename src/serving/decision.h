#pragma once
// What was decided and why: the numbers behind every decision, and a sentence for people.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "serving/state.h"

namespace polythrottle::serving {

enum class Act { kBatch, kWaitForMore, kDrop, kStep, kHoldStep, kRow };

enum class Cause {
  // kBatch
  kFull,         ///< as many as the configuration takes
  kDeadline,     ///< the earliest deadline allows no longer wait
  kWorthNoWait,  ///< the policy does not wait for more, or nothing more will come
  kShrunk,       ///< smaller than waiting requests would allow, so that the deadline holds
  // kWaitForMore
  kRoomForMore,  ///< the earliest deadline leaves time for a larger batch
  // kDrop
  kExpired,   ///< past its deadline
  kHopeless,  ///< predicted to end past its deadline even alone and at once
  kQueueFull,
  kDraining,    ///< the server is on its way down
  kNoDeadline,  ///< came with a deadline that is no moment: not a number, or infinite
  // kStep
  kSlack,   ///< the risk to queued and coming requests stays under the budget
  kGreedy,  ///< this policy asks nobody
  // kHoldStep
  kRisk,           ///< the risk would go over the budget
  kAfterBatch,     ///< a batch runs and gets the device to itself
  kNotCalibrated,  ///< no co-run was measured: nothing is known of the interference
  kNeverBeside,    ///< this policy runs no fine-tuning
  kPaused,         ///< by the job's owner
  kBetweenRows,    ///< the configuration is being changed
  // kRow
  kRate,       ///< another row serves this rate for less energy
  kLoadRose,   ///< the row before does not serve this rate any more
  kJobEnergy,  ///< with a job pending, the job ends for less energy there
  kSloAtRisk,  ///< to a faster row: attainment or the queue says so
  kDrift,      ///< back to the reference: latency or energy left the band it was measured in
  kHot,        ///< back to the reference: temperature
  kRival,      ///< back to the reference: somebody else wrote a knob
};
const char* to_string(Act act);
const char* to_string(Cause cause);

/// One decision with the prediction that made it. Numbers that do not apply are nullopt.
struct DecisionRecord {
  std::uint64_t number = 0;
  Time at{0};
  Act act = Act::kBatch;
  Cause cause = Cause::kFull;
  int size = 0;                      ///< requests of a batch, items of a step, requests dropped
  std::uint64_t subject = 0;         ///< batch, step, request or row it is about
  std::size_t queued = 0;            ///< requests waiting at that time, those of the batch included
  std::optional<Seconds> predicted;  ///< how long it takes: median ...
  std::optional<Seconds> bound;      ///< ... and the bound that was held against `slack`
  std::optional<Seconds> slack;      ///< time to the earliest deadline it touches
  std::optional<double> risk;        ///< probability that a request misses its deadline because of it
  std::optional<double> budget;      ///< what `risk` may be
  std::optional<Time> until;         ///< look again then
  bool beside = false;               ///< a step ran beside the batch, or a batch beside the step
  std::optional<Seconds> actual;     ///< how long it took; once it has ended
  std::optional<double> rate;        ///< kRow: requests a second it is chosen for
  std::optional<Joules> saves;       ///< kRow: expected to be saved by it, the cost of changing counted
};

/// "12.345 s: ran 4 requests beside fine-tuning, because the earliest deadline (in 212 ms) allows no longer wait (expected 171 ms, planned
/// for 187 ms); it took 169 ms." One sentence, no newline; numbers that are not finite are left out.
std::string sentence(const DecisionRecord& record);
/// The reason alone: "the earliest deadline (in 212 ms) allows no longer wait (expected 171 ms)".
std::string reason(const DecisionRecord& record);

}  // namespace polythrottle::serving
