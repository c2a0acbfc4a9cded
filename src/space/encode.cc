#include <algorithm>
#include <cmath>

#include "space/space.h"

namespace polythrottle {
namespace {

/// Coordinate of every level of an ordered parameter.
std::vector<double> coordinates(const Parameter& parameter, Encoding encoding) {
  const std::size_t n = parameter.levels.size();
  std::vector<double> x(n, 0.0);
  if (n < 2) return x;
  const bool numbers =
      std::all_of(parameter.levels.begin(), parameter.levels.end(), [](const Value& v) { return std::holds_alternative<double>(v); });
  for (std::size_t i = 0; i < n; ++i) {
    x[i] = numbers && encoding != Encoding::kIndex ? std::get<double>(parameter.levels[i]) : static_cast<double>(i);
  }
  if (numbers && encoding == Encoding::kLog && std::all_of(x.begin(), x.end(), [](double v) { return v > 0.0; })) {
    for (double& v : x) v = std::log(v);
  }
  const double low = *std::min_element(x.begin(), x.end()), high = *std::max_element(x.begin(), x.end());
  for (double& v : x) v = (v - low) / (high - low);
  return x;
}

}  // namespace

std::size_t encoded_dimension(const Space& space) {
  std::size_t d = 0;
  for (const auto& p : space.parameters()) d += p.ordered() || p.levels.size() < 2 ? 1 : p.levels.size();
  return d;
}

std::vector<double> encode(const Space& space, Encoding encoding) {
  const std::size_t d = encoded_dimension(space);
  std::vector<double> out(space.size() * d, 0.0);
  std::size_t column = 0;
  for (std::size_t k = 0; k < space.parameters().size(); ++k) {
    const auto& p = space.parameters()[k];
    const bool one_hot = !p.ordered() && p.levels.size() >= 2;
    const auto x = one_hot ? std::vector<double>{} : coordinates(p, encoding);
    for (std::size_t id = 0; id < space.size(); ++id) {
      const std::uint16_t level = space.levels(static_cast<CandidateId>(id))[k];
      if (one_hot) {
        out[id * d + column + level] = 1.0;
      } else {
        out[id * d + column] = x[level];
      }
    }
    column += one_hot ? p.levels.size() : 1;
  }
  return out;
}

}  // namespace polythrottle
