#include "serving/drift_guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace polythrottle::serving {
namespace {

constexpr double kReference = 0.5;  // standard deviations that every block must exceed the tolerated by to count
constexpr double kMostOfOne = 3.0;  // standard deviations that one block adds at most
constexpr double kDay = 86400.0;

/// Four tests run side by side: above and below, of latency and of energy.
double height_of(const DriftOptions& options) {
  return DriftTest::height(4.0 * kDay / options.block.count() / options.false_alarms_per_day);
}

}  // namespace

double DriftTest::height(double blocks) {
  // Run length at the edge: (exp(2 k h) - 2 k h - 1) / (2 k^2), h with 1.166 for what the sum overshoots; it grows with h.
  const auto run_length = [](double height) {
    const double h = 2.0 * kReference * (height + 1.166);
    return (std::exp(h) - h - 1.0) / (2.0 * kReference * kReference);
  };
  double low = 0.0, high = 100.0;
  for (int step = 0; step < 60; ++step) {
    const double middle = (low + high) / 2.0;
    (run_length(middle) < blocks ? low : high) = middle;
  }
  return high;
}

int DriftTest::add(double mean, double deviation) {
  const auto grow = [&](double sum, double value) {
    return std::max(0.0, sum + std::min((value - tolerated_) / deviation - kReference, kMostOfOne));
  };
  above_ = grow(above_, mean);
  below_ = grow(below_, -mean);
  return above_ >= height_ ? 1 : below_ >= height_ ? -1 : 0;
}

DriftGuard::DriftGuard(std::vector<RowBand> bands, const DriftOptions& options)
    : bands_(std::move(bands)),
      options_(options),
      latency_(std::log1p(options.tolerated), height_of(options)),
      energy_(std::log1p(options.tolerated), height_of(options)) {}

std::optional<Alarm> DriftGuard::batch_done(Time now, std::size_t row, Seconds latency, Seconds expected, bool beside) {
  const double ratio = latency / expected;
  if (beside || !(ratio > 0.0) || !std::isfinite(ratio)) return std::nullopt;
  if (block_ && block_->row != row) block_.reset();
  if (!block_) block_ = Block{now, row};
  block_->sum += std::log(ratio);
  ++block_->count;
  return now - block_->began >= options_.block ? close(now) : std::nullopt;
}

std::optional<Alarm> DriftGuard::close(Time now) {
  const Block block = *block_;
  block_.reset();
  const auto count = static_cast<double>(block.count);
  const double mean = block.sum / count;
  const RowBand& band = bands_[block.row];
  const int side = latency_.add(mean, std::hypot(band.visit, band.batch / std::sqrt(count)));
  if (side == 0) return std::nullopt;
  return raise(Alarm::kDrift, now,
               fmt::format("latency left the band it was measured in: {:+.1f} % in the last {} batches of row {}", std::expm1(mean) * 100.0,
                           block.count, block.row));
}

std::optional<Alarm> DriftGuard::energy_window(Time now, std::size_t row, Joules drawn, Joules expected) {
  const double ratio = drawn / expected;
  if (!(ratio > 0.0) || !std::isfinite(ratio)) return std::nullopt;
  if (energy_.add(std::log(ratio), bands_[row].energy) == 0) return std::nullopt;
  return raise(Alarm::kDrift, now,
               fmt::format("energy left the band it was measured in: {:+.1f} % in the last window of row {}", (ratio - 1.0) * 100.0, row));
}

std::optional<Alarm> DriftGuard::temperature(Time now, Celsius celsius) {
  if (!options_.hottest || celsius <= *options_.hottest) return std::nullopt;
  return raise(Alarm::kHot, now, fmt::format("{:.1f} degC, above the limit of {:.1f} degC", celsius.si(), options_.hottest->si()));
}

std::optional<Alarm> DriftGuard::read_back(Time now, const Config& asked, const Config& got) {
  for (const auto& [name, value] : asked.entries()) {
    const auto held = got.get(name);
    if (!held || *held == value) continue;
    return raise(Alarm::kRival, now,
                 fmt::format("{} holds {} where {} was set: somebody else wrote it", name, to_text(*held), to_text(value)));
  }
  return std::nullopt;
}

std::optional<Alarm> DriftGuard::raise(Alarm alarm, Time now, std::string reason) {
  if (stale_) return std::nullopt;
  stale_ = Stale{alarm, now, std::move(reason)};
  return alarm;
}

}  // namespace polythrottle::serving
