#include "host/simulation/hardware.h"

#include <algorithm>
#include <cmath>

namespace polythrottle::simulation {
namespace {

/// A pause longer than this is no part of a load: the governor has seen an idle GPU by then and starts afresh.
constexpr double kLongestPause = 0.3;
/// Steps while the clock moves, as part of the governor's time constant.
constexpr double kGovernorStep = 0.05;
/// A governor without latency is stepped as one of this latency, or time would stand still.
constexpr double kShortestPeriod = 0.01;
/// The clock rests when it is this near to its target, as part of it.
constexpr double kAtRest = 1e-4;
constexpr double kLongestStep = 0.25;  ///< s; the temperature moves with a time constant of minutes
/// Smoothing of the load counters that people read (actmon and the `load` node average over some tens of milliseconds).
constexpr double kLoadSmoothing = 0.05;

std::vector<long long> hertz(const std::vector<Hertz>& levels) {
  std::vector<long long> out;
  for (const Hertz level : levels) out.push_back(std::llround(level.si()));
  return out;
}

}  // namespace

Hardware::Hardware(const Board& made_of, Generation generation)
    : board(made_of),
      gpu(generation, hertz(made_of.gpu_levels)),
      emc(hertz(made_of.mem_levels)),
      setting_(made_of.default_setting()),
      governed_(made_of.gpu_levels.front().si()) {
  gpu_wished = gpu.table().back();
  temperature_ = Celsius(made_of.constants.ambient_celsius);
  // The board has been on for a while: it starts at the temperature of doing nothing.
  for (int i = 0; i < 50; ++i) temperature_ = equilibrium(board, rail_power(board, clocks(), {}, temperature_).total());
  power_ = rail_power(board, clocks(), {}, temperature_);
}

void Hardware::settle_gpu() {
  setting_.gpu_min = Hertz(static_cast<double>(gpu.floor()));
  setting_.gpu_max = Hertz(static_cast<double>(std::max(gpu.ceiling(), gpu.floor())));
  governed_ = std::clamp(governed_, setting_.gpu_min.si(), setting_.gpu_max.si());
}

void Hardware::settle_emc() { setting_.mem = Hertz(static_cast<double>(emc.rate())); }

void Hardware::settle_cpu() {
  // Physics has one CPU clock: the mean over the CPUs that are online.
  double sum = 0.0, count = 0.0;
  for (Cluster& cluster : clusters) {
    cluster.effective_min = cluster.limits.min();
    cluster.effective_max = cluster.limits.max();
    const long long wanted = cluster.governor == "userspace"   ? cluster.wished
                             : cluster.governor == "powersave" ? cluster.limits.min()
                                                               : cluster.limits.max();
    const auto khz = static_cast<double>(cluster.limits.target(wanted));
    for (const int cpu : cluster.cpus) {
      if (!online[static_cast<std::size_t>(cpu)]) continue;
      sum += khz * 1e3;
      count += 1.0;
    }
  }
  if (count > 0.0) setting_.cpu = Hertz(sum / count);
}

Hertz Hardware::gpu_clock() const {
  double clock = governed_;
  if (gpu_governor == "performance") clock = setting_.gpu_max.si();
  if (gpu_governor == "userspace") {
    clock = std::clamp(static_cast<double>(gpu.round_up(gpu_wished)), setting_.gpu_min.si(), setting_.gpu_max.si());
  }
  return Hertz(throttled_ ? std::min(clock, board.constants.throttle_gpu_hz) : clock);
}

double Hardware::online_cores() const { return static_cast<double>(std::count(online.begin(), online.end(), true)); }

double Hardware::governor_load(bool kernels) const {
  // The last whole period counts until the present one has gone on for longer.
  const double elapsed = since_ - pause_ + std::min(pause_, kLongestPause);
  if (since_ <= std::min(last_period_, kLongestPause) || (elapsed <= last_period_ && (kernels || span_ > 0.0))) return last_load_;
  return elapsed > 0.0 ? span_ / elapsed : last_load_;
}

void Hardware::period_ended() {
  // Works that end one after the other: what came between had no kernels, and is the beginning of the next period's pause.
  if (span_ <= 0.0) return;
  const double elapsed = since_ - pause_ + std::min(pause_, kLongestPause);
  if (elapsed > 0.0) last_load_ = std::min(1.0, span_ / elapsed);
  last_period_ = elapsed;
  since_ = pause_ = span_ = 0.0;
}

Seconds Hardware::calm(bool kernels) const {
  const double target = governor_target(board, setting_, governor_load(kernels)).si();
  const double period = std::max(kShortestPeriod, board.constants.governor_seconds);
  if (std::abs(target - governed_) > kAtRest * target) return Seconds(kGovernorStep * period);
  // At rest; yet a load that goes on beyond the last period changes it.
  return Seconds(std::min(kLongestStep, since_ < last_period_ ? std::max(kGovernorStep * period, last_period_ - since_) : kLongestStep));
}

void Hardware::step(Seconds from, Seconds length, const Activity& activity, bool kernels, double power_factor) {
  const double time = length.count();
  power_ = rail_power(board, clocks(), activity, temperature_);
  power_ = {power_.gpu * power_factor, power_.cpu * power_factor, power_.memory * power_factor, power_.other * power_factor};
  energy_.gpu += power_.gpu.si() * time;
  energy_.cpu += power_.cpu.si() * time;
  energy_.memory += power_.memory.si() * time;
  energy_.other += power_.other.si() * time;
  for (PowerMonitor& monitor : monitors) {
    monitor.chip.integrate(from, from + length,
                           {monitor.rails[0].watts(power_), monitor.rails[1].watts(power_), monitor.rails[2].watts(power_)});
  }
  cpu_seconds_ += activity.cpu_cores * time;

  // One thermal resistance and one capacity: exact for constant power.
  const double settled = equilibrium(board, power_.total()).si();
  const double constant = board.constants.thermal_resistance * board.constants.thermal_capacity;
  temperature_ = Celsius(settled + (temperature_.si() - settled) * std::exp(-time / constant));
  if (!throttled_ && temperature_.si() >= board.constants.throttle_celsius) {
    throttled_ = true;
  } else if (throttled_ && temperature_.si() < board.constants.throttle_celsius - board.constants.throttle_hysteresis) {
    throttled_ = false;
  }

  since_ += time;
  if (kernels) span_ += time;
  if (!kernels && span_ <= 0.0) pause_ += time;
  governed_ = governor_next(board, setting_, Hertz(governed_), governor_load(kernels), length).si();
  const double keep = std::exp(-time / kLoadSmoothing);
  recent_load_ = activity.gpu_busy + (recent_load_ - activity.gpu_busy) * keep;
  const double peak = board.constants.dram_bytes_per_mem_cycle * setting_.mem.si();
  const double traffic = std::min(1.0, activity.traffic / peak);
  memory_load_ = traffic + (memory_load_ - traffic) * keep;
}

}  // namespace polythrottle::simulation
