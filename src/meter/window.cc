#include "meter/window.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <optional>
#include <random>
#include <string>

namespace polythrottle {
namespace {

constexpr double kFrozenAfterTicks = 20.0;  ///< refresh periods
/// A power sensor may be read at so many moments to one reading; they are not closer than its refresh and kShortestSlot.
constexpr long kMostSlots = 8;
constexpr Seconds kShortestSlot{6e-3};

/// When to read. A meter that is content with a reading a block is read at the ends of blocks. One that wants more (a sensor of power) is
/// read once in each of `strata` equal parts of a block, at one of `slots` moments drawn by lot: a load in step with evenly spaced readings
/// would be seen always in the same place, and nobody would know (stratified random sampling, Cochran 1977, chapter 5). A block then ends
/// at its last reading.
class Schedule {
 public:
  Schedule(const MeterInfo& meter, Seconds block) {
    if (meter.sampling > Seconds(0) && meter.sampling <= block) {
      strata_ = std::lround(std::ceil(block / meter.sampling));
      const Seconds stratum = block / static_cast<double>(strata_);
      slots_ = std::clamp(static_cast<long>(stratum / std::max(meter.refresh, kShortestSlot)), 1L, kMostSlots);
    } else if (meter.read_within > Seconds(0)) {
      strata_ = std::max(1L, std::lround(std::ceil(block / meter.read_within)));
    }
    slot_ = block / static_cast<double>(strata_ * slots_);
    least_spacing_ = (slots_ == 1 ? 0.9 : 0.5) * block;
    draw();
  }

  /// Of the ticker.
  Seconds slot() const { return slot_; }
  /// Of the ends of blocks.
  Seconds least_spacing() const { return least_spacing_; }

  enum class Now { kNothing, kRead, kReadBlock };
  /// So long after the opening; ticks may be late or left out.
  Now due(Seconds since) {
    const long slot = std::lround(since / slot_);
    if (slot < wanted_) return Now::kNothing;
    const long last_of_block = (stratum_ / strata_ + 1) * strata_ - 1;
    const bool block = stratum_ == last_of_block || slot > (last_of_block + 1) * slots_;
    stratum_ = std::max(stratum_ + 1, slot / slots_);
    draw();
    return block ? Now::kReadBlock : Now::kRead;
  }

 private:
  void draw() { wanted_ = stratum_ * slots_ + (slots_ == 1 ? 1 : 1 + static_cast<long>(lot_() % static_cast<unsigned>(slots_))); }

  long strata_ = 1;
  long slots_ = 1;
  Seconds slot_{0};
  Seconds least_spacing_{0};
  long stratum_ = 0;  ///< whose reading comes next
  long wanted_ = 0;   ///< slot of that reading
  std::mt19937 lot_{20231031};
};

class MeterWindow : public Window {
 public:
  MeterWindow(Clock& clock, Meter& meter, Seconds block) : clock_(clock), meter_(meter), schedule_(meter.info(), block) {}

  Status start() {
    auto first = timed_read();
    // A fault is told once, by the reading after it: what went wrong before the window is none of its.
    if (!first && first.error().code == Errc::kCorrupt) first = timed_read();
    if (!first) return tl::unexpected<Error>(first.error());
    samples_.push_back(std::move(*first));
    began_ = clock_.now();
    ticker_ = clock_.every(schedule_.slot(), [this] { tick(); });
    return {};
  }

  Result<WindowReading> close() override {
    if (!ticker_) return fail(Errc::kInvalid, "close a window: it was closed before");
    ticker_.reset();  // waits for a read in progress; from here on this thread alone reads
    {
      const std::lock_guard lock(mutex_);
      if (failure_) return tl::unexpected<Error>(*failure_);
    }
    TRY(MeterSample last, timed_read());
    const std::lock_guard lock(mutex_);
    if (!second_) second_ = last;
    // The last block ends at the closing: where it would be too short it is joined with the one before.
    if (samples_.size() > 1 && last.at - samples_.back().at < schedule_.least_spacing()) samples_.pop_back();
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
    // What the opening's edge adds is known from the first reading behind it.
    // The variance of a power integral ends at the middle of an interval, and the first one lies before the window in part; that of a
    // counter is of a gap behind its last reading.
    const bool counter = meter_.info().sampling <= Seconds(0);
    const double sampling = std::max(0.0, closing.sampling_variance - (counter ? opening : *second_).sampling_variance);
    out.own_error = Joules(std::hypot(second_->edge.si(), closing.edge.si(), std::sqrt(sampling)));
    for (std::size_t i = 0; i < closing.rails.size() && i < opening.rails.size(); ++i) {
      out.rails.push_back(closing.rails[i] - opening.rails[i]);
    }
    out.reads = reads_;
    out.reading_time = reading_time_;
    out.samples = samples_;
    return out;
  }

  /// One thread at a time: the opening one, the ticker's, the closing one. Nobody who only looks waits for the meter.
  Result<MeterSample> timed_read() {
    const auto before = clock_.now();
    auto sample = meter_.read();
    const Seconds took = clock_.now() - before;
    const std::lock_guard lock(mutex_);
    reading_time_ += took;
    ++reads_;
    return sample;
  }

  void tick() {
    if (broken_) return;
    const auto due = schedule_.due(clock_.now() - began_);
    if (due == Schedule::Now::kNothing) return;
    // Not only at the ends of blocks: it keeps a wrapping counter alive, and a power sensor's integral close.
    auto sample = timed_read();
    const std::lock_guard lock(mutex_);
    if (!sample) {
      failure_ = sample.error();
      broken_ = true;
      return;
    }
    if (!second_) second_ = *sample;
    if (due == Schedule::Now::kReadBlock && sample->at - samples_.back().at >= schedule_.least_spacing()) {
      samples_.push_back(std::move(*sample));
    }
  }

  Clock& clock_;
  Meter& meter_;
  Schedule schedule_;         ///< its changing part: the ticker's thread alone
  bool broken_ = false;       ///< the ticker's thread alone
  Clock::TimePoint began_{};  ///< set before the ticker starts
  mutable std::mutex mutex_;  ///< of what follows
  std::vector<MeterSample> samples_;
  std::optional<MeterSample> second_;  ///< the first reading after the opening
  std::optional<Error> failure_;       ///< the first
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
