#include "study/blocks.h"

#include <algorithm>

#include "base/stats.h"

namespace polythrottle {
namespace {

constexpr std::size_t kErrorBlocks = 20;

std::vector<double> column_of(std::span<const Block> blocks, double Block::*column) {
  std::vector<double> out;
  out.reserve(blocks.size());
  for (const Block& block : blocks) out.push_back(block.*column);
  return out;
}

}  // namespace

std::vector<Block> blocks_of(const Work& work, const WindowReading& reading) {
  const auto& samples = reading.samples;
  std::vector<Block> out(samples.empty() ? 0 : samples.size() - 1);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i].joules = (samples[i + 1].energy - samples[i].energy).si();
    out[i].seconds = (samples[i + 1].at - samples[i].at).count();
  }
  const auto behind = [](const auto& at, const MeterSample& s) { return at < s.at; };
  for (const auto& c : work.completions) {
    const auto began = c.at - c.latency;
    const double length = c.latency.count();
    // The first block that ends behind the batch's beginning.
    auto block = static_cast<std::size_t>(std::upper_bound(samples.begin(), samples.end(), began, behind) - samples.begin());
    for (block = std::max<std::size_t>(block, 1); block < samples.size() && samples[block - 1].at < c.at; ++block) {
      const auto overlap = std::min(c.at, samples[block].at) - std::max(began, samples[block - 1].at);
      const double share = length > 0.0 ? std::max(overlap.count(), 0.0) / length : 1.0;
      out[block - 1].inferences += static_cast<double>(c.inferences) * share;
      if (c.at <= samples[block].at) {
        out[block - 1].latencies += c.latency.count();
        out[block - 1].ended += 1.0;
      }
    }
  }
  return out;
}

std::vector<Block> joined(std::span<const Block> blocks, std::size_t count) {
  const std::size_t groups = blocks.size() / std::max<std::size_t>(blocks.size() / std::max<std::size_t>(count, 1), 1);
  std::vector<Block> out(groups);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    Block& group = out[i * groups / blocks.size()];
    group.seconds += blocks[i].seconds;
    group.joules += blocks[i].joules;
    group.inferences += blocks[i].inferences;
    group.latencies += blocks[i].latencies;
    group.ended += blocks[i].ended;
  }
  return out;
}

double sum_of(std::span<const Block> blocks, double Block::*column) {
  double sum = 0.0;
  for (const Block& block : blocks) sum += block.*column;
  return sum;
}

std::optional<double> scatter_of_ratio(std::span<const Block> blocks, double Block::*numerator, double Block::*denominator) {
  const auto few = joined(blocks, kErrorBlocks);
  return ratio_std_error(column_of(few, numerator), column_of(few, denominator));
}

std::optional<double> relative_error(std::span<const Block> blocks, Joules own_error, double Block::*denominator) {
  const double joules = sum_of(blocks, &Block::joules), per = sum_of(blocks, denominator);
  if (!(joules > 0.0) || !(per > 0.0)) return std::nullopt;
  const auto scatter = scatter_of_ratio(blocks, &Block::joules, denominator);
  const double own = own_error.si() / joules;
  if (!scatter) return own > 0.0 ? std::optional(own) : std::nullopt;
  return std::max(*scatter * per / joules, own);
}

}  // namespace polythrottle
