#include "study/settle.h"

#include <algorithm>
#include <cmath>

#include "base/stats.h"

namespace polythrottle {
namespace {

constexpr std::size_t kGroups = 10;       ///< a line is drawn through at least so many where there are as many blocks
constexpr std::size_t kFewestGroups = 6;  ///< fewer say nothing of steadiness
constexpr double kStandardErrors = 2.5;   ///< beyond which a movement is one
constexpr double kShareOfBias = 0.25;     ///< of the tolerance: what a different beginning may do to the mean
constexpr std::size_t kCandidates = 40;   ///< beginnings that are looked at, at most about so many

std::optional<std::vector<double>> ratios(std::span<const Block> groups, double Block::*numerator, double Block::*denominator) {
  std::vector<double> out;
  for (const Block& group : groups) {
    if (!(group.*denominator > 0.0)) return std::nullopt;
    out.push_back(group.*numerator / group.*denominator);
  }
  return out;
}

/// Does leaving the first one or two groups in move the mean? A transient at the beginning bends no line, for it is over too soon.
bool other_beginning(const std::vector<double>& values, double tolerance) {
  for (const std::size_t first : {1, 2}) {
    const std::span<const double> all(values), begin = all.first(first), rest = all.subspan(first);
    const double usual = mean(rest), difference = std::abs(mean(begin) - usual);
    const double n = static_cast<double>(rest.size()), k = static_cast<double>(first);
    const double error = std::sqrt(variance(rest) * (1.0 / k + 1.0 / n));
    const double bias = difference * k / (k + n);
    if (bias > kShareOfBias * tolerance * std::abs(usual) && difference > kStandardErrors * error) return true;
  }
  return false;
}

/// Nothing where it does not move, as far as can be told.
std::optional<Trend> movement(std::span<const Block> blocks, double Block::*numerator, double Block::*denominator, double tolerance,
                              bool& moved) {
  const auto trend = trend_of(blocks, numerator, denominator);
  if (!trend) return std::nullopt;
  const bool along_a_line = std::abs(trend->change) > std::max(tolerance, kStandardErrors * trend->std_error);
  moved = along_a_line || other_beginning(*ratios(joined(blocks, kGroups), numerator, denominator), tolerance);
  return trend;
}

/// Judges one end of the load.
SteadyPart judged(std::span<const Block> end, std::size_t from, const SettleRule& rule) {
  SteadyPart part{.from = from, .steady = false, .moved = {}, .trend = {}};
  bool moved = false;
  part.trend = movement(end, &Block::joules, &Block::seconds, rule.power, moved);
  if (moved) {
    part.moved = "power";
    return part;
  }
  const bool resolved = part.trend && kStandardErrors * part.trend->std_error <= rule.resolution;
  const bool looked_for_long = sum_of(end, &Block::seconds) >= rule.patience * rule.shortest.count();
  const bool seen = part.trend && (resolved || looked_for_long);
  const auto latency = movement(end, &Block::latencies, &Block::ended, rule.latency, moved);
  if (moved) {
    part.moved = "latency";
    part.trend = latency;
    return part;
  }
  part.steady = seen;
  return part;
}

}  // namespace

std::optional<Trend> trend_of(std::span<const Block> blocks, double Block::*numerator, double Block::*denominator) {
  const auto groups = joined(blocks, kGroups);
  if (groups.size() < kFewestGroups) return std::nullopt;
  const auto values = ratios(groups, numerator, denominator);
  if (!values) return std::nullopt;
  const auto n = static_cast<double>(values->size());
  const double level = mean(*values), middle = (n - 1.0) / 2.0;
  if (!(level > 0.0)) return std::nullopt;
  double covariance = 0.0, spread = 0.0;
  for (std::size_t i = 0; i < values->size(); ++i) {
    const double x = static_cast<double>(i) - middle;
    covariance += x * ((*values)[i] - level);
    spread += x * x;
  }
  const double slope = covariance / spread;
  double squares = 0.0;
  for (std::size_t i = 0; i < values->size(); ++i) {
    const double off = (*values)[i] - level - slope * (static_cast<double>(i) - middle);
    squares += off * off;
  }
  // From end to end, n groups long.
  return Trend{.change = slope * n / level,
               .std_error = std::sqrt(squares / (n - 2.0) / spread) * n / level,
               .length = Seconds(sum_of(groups, &Block::seconds))};
}

SteadyPart steady_part(std::span<const Block> blocks, const SettleRule& rule, std::optional<std::size_t> from_there) {
  if (from_there && *from_there < blocks.size()) return judged(blocks.subspan(*from_there), *from_there, rule);
  const double whole = sum_of(blocks, &Block::seconds);
  const std::size_t step = std::max<std::size_t>(1, blocks.size() / kCandidates);
  SteadyPart last = judged(blocks, 0, rule);
  double before = 0.0;
  for (std::size_t from = 0; !last.steady && from < blocks.size();) {
    for (std::size_t i = 0; i < step && from < blocks.size(); ++i) before += blocks[from++].seconds;
    constexpr double kRounding = 1e-9;
    if (before > rule.limit.count() + kRounding || whole - before < rule.shortest.count() - kRounding) break;
    last = judged(blocks.subspan(from), from, rule);
  }
  return last;
}

}  // namespace polythrottle
