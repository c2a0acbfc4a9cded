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
  MeterWindow(Meter& meter, Seconds block, MeterSample first) : meter_(meter), block_(block) {
    samples_.push_back(std::move(first));
    const Seconds sampling = meter.info().sampling;
    if (sampling > Seconds(0)) ticks_per_block_ = std::max(1L, std::lround(std::ceil(block / sampling)));
  }

  void start(Clock& clock) {
    ticker_ = clock.every(block_ / static_cast<double>(ticks_per_block_), [this] { tick(); });
  }

  Result<WindowReading> close() override {
    if (!ticker_) return fail(Errc::kInvalid, "close a window: it was closed before");
    ticker_.reset();  // waits for a read in progress; from here on this thread alone reads
    const std::lock_guard lock(mutex_);
    if (failure_) return tl::unexpected<Error>(*failure_);
    TRY(MeterSample last, meter_.read());
    // The last block ends at the closing: where it would be too short it is joined with the one before.
    if (samples_.size() > 1 && last.at - samples_.back().at < kLeastSpacing * block_) samples_.pop_back();
    samples_.push_back(std::move(last));

    const MeterSample& opening = samples_.front();
    const MeterSample& closing = samples_.back();
    WindowReading reading{.elapsed = closing.at - opening.at, .energy = closing.energy - opening.energy, .one_sigma = {}, .samples = {}};
    const auto& info = meter_.info();
    if (!(reading.energy > Joules(0)) && reading.elapsed > kFrozenAfterTicks * info.refresh) {
      return fail(Errc::kCorrupt,
                  "measure with " + info.name + ": its energy did not advance in " + std::to_string(reading.elapsed.count()) + " s",
                  "choose another meter");
    }
    for (std::size_t i = 0; i < closing.one_sigma.size() && i < opening.one_sigma.size(); ++i) {
      reading.one_sigma.push_back(closing.one_sigma[i] - opening.one_sigma[i]);
    }
    reading.samples = std::move(samples_);
    return reading;
  }

 private:
  void tick() {
    const std::lock_guard lock(mutex_);
    if (failure_) return;
    // Read in any case: it keeps a wrapping counter alive, and a power sensor's integral close.
    auto sample = meter_.read();
    const bool ends_block = ++ticks_ % ticks_per_block_ == 0;
    if (!sample) {
      failure_ = sample.error();
    } else if (ends_block && sample->at - samples_.back().at >= kLeastSpacing * block_) {
      samples_.push_back(std::move(*sample));
    }
  }

  Meter& meter_;
  const Seconds block_;
  long ticks_per_block_ = 1;
  long ticks_ = 0;
  std::mutex mutex_;
  std::vector<MeterSample> samples_;
  std::optional<Error> failure_;    ///< the first
  std::unique_ptr<Ticker> ticker_;  ///< last: it stops before the rest goes
};

}  // namespace

Result<std::unique_ptr<Window>> Window::open(Host& host, Meter& meter, Seconds block) {
  if (!(block > Seconds(0))) return fail(Errc::kInvalid, "open a window: blocks must be longer than 0 s");
  TRY(MeterSample first, meter.read());
  auto window = std::make_unique<MeterWindow>(meter, block, std::move(first));
  window->start(host.clock);
  return window;
}

}  // namespace polythrottle
