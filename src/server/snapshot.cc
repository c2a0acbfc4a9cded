#include "server/snapshot.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace polythrottle::server {
namespace {

Histogram with_bounds(std::vector<double> bounds) {
  Histogram out;
  out.counts.assign(bounds.size() + 1, 0);
  out.bounds = std::move(bounds);
  return out;
}

}  // namespace

void Histogram::add(double value) {
  if (std::isnan(value)) return;
  // A default-constructed histogram has one bucket: everything.
  if (counts.size() != bounds.size() + 1) counts.resize(bounds.size() + 1, 0);
  ++counts[static_cast<std::size_t>(std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin())];
  ++total;
  sum += value;
}

std::optional<double> Histogram::quantile(double q) const {
  if (total == 0 || bounds.empty()) return std::nullopt;
  const double rank = std::clamp(q, 0.0, 1.0) * static_cast<double>(total);
  double below = 0.0;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    const auto inside = static_cast<double>(counts[i]);
    if (inside > 0.0 && below + inside >= rank) {
      const double low = i > 0 ? bounds[i - 1] : std::min(0.0, bounds[0]);
      return low + (bounds[i] - low) * (rank - below) / inside;
    }
    below += inside;
  }
  return bounds.back();  // above all: no more is known of it
}

Histogram latency_histogram() {
  return with_bounds(
      {50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0});
}

Histogram size_histogram() {
  std::vector<double> bounds;
  for (double size = 1.0; size <= 1024.0; size *= 2.0) bounds.push_back(size);
  return with_bounds(std::move(bounds));
}

}  // namespace polythrottle::server
