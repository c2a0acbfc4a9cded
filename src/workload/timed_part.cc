#include "workload/timed_part.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace polythrottle {

void TimedPart::take(const Said& said, Clock::TimePoint at) {
  matched.insert(said.matched.begin(), said.matched.end());
  if (said.begins && !began) began = at;
  for (const Seconds latency : said.latencies) {
    completions.push_back({at, latency, static_cast<std::size_t>(said.inferences.value_or(0.0))});
  }
  if (said.inferences && said.latencies.empty()) inferences = said.inferences;
  if (said.batches) batches = said.batches;
  if (said.inferences_per_second) inferences_per_second = said.inferences_per_second;
  if (said.batches_per_second) batches_per_second = said.batches_per_second;
  if (said.timed) timed = said.timed;
  for (const auto& [metric, latency] : said.summary) summary[metric] = latency;
  if ((said.ends || said.timed) && !ended) ended = at;
}

Status TimedPart::close(Clock::TimePoint now) {
  if (!ended) ended = now;
  if (!began) began = started;
  // What it says of its length is more exact than the line, which may have come before its own warm-up; within what can be.
  if (timed) began = std::max(started, *ended - *timed);
  if (!(length() > Seconds(0))) {
    return fail(Errc::kCorrupt, "the command's timed part took no time: its beginning and its end were printed at once",
                "does it flush what it prints (stdbuf -oL, python3 -u)?");
  }
  return {};
}

bool TimedPart::has_count() const {
  return !completions.empty() || inferences.value_or(0.0) > 0.0 || batches.value_or(0.0) > 0.0 ||
         inferences_per_second.value_or(0.0) > 0.0 || batches_per_second.value_or(0.0) > 0.0;
}

double TimedPart::batches_in(double batch) const {
  if (!completions.empty()) return static_cast<double>(completions.size());
  if (batches) return *batches;
  if (batches_per_second) return *batches_per_second * length().count();
  return inferences_in(batch) / batch;
}

double TimedPart::inferences_in(double batch) const {
  if (inferences) return *inferences;
  if (!completions.empty()) {
    double sum = 0.0;
    for (const auto& c : completions) sum += c.inferences > 0 ? static_cast<double>(c.inferences) : batch;
    return sum;
  }
  if (batches) return *batches * batch;
  if (inferences_per_second) return *inferences_per_second * length().count();
  return batches_per_second.value_or(0.0) * length().count() * batch;
}

void Parts::add(const TimedPart& part, double batch) {
  stretches_.push_back({*part.began, *part.ended});
  for (Completion c : part.completions) {
    if (c.inferences == 0) c.inferences = static_cast<std::size_t>(batch);
    completions_.push_back(c);
  }
  const double batches = part.batches_in(batch);
  for (const auto& [metric, latency] : part.summary) summary_[metric].push_back({latency.count(), std::max(batches, 1.0)});
  inferences_ += part.inferences_in(batch);
  latencies_ += batches;
}

void Parts::put_into(Work& work) const {
  work.counted = stretches_;
  work.completions = completions_;
  work.inferences = static_cast<std::size_t>(std::lround(inferences_));
  work.summary.clear();
  for (const auto& [metric, printed] : summary_) {
    double weights = 0.0, mean = 0.0, squares = 0.0;
    for (const auto& each : printed) weights += each.weight;
    for (const auto& each : printed) mean += each.seconds * each.weight / weights;
    for (const auto& each : printed) squares += std::pow(each.seconds - mean, 2);
    const double n = static_cast<double>(printed.size());
    Estimate estimate{mean, {}, static_cast<std::size_t>(std::lround(weights)), {}};
    if (printed.size() > 1) estimate.std_error = std::sqrt(squares / (n - 1.0) / n);
    work.summary[std::string(metric)] = std::move(estimate);
  }
}

}  // namespace polythrottle
