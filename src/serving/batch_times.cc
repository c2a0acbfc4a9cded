#include "serving/batch_times.h"

#include <algorithm>

namespace polythrottle::serving {

BatchTimes::BatchTimes(const ServingState& state, double probability, const std::optional<interference::Step>& step)
    : state_(state), probability_(probability), step_(step), cap_(state.in_force().max_batch) {
  if (state.applying) cap_ = std::min(cap_, state.rows[*state.applying].max_batch);
  if (!state.batch && !state.step) {
    // Whoever waits for more lets the device rest for longer, and starts on lower clocks for it. A drop is judged by the same time although
    // it asks for a start now: the rest is then too long by no more than what is left to the deadline, which is less than a batch takes.
    if (!step) rested_ = state.rested + (state.queue.empty() ? Seconds(0) : std::max(Seconds(0), state.queue.front().deadline - state.now));
    // A step that ends a rest starts on low clocks too, and so do the batches beside it.
    if (step) cold_ = state.rested;
  }
  entries_.resize(static_cast<std::size_t>(cap_) + 1);
}

const BatchTimes::Entry& BatchTimes::at(int size) {
  Entry& entry = entries_[static_cast<std::size_t>(size)];
  if (entry.known) return entry;
  entry.known = true;
  const auto learn = [&](const interference::Speeds& speeds) {
    const auto alone = state_.predictor->batch({speeds, size, std::nullopt, rested_});
    auto beside = step_ ? state_.predictor->batch({speeds, size, step_, Seconds(0)}) : alone;
    if (cold_ > Seconds(0)) beside.mean *= state_.predictor->batch({speeds, size, std::nullopt, cold_}).mean / alone.mean;
    entry.alone = std::max(entry.alone, alone.upper(probability_));
    entry.alone_median = std::max(entry.alone_median, alone.mean);
    entry.beside = std::max(entry.beside, beside.upper(probability_));
    entry.beside_median = std::max(entry.beside_median, beside.mean);
  };
  learn(state_.in_force().speeds);
  // While the configuration changes either may be in force: the slower one counts.
  if (state_.applying) learn(state_.rows[*state_.applying].speeds);
  entry.beside = std::max(entry.beside, entry.alone);
  entry.beside_median = std::max(entry.beside_median, entry.alone_median);
  return entry;
}

Seconds BatchTimes::mix(Seconds beside, Seconds alone, Seconds step_left) {
  if (step_left >= beside) return beside;
  const Seconds with = std::max(step_left, Seconds(0));
  return with + (1.0 - with / beside) * alone;
}

}  // namespace polythrottle::serving
