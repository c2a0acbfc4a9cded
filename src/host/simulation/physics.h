#pragma once
// What a simulated board's hardware does: how long a kernel takes, what each rail draws, where the governor goes. Pure functions of
// clocks, work and temperature; formulas and their sources are in docs/simulation.md. Nothing here knows files, noise or events: the
// machine walks a `Plan` kernel by kernel in virtual time, `steady_state` is the closed form of the same walk, and the two agree.

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "host/simulation/network.h"
#include "host/simulation/work.h"

namespace polythrottle::simulation {

/// Clock limits as the knobs set them. `mem` and `cpu` are also the clocks; the GPU's moves between its two limits with the load.
struct Setting {
  Hertz gpu_min;
  Hertz gpu_max;
  Hertz mem;
  Hertz cpu;
};

/// Clocks at one instant.
struct Clocks {
  Hertz gpu;
  Hertz mem;
  Hertz cpu;
};

/// Known numbers of a board, each with its source in the data file.
struct Constants {
  double matrix_macs_per_cycle = 0.0;     ///< peak FP16 multiply-accumulates per GPU cycle on the matrix units
  double vector_macs_per_cycle = 0.0;     ///< peak FP32 multiply-accumulates per GPU cycle on the vector lanes
  double dram_bytes_per_mem_cycle = 0.0;  ///< peak traffic: double data rate times bus width
  double cpu_cores = 0.0;                 ///< cores that share pre-processing
  double leakage_per_kelvin = 0.0;        ///< relative growth of leakage at the reference temperature
  double reference_celsius = 0.0;         ///< temperature at which leakage is stated
  double ambient_celsius = 0.0;           ///< surroundings of the bench
  double thermal_resistance = 0.0;        ///< kelvin per watt of board power, die to ambient
  double thermal_capacity = 0.0;          ///< joules per kelvin
  double throttle_celsius = 0.0;          ///< trip point at which the board slows itself down
  double throttle_hysteresis = 0.0;       ///< kelvin below the trip point at which it recovers
  double throttle_gpu_hz = 0.0;           ///< highest GPU clock while throttled
  double governor_seconds = 0.0;          ///< time constant with which the GPU governor follows the load
  double image_gap_seconds = 0.0;         ///< pause before each image in the load of the paper's table 3
  double memory_bytes = 0.0;              ///< DRAM that CPU and GPU share
  double memory_reserved_bytes = 0.0;     ///< of it, what system and runtime keep
};

/// The fitted numbers, 30 in all and the same list for every board; meaning, unit, bounds and source are in `scalar_table`.
struct Scalars {
  double matrix_efficiency = 0.0;
  double half_speedup = 0.0;
  double vector_efficiency = 0.0;
  double occupancy_half = 0.0;
  double depth_half = 0.0;
  double overlap = 0.0;
  double dram_efficiency = 0.0;
  double gpu_bytes_per_cycle = 0.0;
  double cache_bytes = 0.0;
  double memory_latency_cycles = 0.0;
  double kernel_cycles = 0.0;
  double launch_cycles = 0.0;
  double request_cycles = 0.0;
  double pixel_cycles = 0.0;
  double gpu_voltage_floor = 0.0;
  double gpu_voltage_knee = 0.0;
  double gpu_clock_watts = 0.0;
  double gpu_active_watts = 0.0;
  double gpu_compute_watts = 0.0;
  double single_power_ratio = 0.0;
  double gpu_leakage_watts = 0.0;
  double memory_clock_watts = 0.0;
  double memory_clock_exponent = 0.0;
  double traffic_joules_per_byte = 0.0;
  double cpu_core_watts = 0.0;
  double cpu_voltage_floor = 0.0;
  double cpu_idle_watts = 0.0;
  double other_watts = 0.0;
  double governor_full_load = 0.0;
  double governor_exponent = 0.0;
};

/// One row of the list of fitted numbers.
struct ScalarInfo {
  std::string_view name;
  double Scalars::*member;
  std::string_view unit;
  std::string_view help;
};
std::span<const ScalarInfo> scalar_table();

/// Where a fitted number may lie, and why.
struct Bounds {
  double low = 0.0;
  double high = 0.0;
  std::string source;
};

struct Board {
  std::string name;   ///< "jetson-tx2"
  std::string title;  ///< "Jetson TX2 developer kit"
  std::vector<Hertz> gpu_levels;
  std::vector<Hertz> mem_levels;
  std::vector<Hertz> cpu_levels;
  Constants constants;
  Scalars scalars;
  std::vector<Bounds> bounds;  ///< in the order of `scalar_table`

  /// Bytes left to work.
  double memory() const { return constants.memory_bytes - constants.memory_reserved_bytes; }
  /// Clocks as the board boots them: GPU floor at its lowest level, everything else at its highest.
  Setting default_setting() const;
};

/// The built-in boards, jetson-tx2 and jetson-orin; they live as long as the program.
std::span<const Board> boards();
/// `board` whose every time is so many times as long at every setting, with the same power: energy grows with time.
Board slower(const Board& board, double times);
/// By name, or "jetson-orin@1.5x" for `slower` by 1.5. Errors: kNotFound, listing the names.
Result<const Board*> find_board(std::string_view name);
/// A board from the text of a data file. Errors: kCorrupt, naming the field.
Result<Board> parse_board(std::string_view text);

/// Work of one GPU kernel, all clocks left out.
struct Kernel {
  double gpu_cycles = 0.0;      ///< GPU cycles at the real occupancy, or moving data through the caches where that takes longer
  double compute_cycles = 0.0;  ///< of the arithmetic units at full width: what their power follows
  double traffic_bytes = 0.0;   ///< to and from DRAM
};

/// Everything one batch (or one training step) costs, derived from the network's layers and the board's scalars.
struct Plan {
  const Board* board = nullptr;      ///< not owned; outlives the plan
  const Network* network = nullptr;  ///< as above
  bool training = false;
  Precision precision = Precision::kFp16;
  int batch = 1;
  std::vector<Kernel> kernels;      ///< in launch order
  double request_cycles = 0.0;      ///< CPU cycles around the kernels that nothing hides
  double preprocess_cycles = 0.0;   ///< CPU cycles per batch, all cores together, overlapped with the batch before
  double preprocess_workers = 1.0;  ///< cores that share them
  bool images = false;              ///< items come from a camera

  /// `kernels` with equal ones counted once; the closed form sums over these.
  struct Group {
    Kernel kernel;
    double count = 0.0;
  };
  std::vector<Group> groups;
};
Plan inference_plan(const Board& board, const Network& network, Precision precision, int batch);
/// One fine-tuning step, see `training_work`: with every layer trained about three times the arithmetic of inference.
Plan training_plan(const Board& board, const Network& network, Precision precision, int batch, const Training& training);

/// How long one kernel holds the GPU, and what it does meanwhile.
struct KernelTime {
  Seconds wall{0};     ///< from this kernel's turn to the next one's: execution, or the launch where that is slower
  Seconds busy{0};     ///< executing
  Seconds compute{0};  ///< of `busy`, with the arithmetic units at work
  Seconds launch{0};   ///< of one CPU core
  double bytes = 0.0;  ///< moved
};
/// What a kernel costs at some clocks. `bandwidth_share` is the part of the DRAM bandwidth left to it, in (0, 1]. Divisions by the clocks
/// are done once, not once per kernel.
class KernelTiming {
 public:
  KernelTiming(const Board& board, const Clocks& clocks, double bandwidth_share = 1.0);
  KernelTime of(const Kernel& kernel) const {
    const double gpu = kernel.gpu_cycles * gpu_period_;
    const double memory = kernel.traffic_bytes * byte_time_;
    const double busy = fixed_ + (gpu > memory ? gpu + overlap_ * memory : memory + overlap_ * gpu);
    return {Seconds(busy > launch_ ? busy : launch_), Seconds(busy), Seconds(kernel.compute_cycles * gpu_period_), Seconds(launch_),
            kernel.traffic_bytes};
  }

 private:
  double gpu_period_;  ///< s per GPU cycle
  double byte_time_;   ///< s per DRAM byte
  double fixed_;       ///< s per kernel, memory latency and pipeline fill
  double launch_;      ///< s per kernel on the CPU
  double overlap_;
};
/// A plan's kernels from the first to the last, alone.
struct Totals {
  double span = 0.0;      ///< s, wall
  double busy = 0.0;      ///< s, as of KernelTime and so on
  double compute = 0.0;   ///< s
  double launches = 0.0;  ///< s of a CPU core
  double bytes = 0.0;
};
Totals totals(const Plan& plan, const Clocks& clocks);
/// CPU time before the first kernel of a batch and after the last one; the GPU idles, one core works.
Seconds request_time(const Plan& plan, Hertz cpu);
/// Wall time of pre-processing one batch on `preprocess_workers` cores; it runs beside the batch before. Zero without images.
Seconds preprocess_time(const Plan& plan, Hertz cpu);

/// What the machine does at an instant, or its mean over a span at fixed clocks: power is linear in it, so both are right.
struct Activity {
  double gpu_busy = 0.0;            ///< share of time a kernel executes
  double gpu_compute = 0.0;         ///< share of time the arithmetic units work on FP16 data ...
  double gpu_compute_single = 0.0;  ///< ... and on FP32 data
  double traffic = 0.0;             ///< DRAM bytes per second
  double cpu_cores = 0.0;           ///< cores at work
};
struct Rails {
  Watts gpu;
  Watts cpu;
  Watts memory;
  Watts other;  ///< SoC, carrier board, converters
  Watts total() const { return gpu + cpu + memory + other; }
};
Rails rail_power(const Board& board, const Clocks& clocks, const Activity& activity, Celsius temperature);
/// Temperature at which the board settles when it draws `power` for long.
Celsius equilibrium(const Board& board, Watts power);

/// Where the governor wants the GPU clock. `load` in [0, 1] is the share of the last whole period (batch, and the pause before it) that lay
/// between the first kernel's turn and the end of the last; kernels waiting for their launch count as load.
Hertz governor_target(const Board& board, const Setting& setting, double load);
/// Its clock `step` later: it follows its target with the time constant `governor_seconds`.
Hertz governor_next(const Board& board, const Setting& setting, Hertz now, double load, Seconds step);

/// How requests come.
struct Load {
  Seconds idle_gap{0};                 ///< pause between the answer to a batch and the next request; 0 is the closed loop
  std::optional<Celsius> temperature;  ///< of the die; none: where it settles under this load
};

/// A batch in the long run.
struct Steady {
  Seconds latency{0};     ///< of a batch, gap excluded
  Seconds period{0};      ///< from one batch to the next
  Hertz gpu;              ///< the clock at which the governor rests
  double gpu_busy = 0.0;  ///< share of the period in which a kernel executes
  Rails power;            ///< mean over the period
  Celsius temperature;
  Joules energy;            ///< per item, of the whole period
  Joules energy_in_flight;  ///< per item, mean power while a request is in flight times its latency: what the paper reports
};
Steady steady_state(const Plan& plan, const Setting& setting, const Load& load = {});

/// Pre-processing alone, back to back on its workers with the GPU idle: joules of the CPU rail per item (table 7 of the paper).
Joules preprocess_energy(const Board& board, const Network& network, Hertz cpu);

}  // namespace polythrottle::simulation
