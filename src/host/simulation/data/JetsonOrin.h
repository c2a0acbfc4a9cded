#pragma once
namespace polythrottle {
inline constexpr char kJetsonOrin[] = R"SQL({
 "name": "jetson-orin",
 "title": "Jetson AGX Orin 32 GB developer kit",
 "levels_source": "method.md section 4; platforms.md (level tables)",
 "gpu_levels_mhz": [
  114.75,
  216.75,
  318.75,
  420.75,
  522.75,
  624.75,
  726.75,
  828.75,
  930.75,
  1032.75,
  1134.75,
  1236.75,
  1300.5
 ],
 "mem_levels_mhz": [
  204,
  665.6,
  2133,
  3199
 ],
 "cpu_levels_mhz": [
  115.2,
  192.0,
  268.8,
  345.6,
  422.4,
  499.2,
  576.0,
  652.8,
  729.6,
  806.4,
  883.2,
  960.0,
  1036.8,
  1113.6,
  1190.4,
  1267.2,
  1344.0,
  1420.8,
  1497.6,
  1574.4,
  1651.2,
  1728.0,
  1804.8,
  1881.6,
  1958.4,
  2035.2,
  2112.0,
  2188.8,
  2201.6
 ],
 "constants": {
  "matrix_macs_per_cycle": {
   "value": 16384,
   "unit": "MAC/cycle",
   "source": "64 Ampere tensor cores, 256 FP16 multiply-accumulates each (method.md section 6; NVIDIA Jetson AGX Orin technical brief)"
  },
  "vector_macs_per_cycle": {
   "value": 2048,
   "unit": "MAC/cycle",
   "source": "2048 Ampere lanes (method.md section 6)"
  },
  "dram_bytes_per_mem_cycle": {
   "value": 64,
   "unit": "B/cycle",
   "source": "256-bit LPDDR5, two transfers per clock: 204.8 GB/s at 3199 MHz (method.md section 6)"
  },
  "cpu_cores": {
   "value": 12,
   "unit": "cores",
   "source": "12 Cortex-A78AE (method.md section 6)"
  },
  "thermal_resistance": {
   "value": 0.7,
   "unit": "K/W",
   "source": "general knowledge: about 30 K above ambient at 45 W with the kit's fan"
  },
  "thermal_capacity": {
   "value": 260,
   "unit": "J/K",
   "source": "general knowledge: about three minutes to settle on the kit's heat sink"
  },
  "throttle_celsius": {
   "value": 99,
   "unit": "degC",
   "source": "general knowledge: software throttling trip point of L4T R35 for AGX Orin"
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
   "value": 0.289983,
   "guess": 0.25,
   "low": 0.05,
   "high": 0.95,
   "unit": "ratio",
   "source": "general knowledge: library kernels reach a tenth to nearly all of the peak, less on tensor cores"
  },
  "half_speedup": {
   "value": 1.4,
   "guess": 1.5,
   "low": 1.4,
   "high": 8.0,
   "unit": "ratio",
   "source": "between TF32 tensor cores (2) and plain FP32 lanes (8); at least 1.4 (calibration.md)"
  },
  "vector_efficiency": {
   "value": 0.823276,
   "guess": 0.3,
   "low": 0.05,
   "high": 0.95,
   "unit": "ratio",
   "source": "general knowledge: depthwise convolutions reach a small part of the peak"
  },
  "occupancy_half": {
   "value": 157.618,
   "guess": 10,
   "low": 0.05,
   "high": 256,
   "unit": "outputs/lane",
   "source": "general knowledge: one tile of a dense product, 128 x 128 outputs on 128 lanes, is 128 outputs per lane, and two hide each other's latency"
  },
  "depth_half": {
   "value": 0.1,
   "guess": 20,
   "low": 0.1,
   "high": 600,
   "unit": "elements",
   "source": "general knowledge: tiles of dense products are 16 to 64 deep and pay a prologue and an epilogue"
  },
  "overlap": {
   "value": 0.169422,
   "guess": 0.1,
   "low": 0.05,
   "high": 1,
   "unit": "ratio",
   "source": "general knowledge: no two streams of work overlap perfectly"
  },
  "dram_efficiency": {
   "value": 0.92,
   "guess": 0.75,
   "low": 0.5,
   "high": 0.92,
   "unit": "ratio",
   "source": "general knowledge: streams reach half to nine tenths of the peak"
  },
  "gpu_bytes_per_cycle": {
   "value": 128.0,
   "guess": 400,
   "low": 128,
   "high": 2048,
   "unit": "B/cycle",
   "source": "general knowledge: L2 caches of these GPUs move 32 to 64 bytes per slice and cycle"
  },
  "cache_bytes": {
   "value": 15164900.0,
   "guess": 8000000.0,
   "low": 500000.0,
   "high": 16000000.0,
   "unit": "B",
   "source": "4 MB L2 and 4 MB system cache (general knowledge), a factor around them"
  },
  "memory_latency_cycles": {
   "value": 10000.0,
   "guess": 3000,
   "low": 10,
   "high": 10000,
   "unit": "mem cycles",
   "source": "general knowledge: a few dependent DRAM accesses of 100 to 500 ns per kernel"
  },
  "kernel_cycles": {
   "value": 20000.0,
   "guess": 6000,
   "low": 300,
   "high": 20000,
   "unit": "GPU cycles",
   "source": "general knowledge: 1 to 10 us to start and drain a kernel"
  },
  "launch_cycles": {
   "value": 37715.0,
   "guess": 8000,
   "low": 2000,
   "high": 40000,
   "unit": "CPU cycles",
   "source": "general knowledge: 2 to 15 us of CPU per kernel launch"
  },
  "request_cycles": {
   "value": 2474110.0,
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
   "value": 0.866052,
   "guess": 0.65,
   "low": 0.6,
   "high": 0.9,
   "unit": "ratio",
   "source": "general knowledge: Tegra GPU rails span about 0.6 to 1.1 V; calibration.md discusses 0.55 and 0.64"
  },
  "gpu_voltage_knee": {
   "value": 0.205073,
   "guess": 0.3,
   "low": 0.1,
   "high": 0.65,
   "unit": "ratio",
   "source": "general knowledge: the voltage leaves its floor in the lower half of the clock table"
  },
  "gpu_clock_watts": {
   "value": 12.0,
   "guess": 4,
   "low": 0.1,
   "high": 12,
   "unit": "W",
   "source": "a part of the board's rated power (15 W, 60 W: method.md section 6)"
  },
  "gpu_active_watts": {
   "value": 9.85386,
   "guess": 12,
   "low": 0.5,
   "high": 35,
   "unit": "W",
   "source": "a part of the board's rated power"
  },
  "gpu_compute_watts": {
   "value": 31.8841,
   "guess": 8,
   "low": 0.5,
   "high": 40,
   "unit": "W",
   "source": "a part of the board's rated power"
  },
  "single_power_ratio": {
   "value": 1.5,
   "guess": 0.8,
   "low": 0.3,
   "high": 1.5,
   "unit": "ratio",
   "source": "general knowledge: an FP32 operation costs about twice an FP16 one, at half the rate or less"
  },
  "gpu_leakage_watts": {
   "value": 0.36144,
   "guess": 1,
   "low": 0.1,
   "high": 5,
   "unit": "W",
   "source": "general knowledge: a twentieth to a tenth of the rated power"
  },
  "memory_clock_watts": {
   "value": 6.67992,
   "guess": 5,
   "low": 0.3,
   "high": 12,
   "unit": "W",
   "source": "general knowledge: tegrastats of an idle board at full memory clock"
  },
  "memory_clock_exponent": {
   "value": 3.0,
   "guess": 2,
   "low": 1,
   "high": 3,
   "unit": "power",
   "source": "1 at constant voltage, 3 where the voltage follows the clock"
  },
  "traffic_joules_per_byte": {
   "value": 1.51863e-11,
   "guess": 3e-11,
   "low": 1.5e-11,
   "high": 1.2e-10,
   "unit": "J/B",
   "source": "general knowledge: LPDDR4 and LPDDR5 with controller and wires, 2 to 19 pJ/bit"
  },
  "cpu_core_watts": {
   "value": 0.917791,
   "guess": 1,
   "low": 0.4,
   "high": 3,
   "unit": "W",
   "source": "general knowledge: one Cortex-A57, Denver 2 or A78AE core at full clock"
  },
  "cpu_voltage_floor": {
   "value": 0.536957,
   "guess": 0.55,
   "low": 0.3,
   "high": 0.75,
   "unit": "ratio",
   "source": "general knowledge: Arm cores span about 0.6 to 1.1 V over their table"
  },
  "cpu_idle_watts": {
   "value": 0.0995349,
   "guess": 0.1,
   "low": 0.02,
   "high": 2,
   "unit": "W",
   "source": "general knowledge: tegrastats of an idle board"
  },
  "other_watts": {
   "value": 2.0,
   "guess": 6,
   "low": 2,
   "high": 12,
   "unit": "W",
   "source": "general knowledge: tegrastats of an idle board"
  },
  "governor_full_load": {
   "value": 0.764529,
   "guess": 0.8,
   "low": 0.5,
   "high": 1.0,
   "unit": "ratio",
   "source": "general knowledge: stock GPU governors aim at a load of about 70 % or jump up at 90 %"
  },
  "governor_exponent": {
   "value": 4.0,
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
