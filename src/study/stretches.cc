#include "study/stretches.h"

#include <algorithm>
#include <cmath>

#include "base/stats.h"

namespace polythrottle {
namespace {

constexpr double kInside = 0.95;  ///< of a block

Seconds overlap(const MeterSample& from, const MeterSample& to, const Stretch& part) {
  return std::max(Seconds(0), std::min(to.at, part.ended) - std::max(from.at, part.began));
}

/// What two neighbouring readings differ by, added up and stretched.
struct Sum {
  Seconds time{0};
  Joules energy{};
  std::vector<Joules> one_sigma, rails;

  void add(const MeterSample& from, const MeterSample& to, double share) {
    time += share * (to.at - from.at);
    energy += (to.energy - from.energy) * share;
    add(from.one_sigma, to.one_sigma, share, one_sigma);
    add(from.rails, to.rails, share, rails);
  }

 private:
  static void add(const std::vector<Joules>& from, const std::vector<Joules>& to, double share, std::vector<Joules>& sums) {
    const std::size_t count = std::min(from.size(), to.size());
    sums.resize(std::max(sums.size(), count));
    for (std::size_t k = 0; k < count; ++k) sums[k] += (to[k] - from[k]) * share;
  }
};

WindowReading scaled(const WindowReading& whole, const Sum& sum, Seconds length) {
  WindowReading out;
  out.reads = whole.reads;
  out.reading_time = whole.reading_time;
  if (!(sum.time > Seconds(0))) return out;
  const double factor = length / sum.time;
  out.elapsed = length;
  out.energy = sum.energy * factor;
  for (const Joules each : sum.one_sigma) out.one_sigma.push_back(each * factor);
  for (const Joules each : sum.rails) out.rails.push_back(each * factor);
  return out;
}

}  // namespace

WindowReading within(const WindowReading& whole, std::span<const Stretch> parts) {
  const auto& samples = whole.samples;
  Seconds length{0};
  for (const auto& part : parts) length += std::max(Seconds(0), part.ended - part.began);
  Sum inside, shared;
  std::vector<double> watts;
  std::vector<MeterSample> joined;
  double edges = 0.0, divided = 0.0;  // J^2 of the readings at the ends of runs of blocks; J of the blocks that were shared out
  std::size_t last = 0;               // where the last block inside ended
  for (std::size_t i = 1; i < samples.size(); ++i) {
    const MeterSample &from = samples[i - 1], &to = samples[i];
    const Seconds block = to.at - from.at;
    Seconds covered{0};
    for (const auto& part : parts) covered += overlap(from, to, part);
    if (!(block > Seconds(0)) || !(covered > Seconds(0))) continue;
    shared.add(from, to, covered / block);
    if (covered < block) divided += (to.energy - from.energy).si();
    if (covered < kInside * block) continue;
    // A reading between two of them takes from the one what it gives to the other.
    const bool goes_on = last == i - 1 && !joined.empty();
    edges += (goes_on ? -1.0 : 1.0) * std::pow(from.edge.si(), 2);
    edges += std::pow(to.edge.si(), 2) + std::max(0.0, to.sampling_variance - from.sampling_variance);
    last = i;
    watts.push_back((to.energy - from.energy).si() / block.count());
    if (joined.empty()) joined.push_back(from);
    inside.add(from, to, 1.0);
    MeterSample end = joined.back();
    end.at += block;
    end.energy += to.energy - from.energy;
    joined.push_back(std::move(end));
  }
  if (watts.empty()) {
    WindowReading out = scaled(whole, shared, length);
    out.own_error = Joules(divided / 2.0);
    return out;
  }
  WindowReading out = scaled(whole, inside, length);
  const double beyond = std::abs((length - inside.time).count());
  double squares = 0.0;
  for (const double each : watts) squares += std::pow(each - mean(watts), 2);
  const double scatter = watts.size() > 1 ? std::sqrt(squares / static_cast<double>(watts.size() - 1)) : watts.front();
  out.own_error = Joules(std::hypot(std::sqrt(std::max(edges, 0.0)) * (length / inside.time), scatter * beyond));
  out.samples = std::move(joined);
  return out;
}

}  // namespace polythrottle
