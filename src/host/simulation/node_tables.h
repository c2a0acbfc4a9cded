#pragma once
// The kernel interface of a simulated board over its hardware: node tables by board, made of pieces that boards share.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "host/simulation/execution.h"
#include "host/simulation/hardware.h"
#include "host/simulation/nodes.h"

namespace polythrottle::simulation {

/// What a table is built over; everything in it lives as long as the machine.
struct Bench {
  NodeTree& tree;
  Hardware& hardware;
  const Execution& execution;
  Generation generation;
  std::uint64_t seed = 0;
  bool noise = true;
  std::function<Seconds()> now;
  std::function<void(Seconds delay, std::function<void()>)> later;
  std::function<void()> disturbed;  ///< a clock has moved: the machine is in a new setting
};

/// /proc and /sys/devices/system/cpu basics: what the program reads on any Linux.
struct Identity {
  std::string model;                    ///< device tree
  std::vector<std::string> compatible;  ///< device tree
  std::string release;                  ///< of the kernel
  std::string tegra_release;            ///< first line of /etc/nv_tegra_release
  std::string hostname;
  std::string cpu_part;     ///< lines of /proc/cpuinfo per CPU, without "processor"
  std::string power_modes;  ///< /etc/nvpmodel.conf
  int cpus = 0;
};
void add_identity(Bench& bench, const Identity& identity);
/// Policies of all clusters, links to them, and `online` of every CPU.
void add_cpus(Bench& bench, const std::string& driver, const std::string& governors);
/// The GPU's devfreq folder under `device`, and the switches beside it.
struct GpuNodes {
  std::string device;              ///< "/sys/devices/17000000.gp10b"
  std::string name;                ///< of the devfreq device: "17000000.gp10b"
  std::string of_name;             ///< device/of_node/name
  std::string compatible;          ///< device/of_node/compatible
  std::vector<std::string> links;  ///< other names of `device`
};
void add_gpu(Bench& bench, const GpuNodes& nodes);
/// BPMP's debugfs clock, the table of rates, and the nvpmodel cap.
void add_emc(Bench& bench);
struct Zone {
  std::string type;
  enum class Kind { kDie, kBoard, kOff, kConstant } kind = Kind::kDie;
  double offset = 0.0;     ///< kelvin against the die; the value itself where constant
  bool throttles = false;  ///< has the passive trip point
};
/// `step` kelvin is the resolution.
void add_thermal(Bench& bench, const std::vector<Zone>& zones, double step, const std::vector<std::string>& cooling);

void add_tx2(Bench& bench);
void add_orin(Bench& bench);

}  // namespace polythrottle::simulation
