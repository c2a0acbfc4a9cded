#include "host/simulation/physics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

namespace polythrottle::simulation {
namespace {

/// Peak multiply-accumulates per GPU cycle that a large kernel of this kind reaches.
double rate(const Board& board, LayerKind kind, Precision precision) {
  const Scalars& s = board.scalars;
  const bool single = precision == Precision::kFp32;
  if (kind == LayerKind::kDense) return board.constants.matrix_macs_per_cycle * s.matrix_efficiency / (single ? s.half_speedup : 1.0);
  // Vector lanes take two FP16 numbers at once where the matrix units gain as much.
  return board.constants.vector_macs_per_cycle * s.vector_efficiency * (single ? 1.0 : std::min(2.0, s.half_speedup));
}

Kernel kernel(const Board& board, const Work& work, Precision precision) {
  const Scalars& s = board.scalars;
  const double size = element_bytes(precision);
  Kernel result;
  double arithmetic = 0.0;
  if (work.macs > 0.0) {
    result.compute_cycles = work.macs / rate(board, work.kind, precision);
    const double waiting = s.occupancy_half * board.constants.vector_macs_per_cycle / work.outputs;
    const double shallow = work.kind == LayerKind::kDense ? s.depth_half / work.depth : 0.0;
    arithmetic = result.compute_cycles * (1.0 + waiting) * (1.0 + shallow);
  }
  const double activations = work.activations * size;
  const double weights = work.weights * size;
  result.gpu_cycles = std::max(arithmetic, (activations + weights) / s.gpu_bytes_per_cycle);
  result.traffic_bytes = weights + activations * activations / (activations + s.cache_bytes);
  return result;
}

Plan empty_plan(const Board& board, const Network& network, Precision precision, int batch) {
  Plan plan;
  plan.board = &board;
  plan.network = &network;
  plan.precision = precision;
  plan.batch = batch;
  plan.images = network.preprocessing.decoded_pixels > 0.0;
  plan.request_cycles = board.scalars.request_cycles;
  // Resizing writes few pixels and reads the decoded ones, so its time is that of the source image for every network.
  plan.preprocess_cycles = network.preprocessing.decoded_pixels * board.scalars.pixel_cycles * batch;
  plan.preprocess_workers = std::min<double>(batch, board.constants.cpu_cores);
  return plan;
}

void group(Plan& plan) {
  std::map<std::tuple<double, double, double>, std::size_t> seen;
  for (const Kernel& kernel : plan.kernels) {
    const auto [place, added] = seen.try_emplace({kernel.gpu_cycles, kernel.compute_cycles, kernel.traffic_bytes}, plan.groups.size());
    if (added) plan.groups.push_back({kernel, 0.0});
    plan.groups[place->second].count += 1.0;
  }
}

double gpu_voltage(const Board& board, Hertz clock) {
  const Scalars& s = board.scalars;
  const double above = std::max(0.0, clock / board.gpu_levels.back() - s.gpu_voltage_knee) / (1.0 - s.gpu_voltage_knee);
  return s.gpu_voltage_floor + (1.0 - s.gpu_voltage_floor) * above;
}

double cpu_voltage(const Board& board, Hertz clock) {
  const double floor = board.scalars.cpu_voltage_floor;
  return floor + (1.0 - floor) * (clock / board.cpu_levels.back());
}

/// Leakage on the GPU rail at the reference temperature.
double leakage(const Board& board, Hertz gpu) {
  const double voltage = gpu_voltage(board, gpu);
  return board.scalars.gpu_leakage_watts * voltage * voltage;
}

}  // namespace

Plan inference_plan(const Board& board, const Network& network, Precision precision, int batch) {
  Plan plan = empty_plan(board, network, precision, batch);
  // Repeated blocks have equal layers, so only the first of each kind is worked out.
  std::vector<std::size_t> group_of(network.layers.size());
  plan.kernels.reserve(network.layers.size());
  for (std::size_t index = 0; index < network.layers.size(); ++index) {
    const Layer& layer = network.layers[index];
    if (layer.alike == index) {
      group_of[index] = plan.groups.size();
      plan.groups.push_back({kernel(board, forward(layer, batch), precision), 0.0});
    } else {
      group_of[index] = group_of[layer.alike];
    }
    Plan::Group& group = plan.groups[group_of[index]];
    group.count += 1.0;
    plan.kernels.push_back(group.kernel);
  }
  return plan;
}

Plan training_plan(const Board& board, const Network& network, Precision precision, int batch, const Training& training) {
  Plan plan = empty_plan(board, network, precision, batch);
  plan.training = true;
  for (const Work& work : training_work(network, batch, training)) plan.kernels.push_back(kernel(board, work, precision));
  group(plan);
  return plan;
}

KernelTiming::KernelTiming(const Board& board, const Clocks& clocks, double bandwidth_share)
    : gpu_period_(1.0 / clocks.gpu.si()),
      byte_time_(1.0 / (board.constants.dram_bytes_per_mem_cycle * board.scalars.dram_efficiency * clocks.mem.si() * bandwidth_share)),
      fixed_(board.scalars.kernel_cycles / clocks.gpu.si() + board.scalars.memory_latency_cycles / clocks.mem.si()),
      launch_(board.scalars.launch_cycles / clocks.cpu.si()),
      overlap_(board.scalars.overlap) {}

Totals totals(const Plan& plan, const Clocks& clocks) {
  const KernelTiming timing(*plan.board, clocks);
  Totals sum;
  for (const Plan::Group& group : plan.groups) {
    const KernelTime time = timing.of(group.kernel);
    sum.busy += group.count * time.busy.count();
    sum.span += group.count * time.wall.count();
    sum.compute += group.count * time.compute.count();
    sum.bytes += group.count * time.bytes;
    sum.launches += group.count * time.launch.count();
  }
  return sum;
}

Seconds request_time(const Plan& plan, Hertz cpu) { return Seconds(plan.request_cycles / cpu.si()); }

Seconds preprocess_time(const Plan& plan, Hertz cpu) { return Seconds(plan.preprocess_cycles / plan.preprocess_workers / cpu.si()); }

Rails rail_power(const Board& board, const Clocks& clocks, const Activity& activity, Celsius temperature) {
  const Scalars& s = board.scalars;
  const double gpu = clocks.gpu / board.gpu_levels.back();
  const double mem = clocks.mem / board.mem_levels.back();
  const double cpu = clocks.cpu / board.cpu_levels.back();
  const double vg = gpu_voltage(board, clocks.gpu);
  const double vc = cpu_voltage(board, clocks.cpu);
  const double warmer = temperature.si() - board.constants.reference_celsius;
  const double compute = activity.gpu_compute + s.single_power_ratio * activity.gpu_compute_single;
  Rails rails;
  rails.gpu = Watts(leakage(board, clocks.gpu) * (1.0 + board.constants.leakage_per_kelvin * warmer) +
                    vg * vg * gpu * (s.gpu_clock_watts + s.gpu_active_watts * activity.gpu_busy + s.gpu_compute_watts * compute));
  rails.cpu = Watts(s.cpu_idle_watts + s.cpu_core_watts * activity.cpu_cores * vc * vc * cpu);
  rails.memory = Watts(s.memory_clock_watts * std::pow(mem, s.memory_clock_exponent) + s.traffic_joules_per_byte * activity.traffic);
  rails.other = Watts(s.other_watts);
  return rails;
}

Celsius equilibrium(const Board& board, Watts power) {
  return Celsius(board.constants.ambient_celsius + board.constants.thermal_resistance * power.si());
}

Hertz governor_target(const Board& board, const Setting& setting, double load) {
  const double wanted = std::pow(std::clamp(load / board.scalars.governor_full_load, 0.0, 1.0), board.scalars.governor_exponent);
  return setting.gpu_min + (setting.gpu_max - setting.gpu_min) * wanted;
}

Hertz governor_next(const Board& board, const Setting& setting, Hertz now, double load, Seconds step) {
  const Hertz held = std::clamp(now, setting.gpu_min, setting.gpu_max);
  const double moved = 1.0 - std::exp(-step.count() / board.constants.governor_seconds);
  return held + (governor_target(board, setting, load) - held) * moved;
}

Steady steady_state(const Plan& plan, const Setting& setting, const Load& load) {
  const Board& board = *plan.board;
  const double request = request_time(plan, setting.cpu).count();
  const double preprocess = preprocess_time(plan, setting.cpu).count();
  const double gap = load.idle_gap.count();
  const auto period_of = [&](double span) { return std::max(span + request + gap, preprocess); };

  // The governor rests where the clock it wants is the clock it has. A faster clock shortens the busy span, so it wants less: one root.
  Clocks clocks{setting.gpu_max, setting.mem, setting.cpu};
  Totals batch = totals(plan, clocks);
  const auto excess = [&](Hertz clock) {
    clocks.gpu = clock;
    batch = totals(plan, clocks);
    return (governor_target(board, setting, batch.span / period_of(batch.span)) - clock).si();
  };
  double high = setting.gpu_max.si();
  double high_excess = (governor_target(board, setting, batch.span / period_of(batch.span)) - setting.gpu_max).si();
  if (high_excess < -1e-7 * high) {
    // What is wanted at the highest clock is a lower end already, since a slower clock wants more.
    double low = std::max(setting.gpu_min.si(), high + high_excess);
    double low_excess = excess(Hertz(low));
    int kept = 0;
    for (int step = 0; step < 60 && low_excess > 1e-7 * high; ++step) {
      const double middle = (low * high_excess - high * low_excess) / (high_excess - low_excess);
      const double value = excess(Hertz(middle));
      if (std::abs(value) < 1e-7 * high) break;
      // Illinois rule: an end that stays twice counts half, so that both ends move.
      if (value < 0.0) {
        high = middle;
        high_excess = value;
        if (kept < 0) low_excess /= 2.0;
        kept = -1;
      } else {
        low = middle;
        low_excess = value;
        if (kept > 0) high_excess /= 2.0;
        kept = 1;
      }
    }
  }

  Steady steady;
  const double period = period_of(batch.span);
  steady.gpu = clocks.gpu;
  steady.period = Seconds(period);
  steady.latency = Seconds(period - gap);
  steady.gpu_busy = batch.busy / period;
  Activity mean;
  mean.gpu_busy = steady.gpu_busy;
  (plan.precision == Precision::kFp16 ? mean.gpu_compute : mean.gpu_compute_single) = batch.compute / period;
  mean.traffic = batch.bytes / period;
  mean.cpu_cores = (batch.launches + request + plan.preprocess_cycles / setting.cpu.si()) / period;

  if (load.temperature) {
    steady.temperature = *load.temperature;
  } else {
    // Leakage is linear in temperature and temperature in power, so the balance is one division.
    const Celsius reference(board.constants.reference_celsius);
    const double slope = leakage(board, clocks.gpu) * board.constants.leakage_per_kelvin;
    const double cold = rail_power(board, clocks, mean, reference).total().si();
    const double warmer = equilibrium(board, Watts(cold)).si() - reference.si();
    steady.temperature = reference + Celsius(warmer / (1.0 - slope * board.constants.thermal_resistance));
  }
  steady.power = rail_power(board, clocks, mean, steady.temperature);
  steady.energy = steady.power.total() * steady.period / plan.batch;
  const Watts idle = rail_power(board, clocks, {}, steady.temperature).total();
  steady.energy_in_flight = steady.energy - idle * load.idle_gap / plan.batch;
  return steady;
}

Joules preprocess_energy(const Board& board, const Network& network, Hertz cpu) {
  const Seconds time(network.preprocessing.decoded_pixels * board.scalars.pixel_cycles / cpu.si());
  const Clocks clocks{board.gpu_levels.front(), board.mem_levels.back(), cpu};
  Activity one;
  one.cpu_cores = 1.0;
  return rail_power(board, clocks, one, Celsius(board.constants.reference_celsius)).cpu * time;
}

}  // namespace polythrottle::simulation
