#include "meter/gpu_cross_check.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace polythrottle {
namespace {

constexpr std::size_t kFewestChanges = 4;

/// Where a number is another than in the look before.
std::vector<std::size_t> changes(std::span<const GpuLook> looks, std::optional<double> GpuLook::*number) {
  std::vector<std::size_t> out;
  for (std::size_t i = 1; i < looks.size(); ++i) {
    const auto &before = looks[i - 1].*number, &now = looks[i].*number;
    if (before && now && *before != *now) out.push_back(i);
  }
  return out;
}

std::optional<Seconds> median_distance(std::span<const GpuLook> looks, const std::vector<std::size_t>& at) {
  if (at.size() < kFewestChanges) return std::nullopt;
  std::vector<Seconds> distances;
  for (std::size_t i = 1; i < at.size(); ++i) distances.push_back(looks[at[i]].at - looks[at[i - 1]].at);
  const auto middle = distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2);
  std::nth_element(distances.begin(), middle, distances.end());
  return *middle;
}

}  // namespace

bool GpuCrossCheck::agree() const { return std::abs((by_counter - by_power).si()) <= kTolerance * std::max(by_counter, by_power).si(); }

GpuCrossCheck cross_check(std::span<const GpuLook> looks) {
  GpuCrossCheck out;
  const auto steps = changes(looks, &GpuLook::counter);
  out.counter_refresh = median_distance(looks, steps);
  out.power_refresh = median_distance(looks, changes(looks, &GpuLook::watts));
  double sum = 0.0;
  std::size_t count = 0;
  for (const auto& look : looks) {
    if (!look.watts) continue;
    sum += *look.watts;
    ++count;
  }
  if (count > 0) out.mean_watts = sum / static_cast<double>(count);
  if (steps.size() < kFewestChanges || count < looks.size()) return out;
  const auto stretch = looks.subspan(steps.front(), steps.back() - steps.front() + 1);
  out.compared = stretch.back().at - stretch.front().at;
  out.by_counter = Joules(*stretch.back().counter - *stretch.front().counter);
  for (std::size_t i = 1; i < stretch.size(); ++i) {
    out.by_power = out.by_power + Joules(0.5 * (*stretch[i - 1].watts + *stretch[i].watts) * (stretch[i].at - stretch[i - 1].at).count());
  }
  return out;
}

}  // namespace polythrottle
