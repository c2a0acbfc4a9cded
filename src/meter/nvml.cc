// Energy of an NVIDIA GPU on a card, as its driver tells it through NVML (below /nvml, host/nvml_files.h).
//
// Volta and later count millijoules since the driver was loaded. Users have seen that counter and the power readings disagree by much more
// than either's error (ml-energy/zeus issue 181), and at least one peer reports 0 J where there is no counter (codecarbon issue 1316). So
// before it measures, this meter watches both for a second; the counter is used if they agree, else power is integrated, and a remark says
// so. Sources: nvml.h of NVML API version 13; arXiv 2312.02741 on how the sensors sample.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>

#include "meter/meter.h"
#include "meter/nvml_sensors.h"
#include "meter/power_integral.h"

namespace polythrottle {
namespace {

constexpr const char* kName = "nvml";
/// Where it cannot be seen to change often enough: "about 100 ms" (ml.energy, Thermally stable profiling).
constexpr Seconds kUsualRefresh{0.1};
/// nvml.h states +-5 % for the power of Fermi and Kepler, and nothing for what came after. Taken for one standard deviation, of the
/// counter too; to be replaced where somebody has compared with another meter.
constexpr double kAssumedGainError = 0.05;
constexpr double kCounterStep = 1e-3;  ///< J
constexpr double kPowerStep = 1e-3;    ///< W
constexpr double kEdgeStretch = 5.0;
/// A GPU that is on draws something always: a counter that shows nothing of it for so long is broken.
constexpr Seconds kStandsStill{2.0};
constexpr double kRefreshesStill = 20.0;
constexpr int kTries = 5;
/// A CPU is not to spend more than this part of its time reading.
constexpr double kMostReading = 0.1;
/// A number that is as old as anything from 0 to 1 refresh period is off by this part of it (one standard deviation).
const double kUniform = 1.0 / std::sqrt(12.0);

class NvmlMeter : public Meter {
 public:
  NvmlMeter(Host& host, NvmlGpu gpu, NvmlSensors sensors) : host_(host), gpu_(std::move(gpu)), sensors_(std::move(sensors)) {
    info_ = {.name = kName,
             .boundary = gpu_.text() + ": the card with its memory and regulators, by its own sensor (no CPU, no board, no power supply)",
             .gpu_alone = true,
             .refresh = kUsualRefresh,
             .error_sources = {"nvml_gain"},
             .rails = {{.name = "GPU " + gpu_.index, .boundary = gpu_.name}}};
    if (gpu_.listed > 1)
      info_.remarks.push_back(gpu_.text() + " of " + std::to_string(gpu_.listed) + "; the energy of others is not in it");
    by_counter_ = !sensors_.counter.empty();
    if (sensors_.no_counter) info_.remarks.push_back("no energy counter, so power is integrated: " + sensors_.no_counter->what);
  }

  /// Starts at 0 J and times a read.
  Status start() {
    if (!sensors_.power.empty()) {
      TRY(watts_, sensors_.read_power(host_.files));
    }
    TRY_STATUS(begin());
    Seconds best{1e9};
    for (int i = 0; i < kTries; ++i) {
      const auto before = host_.clock.now();
      if (const auto sample = read(); !sample) return tl::unexpected<Error>(sample.error());
      best = std::min(best, Seconds(host_.clock.now() - before));
    }
    info_.read_cost = best;
    describe();
    return begin();
  }

  const MeterInfo& info() const override { return info_; }

  Status prepare() override {
    TRY(const GpuCrossCheck check, watch_sensors(host_, sensors_));
    if (check.mean_watts > 0.0) watts_ = check.mean_watts;
    power_refresh_ = check.power_refresh.value_or(kUsualRefresh);
    if (by_counter_) TRY_STATUS(judge_counter(check));
    info_.refresh = by_counter_ ? check.counter_refresh.value_or(kUsualRefresh) : power_refresh_;
    describe();
    return begin();
  }

  Result<MeterSample> read() override {
    auto sample = by_counter_ ? counted() : integrated();
    if (!sample) return sample;
    sample->one_sigma = {sample->energy * kAssumedGainError};
    sample->rails = {sample->energy};
    return sample;
  }

 private:
  struct Reading {
    Clock::TimePoint at;
    double watts;
  };

  Status begin() {
    if (by_counter_) {
      TRY(last_count_, sensors_.read_counter(host_.files));
    } else {
      TRY(watts_, sensors_.read_power(host_.files));
    }
    last_at_ = moved_at_ = host_.clock.now();
    total_ = sampling_variance_ = 0.0;
    has_mean_ = false;
    // A number that stands for a refresh is half of one old in the middle.
    integral_ = PowerIntegral({.step = Watts(kPowerStep), .refresh = power_refresh_, .age = 0.5 * power_refresh_});
    if (!by_counter_) integral_.add(last_at_, Watts(watts_));
    recent_.assign(1, {last_at_, watts_});
    return {};
  }

  /// Is the counter to be believed?
  Status judge_counter(const GpuCrossCheck& check) {
    const bool has_power = !sensors_.power.empty();
    if (!check.counter_refresh) {
      if (!has_power) {
        return fail(Errc::kCorrupt, "measure the energy of " + gpu_.text() + ": its counter does not move, and there is no power to read",
                    "look at nvidia-smi -q -d POWER, or use --external-meter");
      }
      info_.remarks.push_back("the energy counter hardly moved in 3 s, so power is integrated");
      by_counter_ = false;
    } else if (!has_power || sensors_.averaging > Seconds(0)) {
      info_.remarks.push_back(std::string("the energy counter was not cross-checked: ") +
                              (has_power ? "power is told as the mean of a second only" : "power is not told"));
    } else if (!(check.compared > Seconds(0))) {
      info_.remarks.push_back("the energy counter was not cross-checked: it changed too seldom meanwhile");
    } else {
      const std::string numbers = fmt::format("{:.4g} J by the energy counter, {:.4g} J by integrated power over {:.2g} s",
                                              check.by_counter.si(), check.by_power.si(), check.compared.count());
      by_counter_ = check.agree();
      info_.remarks.push_back(by_counter_ ? "cross-checked: " + numbers
                                          : fmt::format("{}: they differ by more than {:.0f} %, so power is integrated", numbers,
                                                        100.0 * GpuCrossCheck::kTolerance));
    }
    return {};
  }

  void describe() {
    info_.sampling = by_counter_ ? Seconds(0) : std::max({info_.refresh, power_refresh_, info_.read_cost / kMostReading});
    info_.error = "+-5 % on the gain (1 sigma) is assumed: NVIDIA states that for Fermi and Kepler and nothing for later GPUs";
    if (by_counter_) {
      info_.error += fmt::format("; each reading up to {:.0f} ms old", info_.refresh.count() * 1e3);
    } else if (sensors_.averaging > Seconds(0)) {
      info_.error += "; integrated from means of 1 s, so a change of load counts up to 1 s late";
    }
    if (sensors_.part_unseen > 0.0) {
      info_.error +=
          fmt::format("; the sensor does not see {:.0f} % of the time (arXiv 2312.02741), so short windows err with the load's rhythm",
                      100.0 * sensors_.part_unseen);
    }
  }

  Result<MeterSample> counted() {
    TRY(const double count, sensors_.read_counter(host_.files));
    const auto at = host_.clock.now();
    const double before = std::exchange(last_count_, count);
    const Seconds passed = at - std::exchange(last_at_, at);
    const double advanced = count - before;
    if (advanced != 0.0) {
      moved_at_ = at;
    } else if (at - moved_at_ >= std::max(kStandsStill, kRefreshesStill * info_.refresh)) {
      return fail(Errc::kCorrupt, fmt::format("read {}: it stands still at {:.3f} J", sensors_.counter, count), "choose another meter");
    }
    // Counting goes on from here; the energy of this interval is unknown and the caller is told.
    if (advanced < 0.0) {
      return fail(Errc::kCorrupt, fmt::format("read {}: went back from {:.3f} J to {:.3f} J", sensors_.counter, before, count),
                  "the driver was loaded anew, or the GPU was reset");
    }
    if (advanced > kMostWattsPerGpu * (passed + 2.0 * info_.refresh).count()) {
      return fail(Errc::kCorrupt,
                  fmt::format("read {}: {:.3f} J more after {:.3f} s, beyond what a GPU draws", sensors_.counter, advanced, passed.count()),
                  "the counter is broken or the machine slept");
    }
    total_ += advanced;
    if (passed >= info_.refresh) note_mean(advanced / passed.count(), passed);
    return MeterSample{.at = at,
                       .energy = Joules(total_),
                       .edge = Joules(std::hypot(edge_watts(advanced, passed) * info_.refresh.count(), kCounterStep) * kUniform),
                       .sampling_variance = sampling_variance_};
  }

  /// W, over at least kEdgeStretch refreshes: over one or two the counter shows a step more or less, and the edge would be small just where
  /// the reading is.
  double edge_watts(double advanced, Seconds passed) {
    edge_joules_ += advanced;
    edge_time_ += passed;
    if (edge_time_ >= kEdgeStretch * info_.refresh) {
      edge_watts_ = edge_joules_ / edge_time_.count();
      edge_joules_ = 0.0;
      edge_time_ = Seconds(0);
    }
    return edge_watts_.value_or(watts_);
  }

  /// What a sensor does not see differs from what it sees about as neighbouring stretches differ from each other. Of a fluctuation with
  /// deviation s of the seen part, s^2 = difference^2 / 2, the unseen 75 ms of 100 ms err by 0.75 x sqrt(1 + 1/3) s.
  void note_mean(double mean, Seconds passed) {
    if (has_mean_) {
      const double factor = sensors_.part_unseen / 2.0;  // u^2 (1 + (1 - u) / u) / 2
      sampling_variance_ += factor * std::pow((mean - watts_) * passed.count(), 2);
    }
    watts_ = mean;
    has_mean_ = true;
  }

  Result<MeterSample> integrated() {
    TRY(watts_, sensors_.read_power(host_.files));
    const auto at = host_.clock.now();
    integral_.add(at, Watts(watts_));
    auto sample = integral_.sample();
    if (sensors_.averaging > Seconds(0)) sample.edge = Joules(std::hypot(sample.edge.si(), lateness(at)));
    return sample;
  }

  /// J: a mean of the last second is that of half a second ago; what power changed by meanwhile is not in it.
  double lateness(Clock::TimePoint at) {
    recent_.push_back({at, watts_});
    while (recent_.size() > 2 && at - recent_[1].at >= sensors_.averaging) recent_.pop_front();
    return std::abs(recent_.back().watts - recent_.front().watts) * 0.5 * sensors_.averaging.count();
  }

  Host& host_;
  const NvmlGpu gpu_;
  const NvmlSensors sensors_;
  MeterInfo info_;
  bool by_counter_ = false;
  Seconds power_refresh_ = kUsualRefresh;
  Clock::TimePoint last_at_;
  double last_count_ = 0.0;  ///< J
  double total_ = 0.0;       ///< J, of the counter
  double sampling_variance_ = 0.0;
  double watts_ = 0.0;  ///< the last reading, or the counter's mean between two
  bool has_mean_ = false;
  Clock::TimePoint moved_at_;  ///< the counter, last
  double edge_joules_ = 0.0;   ///< of the stretch that the next power for the edge is of
  Seconds edge_time_{0};
  std::optional<double> edge_watts_;
  PowerIntegral integral_{{}};
  std::deque<Reading> recent_;  ///< of a power that is a mean: the time it is the mean of
};

MeterDiscovery discover(Host& host, const MeterOptions&) {
  const auto absent = [](Error why) {
    if (why.code == Errc::kPermission && why.hint.empty())
      why.hint = "the user must be allowed to open /dev/nvidia* (group video or render)";
    MeterDiscovery none;
    none.absent.push_back({kName, std::move(why)});
    return none;
  };
  if (is_jetson(host.files)) {
    return absent({Errc::kUnsupported, "look for the power of an NVIDIA card: the GPU of a Jetson does not tell its own",
                   "the meter ina3221 reads the module's rails"});
  }
  auto gpu = chosen_gpu(host.files);
  if (!gpu) return absent(gpu.error());
  auto sensors = find_nvml_sensors(host.files, *gpu);
  if (!sensors) return absent(sensors.error());
  auto meter = std::make_unique<NvmlMeter>(host, std::move(*gpu), std::move(*sensors));
  if (auto started = meter->start(); !started) return absent(started.error());
  MeterDiscovery found;
  found.meters.push_back(std::move(meter));
  return found;
}

}  // namespace

namespace meter_driver {
extern const MeterDriver nvml;
constinit const MeterDriver nvml{.name = "nvml",
                                 .summary = "an NVIDIA card's own energy counter, or its power integrated (NVML)",
                                 .preference = 5,
                                 .discover = discover};
}  // namespace meter_driver
}  // namespace polythrottle
