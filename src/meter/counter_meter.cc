#include "meter/counter_meter.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace polythrottle {
namespace {

/// A look at how often a counter is renewed takes this long at most.
constexpr Seconds kPatience{0.02};
constexpr int kTimedReads = 5;

class CounterMeter : public Meter {
 public:
  CounterMeter(Host& host, std::vector<Counter> counters, MeterInfo info, double gain_error)
      : host_(host), counters_(std::move(counters)), info_(std::move(info)), gain_error_(gain_error) {}

  Status start() {
    TRY(const auto counts, look());
    const auto at = host_.clock.now();
    for (std::size_t i = 0; i < counters_.size(); ++i) counters_[i].start(counts[i], at);
    rails_.assign(counters_.size(), 0.0);
    Seconds best{1e9};
    for (int i = 0; i < kTimedReads; ++i) {
      const auto before = host_.clock.now();
      if (auto sample = read(); !sample) return tl::unexpected<Error>(sample.error());
      best = std::min(best, Seconds(host_.clock.now() - before));
    }
    info_.read_cost = best;
    for (const auto& counter : counters_) {
      const Seconds often = counter.read_within();
      if (often > Seconds(0)) info_.read_within = info_.read_within > Seconds(0) ? std::min(info_.read_within, often) : often;
    }
    rails_.assign(counters_.size(), 0.0);
    return {};
  }

  const MeterInfo& info() const override { return info_; }

  Result<MeterSample> read() override {
    TRY(const auto counts, look());
    const auto at = host_.clock.now();
    std::vector<double> advanced;
    std::optional<Error> broken;
    for (std::size_t i = 0; i < counters_.size(); ++i) {
      if (counted(i)) TRY_STATUS(counters_[i].moving(counts[i], at));
      auto energy = counters_[i].since(counts[i], at);
      if (!energy && !broken) broken = energy.error();
      advanced.push_back(energy.value_or(0.0));
    }
    for (std::size_t i = 0; i < counters_.size(); ++i) {
      Counter& counter = counters_[i];
      // A wrap more or less, each as likely: what the window that spans this gap is off by.
      if (counted(i) && counter.may_have_wrapped_unseen(at)) sampling_variance_ += counter.wrap_joules() * counter.wrap_joules();
      counter.book(counts[i], at);
    }
    if (broken) return tl::unexpected<Error>(std::move(*broken));
    MeterSample sample{.at = at, .energy = Joules(0), .sampling_variance = sampling_variance_};
    double edge = 0.0;
    for (std::size_t i = 0; i < counters_.size(); ++i) {
      rails_[i] += advanced[i];
      if (!info_.rails.empty()) sample.rails.push_back(Joules(rails_[i]));
      if (!counted(i)) continue;
      sample.energy += Joules(rails_[i]);
      edge = std::hypot(edge, counters_[i].edge_joules());
    }
    sample.edge = Joules(edge);
    sample.one_sigma = {sample.energy * gain_error_};
    return sample;
  }

 private:
  bool counted(std::size_t counter) const { return info_.rails.empty() || info_.rails[counter].counted; }

  /// All are read before any is booked.
  Result<std::vector<long long>> look() const {
    std::vector<long long> counts;
    for (const auto& counter : counters_) {
      TRY(const long long count, counter.look(host_.files));
      counts.push_back(count);
    }
    return counts;
  }

  Host& host_;
  std::vector<Counter> counters_;
  MeterInfo info_;
  double gain_error_;
  std::vector<double> rails_;  ///< J
  double sampling_variance_ = 0.0;
};

}  // namespace

Result<std::unique_ptr<Meter>> counter_meter(Host& host, std::vector<CounterTraits> counters, MeterInfo info, double gain_error) {
  if (const auto seen = counters.empty() ? std::nullopt : observed_refresh(host, counters.front().path, kPatience)) info.refresh = *seen;
  std::vector<Counter> followed;
  for (auto& traits : counters) {
    traits.refresh = info.refresh;
    followed.emplace_back(std::move(traits));
  }
  auto meter = std::make_unique<CounterMeter>(host, std::move(followed), std::move(info), gain_error);
  TRY_STATUS(meter->start());
  return std::unique_ptr<Meter>(std::move(meter));
}

}  // namespace polythrottle
