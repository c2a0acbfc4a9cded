#pragma once
// The physical side of a simulated board between two events: clocks, governor, heat, power and what the sensors see of it.

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "base/units.h"
#include "host/simulation/limits.h"
#include "host/simulation/noise.h"
#include "host/simulation/physics.h"
#include "host/simulation/sensors.h"

namespace polythrottle::simulation {

/// What one sensor channel sees of the board's four physical rails.
struct RailShare {
  double gpu = 0.0, cpu = 0.0, memory = 0.0, other = 0.0;
  double watts(const Rails& rails) const {
    return gpu * rails.gpu.si() + cpu * rails.cpu.si() + memory * rails.memory.si() + other * rails.other.si();
  }
};

/// One chip and the rails on its channels.
struct PowerMonitor {
  Ina3221 chip;
  std::array<RailShare, 3> rails;
};

/// A cpufreq policy: the CPUs of one cluster.
struct Cluster {
  int first = 0;  ///< policyN
  std::vector<int> cpus;
  CpufreqLimits limits;
  std::string governor = "schedutil";
  long long wished = 0;         ///< kHz, scaling_setspeed of the userspace governor
  long long effective_min = 0;  ///< kHz, after settling
  long long effective_max = 0;
};

/// Time from a limit taking hold in the kernel to the clock itself ("1/5/8 ms (CPU/GPU/memory)" on Orin NX, arXiv 2606.16106 as quoted in
/// arXiv 2606.16106).
inline constexpr Seconds kCpuSettles{1e-3};
inline constexpr Seconds kGpuSettles{5e-3};
inline constexpr Seconds kMemSettles{8e-3};

/// Joules since the machine was made.
struct RailJoules {
  double gpu = 0.0, cpu = 0.0, memory = 0.0, other = 0.0;
  Joules total() const { return Joules(gpu + cpu + memory + other); }
};

class Hardware {
 public:
  Hardware(const Board& board, Generation generation);

  const Board& board;
  // What the nodes write; `settle_*` makes the clocks follow, some time after.
  DevfreqLimits gpu;
  std::string gpu_governor = "nvhost_podgov";
  long long gpu_wished = 0;  ///< Hz, of the userspace governor
  EmcLimits emc;
  std::vector<Cluster> clusters;
  std::vector<bool> online;  ///< per CPU
  std::vector<PowerMonitor> monitors;

  void settle_gpu();
  void settle_emc();
  void settle_cpu();

  Hertz gpu_clock() const;
  Hertz mem_clock() const { return setting_.mem; }
  Hertz cpu_clock() const { return setting_.cpu; }
  Clocks clocks() const { return {gpu_clock(), setting_.mem, setting_.cpu}; }
  /// Limits in force, after settling.
  const Setting& setting() const { return setting_; }
  double online_cores() const;

  Celsius temperature() const { return temperature_; }
  void set_temperature(Celsius temperature) { temperature_ = temperature; }
  bool throttled() const { return throttled_; }
  const RailJoules& energy() const { return energy_; }
  const Rails& power() const { return power_; }
  double gpu_load() const { return recent_load_; }
  double memory_load() const { return memory_load_; }
  double cpu_seconds() const { return cpu_seconds_; }

  /// Longest step over which the clock and the temperature may be taken as constant.
  Seconds calm(bool kernels) const;
  /// Lets `step` pass from `from` on with this activity. `kernels`: the present lies between the first and the last kernel of a batch.
  void step(Seconds from, Seconds length, const Activity& activity, bool kernels, double power_factor);
  /// A batch or a step has ended: the governor's period is over, if it had kernels.
  void period_ended();

 private:
  double governor_load(bool kernels) const;

  Setting setting_;
  double governed_;  ///< Hz, what the stock governor has come to
  Celsius temperature_;
  bool throttled_ = false;
  RailJoules energy_;
  Rails power_;
  double recent_load_ = 0.0;
  double memory_load_ = 0.0;
  double cpu_seconds_ = 0.0;
  // The governor's view: how much of the time since the last batch ended had kernels, and the same for the whole period before.
  double since_ = 0.0;
  double pause_ = 0.0;  ///< of `since_`, before the first kernel
  double span_ = 0.0;
  double last_load_ = 0.0;
  double last_period_ = 0.0;
};

}  // namespace polythrottle::simulation
