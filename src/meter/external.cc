// A meter that somebody else reads: a script prints a line per reading, docs/external-meter.md says how.

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "meter/external_series.h"
#include "meter/line_feed.h"
#include "meter/meter.h"

namespace polythrottle {
namespace {

constexpr const char* kName = "external";
constexpr double kAssumedErrorPercent = 5.0;
constexpr std::size_t kFirstReadings = 4;  ///< before anything is measured: they tell the refresh
constexpr Seconds kPatience{10.0};         ///< for each of these, unless it states a slower refresh
/// Without a line for so long it stalls: a reading that was lost is none.
constexpr double kStallRefreshes = 5.0;
constexpr Seconds kShortestStall{2.0};

class ExternalMeter : public Meter {
 public:
  ExternalMeter(Host& host, const MeterOptions& options)
      : host_(host),
        words_(options.external_command),
        launcher_(real_launcher(host.clock)),
        error_percent_(options.external_error_percent) {
    info_ = {.name = kName, .refresh = Seconds(1.0), .error_sources = {"external_gain"}};
    describe();
  }

  const MeterInfo& info() const override { return info_; }

  Status prepare() override {
    const LineFeed::Listener listener{.line = [this](const std::string& line, Clock::TimePoint arrived) { take(line, arrived); },
                                      .ended = [this](Error why) { end(std::move(why)); }};
    auto feed = LineFeed::start(host_.clock, launcher_, words_, listener);
    if (!feed) return failed(feed.error());
    feed_ = std::move(*feed);
    std::unique_lock lock(mutex_);
    for (std::size_t seen = 0; seen < kFirstReadings; seen = series_.readings()) {
      const Seconds patience = std::max(kPatience, 3.0 * header_.refresh.value_or(Seconds(0)));
      const bool came = news_.wait_for(lock, patience, [&] { return series_.readings() > seen || broken_ || ended_; });
      if (broken_ || ended_) return failed(broken_ ? *broken_ : *ended_);
      if (!came) {
        return failed({Errc::kTimeout,
                       seen == 0 ? fmt::format("no reading within {:.0f} s", patience.count())
                                 : fmt::format("{} readings, and then none for {:.0f} s", seen, patience.count()),
                       "does it flush each line? (stdbuf -oL, python3 -u)"});
      }
    }
    info_.refresh = header_.refresh.value_or(series_.refresh());
    describe();
    begun_at_ = highest_ = series_.sample(host_.clock.now()).energy;
    return {};
  }

  Result<MeterSample> read() override {
    if (!feed_) TRY_STATUS(prepare());
    const std::lock_guard lock(mutex_);
    const auto now = host_.clock.now();
    if (broken_) {
      // What comes after it counts from here; the energy up to it is unknown and the caller is told.
      const Error why = *std::exchange(broken_, std::nullopt);
      return failed(why);
    }
    if (ended_) return failed(*ended_);
    const Seconds silence = now - std::max(series_.arrived(), restarted_at_);
    const Seconds patience = std::max(kShortestStall, kStallRefreshes * info_.refresh);
    if (series_.readings() == 0 && silence <= patience) {
      return failed({Errc::kCorrupt, fmt::format("{}, and no reading since", last_fault_), {}});
    }
    if (silence > patience) {
      return failed({Errc::kTimeout,
                     fmt::format("no reading for {:.1f} s, and one comes every {:.3g} s", silence.count(), info_.refresh.count()),
                     "look at what the script waits for"});
    }
    auto sample = series_.sample(now);
    // A power that fell while nobody knew it takes back what was assumed of it; the sum stands still meanwhile.
    highest_ = std::max(highest_, past_ + sample.energy);
    sample.energy = highest_ - begun_at_;
    sample.sampling_variance += past_variance_;
    sample.one_sigma = {sample.energy * (1e-2 * gain_percent())};
    return sample;
  }

 private:
  tl::unexpected<Error> failed(Error why) const {
    why.what = fmt::format("external meter {}: {}", words_.front(), why.what);
    return tl::unexpected<Error>(std::move(why));
  }

  double gain_percent() const { return error_percent_.value_or(header_.error_percent.value_or(kAssumedErrorPercent)); }

  /// On the feed's thread, as `end`.
  void take(const std::string& text, Clock::TimePoint arrived) {
    const std::lock_guard lock(mutex_);
    ++lines_;
    auto line = parse_external_line(text);
    if (line) {
      if (auto* const header = std::get_if<ExternalHeader>(&*line)) {
        if (series_.readings() == 0) header_ = std::move(*header);
      } else if (const auto* const reading = std::get_if<ExternalReading>(&*line)) {
        if (const auto added = series_.add(*reading, arrived); !added) line = tl::unexpected<Error>(added.error());
      }
    }
    if (!line) {
      Error why = line.error();
      why.what = fmt::format("line {}: {}", lines_, why.what);
      last_fault_ = why.what;
      if (!broken_) broken_ = std::move(why);
      start_anew(arrived);
    }
    news_.notify_all();
  }

  void start_anew(Clock::TimePoint at) {
    if (series_.readings() > 0) {
      const auto sample = series_.sample(std::max(at, series_.arrived()));
      past_ += sample.energy;
      past_variance_ += sample.sampling_variance;
    }
    series_ = {};
    restarted_at_ = at;
  }

  void end(Error why) {
    const std::lock_guard lock(mutex_);
    why.what += fmt::format(" (after {} lines)", lines_);
    why.hint = "it must go on until it is stopped";
    ended_ = std::move(why);
    news_.notify_all();
  }

  void describe() {
    const std::string script = fmt::format("{}", fmt::join(words_, " "));
    info_.boundary = header_.boundary.empty() ? fmt::format("whatever stands behind '{}', which does not say", script)
                                              : fmt::format("{} (told by '{}')", header_.boundary, script);
    const char* const whose = error_percent_          ? "stated with --external-error"
                              : header_.error_percent ? "stated by the script"
                                                      : "is assumed: nobody states one";
    info_.error = fmt::format("+-{:.3g} % on the gain (1 sigma) {}; a reading every {:.3g} s, power taken as steady since the last",
                              gain_percent(), whose, info_.refresh.count());
  }

  Host& host_;
  const std::vector<std::string> words_;
  const std::shared_ptr<Launcher> launcher_;
  const std::optional<double> error_percent_;
  MeterInfo info_;

  std::mutex mutex_;  ///< of all below but `feed_`
  std::condition_variable news_;
  ExternalHeader header_;
  ExternalSeries series_;
  std::size_t lines_ = 0;
  std::optional<Error> broken_;  ///< the first line that made no sense, until it is told
  std::string last_fault_;       ///< what was wrong with the last such line
  std::optional<Error> ended_;
  Clock::TimePoint restarted_at_;
  Joules past_, begun_at_, highest_;
  double past_variance_ = 0.0;
  std::unique_ptr<LineFeed> feed_;  ///< last: it ends before the rest goes
};

MeterDiscovery discover(Host& host, const MeterOptions& options) {
  MeterDiscovery found;
  if (options.external_command.empty()) {
    found.absent.push_back({kName,
                            {Errc::kNotFound, "read an external meter: none was named",
                             "--external-meter 'COMMAND' takes any program that prints SECONDS WATTS"}});
  } else if (auto there = real_launcher(host.clock)->check(options.external_command.front()); !there) {
    found.absent.push_back({kName, there.error()});
  } else {
    found.meters.push_back(std::make_unique<ExternalMeter>(host, options));
  }
  return found;
}

}  // namespace

namespace meter_driver {
extern const MeterDriver external;
constinit const MeterDriver external{
    .name = "external", .summary = "a meter of your own, read by a program (--external-meter)", .preference = 0, .discover = discover};
}  // namespace meter_driver
}  // namespace polythrottle
