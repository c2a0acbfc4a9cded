#pragma once
namespace polythrottle {
inline constexpr char kJetsonTx2[] = R"SQL({
 "name": "jetson-tx2",
 "title": "Jetson TX2 developer kit",
 "levels_source": "method.md section 4; platforms.md (level tables)",
 "gpu_levels_mhz": [
  114.75,
  216.75,
  318.75,
  420.75,
  522.75,
  624.75,
  726.75,
  854.25,
  930.75,
  1032.75,
  1122,
  1236.75,
  1300.5
 ],
 "mem_levels_mhz": [
  40.8,
  68,
  102,
  204,
  408,
  665.6,
  800,
  1062.4,
  1331.2,
  1600,
  1866
 ],
 "cpu_levels_mhz": [
  345.6,
  499.2,
  652.8,
  806.4,
  960.0,
  1113.6,
  1267.2,
  1420.8,
  1574.4,
  1728.0,
  1881.6,
  2035.2
 ],
 "constants": {
  "matrix_macs_per_cycle": {
   "value": 512,
   "unit": "MAC/cycle",
   "source": "256 Pascal lanes, two FP16 numbers each (method.md section 6; NVIDIA Jetson TX2 data sheet)"
  },
  "vector_macs_per_cycle": {
   "value": 256,
   "unit": "MAC/cycle",
   "source": "256 Pascal lanes (method.md section 6)"
  },
  "dram_bytes_per_mem_cycle": {
   "value": 32,
   "unit": "B/cycle",
   "source": "128-bit LPDDR4, two transfers per clock: 59.7 GB/s at 1866 MHz (method.md section 6)"
  },
  "cpu_cores": {
   "value": 6,
   "unit": "cores",
   "source": "2 Denver 2 and 4 Cortex-A57 (method.md section 6)"
  },
  "thermal_resistance": {
   "value": 2.0,
   "unit": "K/W",
   "source": "general knowledge: 20 to 30 K above ambient at 12 W with the kit's fan"
  },
  "thermal_capacity": {
   "value": 90,
   "unit": "J/K",
   "source": "general knowledge: about three minutes to settle on the kit's heat sink"
  },
  "throttle_celsius": {
   "value": 95.5,
   "unit": "degC",
   "source": "general knowledge: software throttling trip point of L4T R32 for the TX2"
  },
  "throttle_gpu_hz": {
   "value": 624750000.0,
   "unit": "Hz",
   "source": "choice: a middle level of the table"
  },
  "leakage_per_kelvin": {
   "value": 0.012,
   "unit": "1/K",
   "source": "general knowledge: leakage about doubles over 60 K in planar and early FinFET processes"
  },
  "reference_celsius": {
   "value": 45,
   "unit": "degC",
   "source": "choice: temperature at which gpu_leakage_watts is stated"
  },
  "ambient_celsius": {
   "value": 25,
   "unit": "degC",
   "source": "choice: a laboratory bench"
  },
  "throttle_hysteresis": {
   "value": 5,
   "unit": "K",
   "source": "choice"
  },
  "governor_seconds": {
   "value": 0.1,
   "unit": "s",
   "source": "choice: the stock GPU governor settles within a few of its 20 to 50 ms polls"
  },
  "image_gap_seconds": {
   "value": 0.033,
   "unit": "s",
   "source": "choice: one frame of a 30 Hz camera; the paper states no load for its table 3"
  }
 },
 "scalars": {
  "matrix_efficiency": {
   "value": 0.79246,
   "guess": 0.5,
   "low": 0.15,
   "high": 0.95,
   "unit": "ratio",
   "source": "general knowledge: library kernels reach a tenth to nearly all of the peak, less on tensor cores"
  },
  "half_speedup": {
   "value": 1.70948,
   "guess": 1.8,
   "low": 1.4,
   "high": 2.0,
   "unit": "ratio",
   "source": "two FP16 numbers per lane at most; at least 1.4 so that FP16 is worth having (calibration.md)"
  },
  "vector_efficiency": {
   "value": 0.95,
   "guess": 0.3,
   "low": 0.05,
   "high": 0.95,
   "unit": "ratio",
   "source": "general knowledge: depthwise convolutions reach a small part of the peak"
  },
  "occupancy_half": {
   "value": 2.99664,
   "guess": 8,
   "low": 0.05,
   "high": 256,
   "unit": "outputs/lane",
   "source": "general knowledge: one tile of a dense product, 128 x 128 outputs on 128 lanes, is 128 outputs per lane, and two hide each other's latency"
  },
  "depth_half": {
   "value": 28.2114,
   "guess": 30,
   "low": 0.1,
   "high": 300,
   "unit": "elements",
   "source": "general knowledge: tiles of dense products are 16 to 64 deep and pay a prologue and an epilogue"
  },
  "overlap": {
   "value": 0.0782999,
   "guess": 0.2,
   "low": 0.05,
   "high": 1,
   "unit": "ratio",
   "source": "general knowledge: no two streams of work overlap perfectly"
  },
  "dram_efficiency": {
   "value": 0.915299,
   "guess": 0.7,
   "low": 0.5,
   "high": 0.92,
   "unit": "ratio",
   "source": "general knowledge: streams reach half to nine tenths of the peak"
  },
  "gpu_bytes_per_cycle": {
   "value": 33.0482,
   "guess": 100,
   "low": 32,
   "high": 256,
   "unit": "B/cycle",
   "source": "general knowledge: L2 caches of these GPUs move 32 to 64 bytes per slice and cycle"
  },
  "cache_bytes": {
   "value": 2000000.0,
   "guess": 500000.0,
   "low": 100000.0,
   "high": 2000000.0,
   "unit": "B",
   "source": "0.5 MB L2 (general knowledge), a factor around it"
  },
  "memory_latency_cycles": {
   "value": 10000.0,
   "guess": 2000,
   "low": 10,
   "high": 10000,
   "unit": "mem cycles",
   "source": "general knowledge: a few dependent DRAM accesses of 100 to 500 ns per kernel"
  },
  "kernel_cycles": {
   "value": 17332.0,
   "guess": 3000,
   "low": 300,
   "high": 20000,
   "unit": "GPU cycles",
   "source": "general knowledge: 1 to 10 us to start and drain a kernel"
  },
  "launch_cycles": {
   "value": 3856.26,
   "guess": 10000,
   "low": 2000,
   "high": 40000,
   "unit": "CPU cycles",
   "source": "general knowledge: 2 to 15 us of CPU per kernel launch"
  },
  "request_cycles": {
   "value": 6000000.0,
   "guess": 1000000.0,
   "low": 100000.0,
   "high": 6000000.0,
   "unit": "CPU cycles",
   "source": "general knowledge: 0.1 to 3 ms per request in a model server on Arm cores"
  },
  "pixel_cycles": {
   "value": 5.0,
   "guess": 15,
   "low": 5,
   "high": 80,
   "unit": "CPU cycles",
   "source": "general knowledge: JPEG decoding, colour conversion and resizing on Arm cores"
  },
  "gpu_voltage_floor": {
   "value": 0.6,
   "guess": 0.65,
   "low": 0.6,
   "high": 0.9,
   "unit": "ratio",
   "source": "general knowledge: Tegra GPU rails span about 0.6 to 1.1 V; calibration.md discusses 0.55 and 0.64"
  },
  "gpu_voltage_knee": {
   "value": 0.65,
   "guess": 0.4,
   "low": 0.1,
   "high": 0.65,
   "unit": "ratio",
   "source": "general knowledge: the voltage leaves its floor in the lower half of the clock table"
  },
  "gpu_clock_watts": {
   "value": 2.62277,
   "guess": 1,
   "low": 0.02,
   "high": 4,
   "unit": "W",
   "source": "a part of the board's rated power (15 W, 60 W: method.md section 6)"
  },
  "gpu_active_watts": {
   "value": 0.2,
   "guess": 2,
   "low": 0.2,
   "high": 8,
   "unit": "W",
   "source": "a part of the board's rated power"
  },
  "gpu_compute_watts": {
   "value": 1.03378,
   "guess": 3,
   "low": 0.2,
   "high": 15,
   "unit": "W",
   "source": "a part of the board's rated power"
  },
  "single_power_ratio": {
   "value": 1.26753,
   "guess": 0.8,
   "low": 0.3,
   "high": 1.5,
   "unit": "ratio",
   "source": "general knowledge: an FP32 operation costs about twice an FP16 one, at half the rate or less"
  },
  "gpu_leakage_watts": {
   "value": 0.0469395,
   "guess": 0.3,
   "low": 0.02,
   "high": 1.5,
   "unit": "W",
   "source": "general knowledge: a twentieth to a tenth of the rated power"
  },
  "memory_clock_watts": {
   "value": 0.800828,
   "guess": 1.5,
   "low": 0.2,
   "high": 4,
   "unit": "W",
   "source": "general knowledge: tegrastats of an idle board at full memory clock"
  },
  "memory_clock_exponent": {
   "value": 2.96798,
   "guess": 1.5,
   "low": 1,
   "high": 3,
   "unit": "power",
   "source": "1 at constant voltage, 3 where the voltage follows the clock"
  },
  "traffic_joules_per_byte": {
   "value": 1.5e-10,
   "guess": 6e-11,
   "low": 2e-11,
   "high": 1.5e-10,
   "unit": "J/B",
   "source": "general knowledge: LPDDR4 and LPDDR5 with controller and wires, 2 to 19 pJ/bit"
  },
  "cpu_core_watts": {
   "value": 2.22411,
   "guess": 1.2,
   "low": 0.4,
   "high": 2.5,
   "unit": "W",
   "source": "general knowledge: one Cortex-A57, Denver 2 or A78AE core at full clock"
  },
  "cpu_voltage_floor": {
   "value": 0.451066,
   "guess": 0.45,
   "low": 0.3,
   "high": 0.75,
   "unit": "ratio",
   "source": "general knowledge: Arm cores span about 0.6 to 1.1 V over their table"
  },
  "cpu_idle_watts": {
   "value": 0.319161,
   "guess": 0.15,
   "low": 0.02,
   "high": 1,
   "unit": "W",
   "source": "general knowledge: tegrastats of an idle board"
  },
  "other_watts": {
   "value": 1.11122,
   "guess": 2,
   "low": 0.5,
   "high": 4,
   "unit": "W",
   "source": "general knowledge: tegrastats of an idle board"
  },
  "governor_full_load": {
   "value": 1.0,
   "guess": 0.8,
   "low": 0.5,
   "high": 1.0,
   "unit": "ratio",
   "source": "general knowledge: stock GPU governors aim at a load of about 70 % or jump up at 90 %"
  },
  "governor_exponent": {
   "value": 0.922719,
   "guess": 1,
   "low": 0.2,
   "high": 4,
   "unit": "power",
   "source": "1 is a clock proportional to the load; the stock governor is not documented"
  }
 }
}
)SQL";
}
