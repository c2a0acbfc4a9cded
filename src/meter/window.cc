#include "meter/window.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <optional>
#include <string>

namespace polythrottle {
namespace {

constexpr double kLeastSpacing = 0.9;       ///< of a block
constexpr double kFrozenAfterTicks = 20.0;  ///< refresh periods

class MeterWindow : public Window {
 public:
  MeterWindow(Clock& clock, Meter& meter, Seconds block) : clock_(clock), meter_(meter), block_(block) {
    const Seconds sampling = meter.info().sampling;
    if (sampling > Seconds(0)) ticks_per_block_ = std::max(1L, std::lround(std::ceil(block / sampling)));
  }

  Status start() {
    TRY(MeterSample first, timed_read());
    samples_.push_back(std::move(first));
    ticker_ = clock_.every(block_ / static_cast<double>(ticks_per_block_), [this] { tick(); });
    return {};
  }

  Result<WindowReading> close() override {
    if (!ticker_) return fail(Errc::kInvalid, "close a window: it was closed before");
    ticker_.reset();  // waits for a read in progress; from here on this thread alone reads
    const std::lock_guard lock(mutex_);
    if (failure_) return tl::unexpected<Error>(*failure_);
    TRY(MeterSample last, timed_read());
    // The last block ends at the closing: where it would be too short it is joined with the one before.
    if (samples_.size() > 1 && last.at - samples_.back().at < kLeastSpacing * block_) samples_.pop_back();
    samples_.push_back(std::move(last));
    return reading();
  }

  Result<WindowReading> so_far() const override {
    const std::lock_guard lock(mutex_);
    if (failure_) return tl::unexpected<Error>(*failure_);
    if (samples_.size() < 2) return fail(Errc::kBusy, "look into a window: its first block is not over");
    return reading();
  }

 private:
  Result<WindowReading> reading() const {
    const MeterSample& opening = samples_.front();
    const MeterSample& closing = samples_.back();
    WindowReading out;
    out.elapsed = closing.at - opening.at;
    out.energy = closing.energy - opening.energy;
    const auto& info = meter_.info();
    if (!(out.energy > Joules(0)) && out.elapsed > kFrozenAfterTicks * info.refresh) {
      return fail(Errc::kCorrupt,
                  "measure with " + info.name + ": its energy did not advance in " + std::to_string(out.elapsed.count()) + " s",
                  "choose another meter");
    }
    for (std::size_t i = 0; i < closing.one_sigma.size() && i < opening.one_sigma.size(); ++i) {
      out.one_sigma.push_back(closing.one_sigma[i] - opening.one_sigma[i]);
    }
    const double sampling = std::max(0.0, closing.sampling_variance - opening.sampling_variance);
    out.own_error = Joules(std::hypot(opening.edge.si(), closing.edge.si(), std::sqrt(sampling)));
    for (std::size_t i = 0; i < closing.rails.size() && i < opening.rails.size(); ++i) {
      out.rails.push_back(closing.rails[i] - opening.rails[i]);
    }
    out.reads = reads_;
    out.reading_time = reading_time_;
    out.samples = samples_;
    return out;
  }

  Result<MeterSample> timed_read() {
    const auto before = clock_.now();
    auto sample = meter_.read();
    reading_time_ += clock_.now() - before;
    ++reads_;
    return sample;
  }

  void tick() {
    const std::lock_guard lock(mutex_);
    if (failure_) return;
    // Read in any case: it keeps a wrapping counter alive, and a power sensor's integral close.
    auto sample = timed_read();
    const bool ends_block = ++ticks_ % ticks_per_block_ == 0;
    if (!sample) {
      failure_ = sample.error();
    } else if (ends_block && sample->at - samples_.back().at >= kLeastSpacing * block_) {
      samples_.push_back(std::move(*sample));
    }
  }

  Clock& clock_;
  Meter& meter_;
  const Seconds block_;
  long ticks_per_block_ = 1;
  long ticks_ = 0;
  mutable std::mutex mutex_;
  std::vector<MeterSample> samples_;
  std::optional<Error> failure_;  ///< the first
  std::size_t reads_ = 0;
  Seconds reading_time_{0};
  std::unique_ptr<Ticker> ticker_;  ///< last: it stops before the rest goes
};

}  // namespace

Result<std::unique_ptr<Window>> Window::open(Host& host, Meter& meter, Seconds block) {
  if (!(block > Seconds(0))) return fail(Errc::kInvalid, "open a window: blocks must be longer than 0 s");
  auto window = std::make_unique<MeterWindow>(host.clock, meter, block);
  TRY_STATUS(window->start());
  return window;
}

}  // namespace polythrottle
