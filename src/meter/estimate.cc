// A model in place of a sensor, for machines that show none (virtual machines above all):
//
//   energy = idle_watts_per_cpu x online CPUs x time + active_watts_per_cpu x CPU time of the work x (f / fmax)^2
//
// The work is this process, or what it has started (MeterOptions::work_cpu). f is the mean clock of the CPUs where cpufreq tells it, else
// the last factor is 1. The square stands between the linear rise of dynamic power with the clock alone and the cube that a voltage falling
// along with the clock would give.
//
// Defaults: 0.74 W per logical CPU at rest and 3.50 W at full load, hence 2.76 W for being busy: MIN_WATTS_AVG and MAX_WATTS_AVG that
// Cloud Carbon Footprint (packages/aws, 2021) averages from SPECpower results of the servers in AWS. The single families there go from
// 0.47 to 3.04 W at rest and from 1.69 to 8.58 W at full load, so that +-50 % (1 sigma) on each coefficient is no exaggeration.

#include <algorithm>
#include <cmath>
#include <string>

#include "meter/meter.h"

namespace polythrottle {
namespace {

constexpr const char* kPolicies = "/sys/devices/system/cpu/cpufreq";
constexpr double kDefaultIdleWatts = 0.74;
constexpr double kDefaultActiveWatts = 2.76;
constexpr double kRelativeError = 0.5;
constexpr double kExponent = 2.0;
constexpr double kExponentError = 0.5;

class EstimateMeter : public Meter {
 public:
  EstimateMeter(Host& host, const MeterOptions& options, int cpus, std::vector<std::string> clock_paths, double full_khz)
      : host_(host),
        idle_watts_((options.idle_watts_per_cpu > 0 ? options.idle_watts_per_cpu : kDefaultIdleWatts) * cpus),
        active_watts_(options.active_watts_per_cpu > 0 ? options.active_watts_per_cpu : kDefaultActiveWatts),
        clock_paths_(std::move(clock_paths)),
        full_khz_(full_khz),
        work_cpu_(options.work_cpu ? options.work_cpu : [&host] { return host.clock.process_cpu(); }),
        start_(host.clock.now()),
        last_cpu_(work_cpu_()),
        last_ratio_(clock_ratio(1.0)) {
    info_ = {
        .name = "estimate",
        .boundary = "model: the share of " + options.worker + " plus the idle power of " + std::to_string(cpus) + " CPUs; no disks, no GPU",
        .estimated = true,
        .refresh = Seconds(1e-3),
        .error = "+-50 % on each coefficient (1 sigma)",
        .error_sources = {"idle_watts", "active_watts"}};
    if (!clock_paths_.empty()) {
      info_.error += ", +-0.5 on the exponent of the clock";
      info_.error_sources.emplace_back("clock_exponent");
    }
    Seconds best{1e9};
    for (int i = 0; i < 5; ++i) {
      const auto before = host.clock.now();
      (void)read();
      best = std::min(best, Seconds(host.clock.now() - before));
    }
    info_.read_cost = best;
    start_ = host.clock.now();
    last_cpu_ = work_cpu_();
    active_ = 0.0;
    exponent_effect_ = 0.0;
  }

  const MeterInfo& info() const override { return info_; }

  Result<MeterSample> read() override {
    const double ratio = clock_ratio(last_ratio_);
    const auto at = host_.clock.now();
    const Seconds cpu = work_cpu_();
    // The clock between two reads is taken as the mean of what they saw.
    const double mean_ratio = 0.5 * (ratio + last_ratio_);
    const double busy_joules = active_watts_ * std::max(0.0, (cpu - last_cpu_).count());
    active_ += busy_joules * std::pow(mean_ratio, kExponent);
    exponent_effect_ += busy_joules * (std::pow(mean_ratio, kExponent + kExponentError) - std::pow(mean_ratio, kExponent));
    last_cpu_ = std::max(last_cpu_, cpu);
    last_ratio_ = ratio;
    const double idle = idle_watts_ * (at - start_).count();
    MeterSample sample{
        .at = at, .energy = Joules(idle + active_), .one_sigma = {Joules(kRelativeError * idle), Joules(kRelativeError * active_)}};
    if (!clock_paths_.empty()) sample.one_sigma.emplace_back(exponent_effect_);
    return sample;
  }

 private:
  /// Mean clock over the highest possible, in (0, 1]; `otherwise` if no clock can be read now.
  double clock_ratio(double otherwise) const {
    double sum = 0.0;
    int count = 0;
    for (const auto& path : clock_paths_) {
      if (const auto khz = read_integer(host_.files, path); khz && *khz > 0) {
        sum += static_cast<double>(*khz);
        ++count;
      }
    }
    if (count == 0) return otherwise;
    return std::min(1.0, sum / count / full_khz_);
  }

  Host& host_;
  double idle_watts_;    ///< all CPUs
  double active_watts_;  ///< per busy CPU
  std::vector<std::string> clock_paths_;
  double full_khz_;
  std::function<Seconds()> work_cpu_;
  MeterInfo info_;
  Clock::TimePoint start_;
  Seconds last_cpu_;
  double last_ratio_;
  double active_ = 0.0;           ///< J
  double exponent_effect_ = 0.0;  ///< J more (less than 0: the clock is below its highest) if the exponent were 0.5 larger
};

MeterDiscovery discover(Host& host, const MeterOptions& options) {
  MeterDiscovery found;
  if (options.idle_watts_per_cpu < 0 || options.active_watts_per_cpu < 0) {
    found.absent.push_back({"estimate", {Errc::kInvalid, "estimate energy: a coefficient below 0 W", {}}});
    return found;
  }
  const auto cpus = online_cpus(host.files);
  if (!cpus) {
    found.absent.push_back({"estimate", cpus.error()});
    return found;
  }
  std::vector<std::string> clocks;
  double full_khz = 0.0;
  for (const auto& name : host.files.list(kPolicies).value_or(std::vector<std::string>())) {
    const std::string folder = std::string(kPolicies) + "/" + name;
    const auto full = read_integer(host.files, folder + "/cpuinfo_max_freq");
    const auto now = read_integer(host.files, folder + "/scaling_cur_freq");
    if (!full || !now || *full <= 0 || *now <= 0) continue;
    clocks.push_back(folder + "/scaling_cur_freq");
    full_khz += static_cast<double>(*full);
  }
  if (!clocks.empty()) full_khz /= static_cast<double>(clocks.size());
  found.meters.push_back(std::make_unique<EstimateMeter>(host, options, *cpus, std::move(clocks), full_khz));
  return found;
}

}  // namespace

namespace meter_driver {
extern const MeterDriver estimate;
constinit const MeterDriver estimate{
    .name = "estimate", .summary = "a model from CPU time and clock, where there is no sensor", .preference = 100, .discover = discover};
}  // namespace meter_driver
}  // namespace polythrottle
