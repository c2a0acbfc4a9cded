// The data files of the boards: numbers with their units, bounds and sources, compiled in as text.

#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "JetsonOrin.h"
#include "JetsonTx2.h"
#include "host/simulation/physics.h"

namespace polythrottle::simulation {
namespace {

using nlohmann::json;

constexpr std::array<ScalarInfo, 30> kScalars = {{
    {"matrix_efficiency", &Scalars::matrix_efficiency, "ratio", "share of the peak FP16 rate that a large dense product reaches"},
    {"half_speedup", &Scalars::half_speedup, "ratio", "rate of FP16 over FP32 in dense products"},
    {"vector_efficiency", &Scalars::vector_efficiency, "ratio", "share of the peak vector rate that a depthwise convolution reaches"},
    {"occupancy_half", &Scalars::occupancy_half, "outputs/lane", "output elements per vector lane at which a kernel runs at half rate"},
    {"depth_half", &Scalars::depth_half, "elements", "length of a dense product's sum at which it runs at half rate"},
    {"overlap", &Scalars::overlap, "ratio", "part of the shorter of arithmetic and memory time that is not hidden"},
    {"dram_efficiency", &Scalars::dram_efficiency, "ratio", "share of the peak DRAM bandwidth that is reached"},
    {"gpu_bytes_per_cycle", &Scalars::gpu_bytes_per_cycle, "B/cycle", "bytes that GPU caches move per GPU cycle"},
    {"cache_bytes", &Scalars::cache_bytes, "B", "activations of a kernel at which half of them stay in the cache"},
    {"memory_latency_cycles", &Scalars::memory_latency_cycles, "mem cycles", "memory cycles of latency exposed in every kernel"},
    {"kernel_cycles", &Scalars::kernel_cycles, "GPU cycles", "GPU cycles to start and drain a kernel"},
    {"launch_cycles", &Scalars::launch_cycles, "CPU cycles", "CPU cycles to launch a kernel"},
    {"request_cycles", &Scalars::request_cycles, "CPU cycles", "CPU cycles of the server per batch, hidden by nothing"},
    {"pixel_cycles", &Scalars::pixel_cycles, "CPU cycles", "CPU cycles to decode one pixel of a source image"},
    {"gpu_voltage_floor", &Scalars::gpu_voltage_floor, "ratio", "lowest GPU voltage over the highest"},
    {"gpu_voltage_knee", &Scalars::gpu_voltage_knee, "ratio", "share of the highest GPU clock below which the voltage is the lowest"},
    {"gpu_clock_watts", &Scalars::gpu_clock_watts, "W", "GPU clock tree at the highest clock, no kernel running"},
    {"gpu_active_watts", &Scalars::gpu_active_watts, "W", "added while a kernel executes, at the highest clock"},
    {"gpu_compute_watts", &Scalars::gpu_compute_watts, "W", "added at full FP16 arithmetic rate, at the highest clock"},
    {"single_power_ratio", &Scalars::single_power_ratio, "ratio", "arithmetic power in FP32 over FP16, both at full rate"},
    {"gpu_leakage_watts", &Scalars::gpu_leakage_watts, "W", "GPU leakage at the highest voltage and the reference temperature"},
    {"memory_clock_watts", &Scalars::memory_clock_watts, "W", "memory and its controller at the highest clock, without traffic"},
    {"memory_clock_exponent", &Scalars::memory_clock_exponent, "power", "exponent of the memory clock in that"},
    {"traffic_joules_per_byte", &Scalars::traffic_joules_per_byte, "J/B", "energy to move a byte to or from DRAM"},
    {"cpu_core_watts", &Scalars::cpu_core_watts, "W", "one working CPU core at the highest clock"},
    {"cpu_voltage_floor", &Scalars::cpu_voltage_floor, "ratio", "CPU voltage extrapolated to clock zero, over the highest"},
    {"cpu_idle_watts", &Scalars::cpu_idle_watts, "W", "CPU rail with no core working"},
    {"other_watts", &Scalars::other_watts, "W", "SoC, carrier board and converters"},
    {"governor_full_load", &Scalars::governor_full_load, "ratio", "load from which the governor wants the highest GPU clock"},
    {"governor_exponent", &Scalars::governor_exponent, "power", "exponent of the load below that"},
}};

struct ConstantInfo {
  const char* name;
  double Constants::*member;
};
constexpr std::array<ConstantInfo, 16> kConstants = {{
    {"matrix_macs_per_cycle", &Constants::matrix_macs_per_cycle},
    {"vector_macs_per_cycle", &Constants::vector_macs_per_cycle},
    {"dram_bytes_per_mem_cycle", &Constants::dram_bytes_per_mem_cycle},
    {"cpu_cores", &Constants::cpu_cores},
    {"leakage_per_kelvin", &Constants::leakage_per_kelvin},
    {"reference_celsius", &Constants::reference_celsius},
    {"ambient_celsius", &Constants::ambient_celsius},
    {"thermal_resistance", &Constants::thermal_resistance},
    {"thermal_capacity", &Constants::thermal_capacity},
    {"throttle_celsius", &Constants::throttle_celsius},
    {"throttle_hysteresis", &Constants::throttle_hysteresis},
    {"throttle_gpu_hz", &Constants::throttle_gpu_hz},
    {"governor_seconds", &Constants::governor_seconds},
    {"image_gap_seconds", &Constants::image_gap_seconds},
    {"memory_bytes", &Constants::memory_bytes},
    {"memory_reserved_bytes", &Constants::memory_reserved_bytes},
}};

tl::unexpected<Error> corrupt(const std::string& what) { return fail(Errc::kCorrupt, "board data: " + what); }

Result<double> number(const json& object, const std::string& where, const char* field) {
  const auto found = object.find(field);
  if (found == object.end() || !found->is_number()) return corrupt(where + "." + field + " is not a number");
  return found->get<double>();
}

Result<std::vector<Hertz>> levels(const json& document, const char* field) {
  std::vector<Hertz> result;
  const auto list = document.find(field);
  if (list == document.end() || !list->is_array() || list->empty()) return corrupt(std::string(field) + " is not a list");
  for (const json& megahertz : *list) {
    if (!megahertz.is_number()) return corrupt(std::string(field) + " holds something that is not a number");
    result.emplace_back(std::round(megahertz.get<double>() * 1e6));
    if (result.size() > 1 && result[result.size() - 2] >= result.back()) return corrupt(std::string(field) + " is not increasing");
  }
  return result;
}

}  // namespace

std::span<const ScalarInfo> scalar_table() { return kScalars; }

Result<Board> parse_board(std::string_view text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) return corrupt("not a JSON object");
  Board board;
  for (const auto& [field, target] : {std::pair{"name", &board.name}, std::pair{"title", &board.title}}) {
    const auto found = document.find(field);
    if (found == document.end() || !found->is_string()) return corrupt(std::string(field) + " is not a string");
    *target = found->get<std::string>();
  }
  TRY(board.gpu_levels, levels(document, "gpu_levels_mhz"));
  TRY(board.mem_levels, levels(document, "mem_levels_mhz"));
  TRY(board.cpu_levels, levels(document, "cpu_levels_mhz"));

  const json constants = document.value("constants", json::object());
  if (!constants.is_object() || constants.size() != kConstants.size()) return corrupt("constants: not one entry for each constant");
  for (const ConstantInfo& info : kConstants) {
    TRY(board.constants.*info.member, number(constants.value(info.name, json::object()), info.name, "value"));
  }
  const json scalars = document.value("scalars", json::object());
  if (!scalars.is_object() || scalars.size() != kScalars.size()) return corrupt("scalars: not one entry for each scalar");
  for (const ScalarInfo& info : kScalars) {
    const std::string name(info.name);
    const json entry = scalars.value(name, json::object());
    TRY(board.scalars.*info.member, number(entry, name, "value"));
    Bounds bounds;
    TRY(bounds.low, number(entry, name, "low"));
    TRY(bounds.high, number(entry, name, "high"));
    const double value = board.scalars.*info.member;
    if (!(bounds.low <= value && value <= bounds.high)) return corrupt(name + " lies outside its bounds");
    if (entry.value("unit", std::string()) != info.unit) return corrupt(name + ".unit is not " + std::string(info.unit));
    bounds.source = entry.value("source", std::string());
    if (bounds.source.empty()) return corrupt(name + ".source is missing");
    board.bounds.push_back(std::move(bounds));
  }
  return board;
}

Setting Board::default_setting() const { return {gpu_levels.front(), gpu_levels.back(), mem_levels.back(), cpu_levels.back()}; }

std::span<const Board> boards() {
  // A data file that does not parse fails the test of this file, so a program never gets here with one.
  static const std::vector<Board> all = {parse_board(kJetsonTx2).value(), parse_board(kJetsonOrin).value()};
  return all;
}

Board slower(const Board& board, double times) {
  Board made = board;
  Scalars& s = made.scalars;
  // Every time of the formulas grows by the factor; what is shares of time stays, so power does too, and energy grows with time.
  for (double* rate : {&s.matrix_efficiency, &s.vector_efficiency, &s.gpu_bytes_per_cycle, &made.constants.dram_bytes_per_mem_cycle})
    *rate /= times;
  for (double* cycles : {&s.kernel_cycles, &s.memory_latency_cycles, &s.launch_cycles, &s.request_cycles, &s.pixel_cycles})
    *cycles *= times;
  s.traffic_joules_per_byte *= times;
  return made;
}

Result<const Board*> find_board(std::string_view name) {
  constexpr double kLeast = 1.0, kMost = 100.0;
  const std::size_t at = name.find('@');
  const std::string_view base = name.substr(0, at);
  std::string known;
  for (const Board& board : boards()) {
    known += (known.empty() ? "" : ", ") + board.name;
    if (board.name != base) continue;
    if (at == std::string_view::npos) return &board;
    std::string_view factor = name.substr(at + 1);
    double times = 0.0;
    if (!factor.ends_with('x')) factor = {};
    if (!factor.empty()) factor.remove_suffix(1);
    const auto [end, code] = std::from_chars(factor.data(), factor.data() + factor.size(), times);
    if (code != std::errc() || end != factor.data() + factor.size() || !(times >= kLeast && times <= kMost)) {
      return fail(Errc::kNotFound, "board " + std::string(name) + ": how much slower is not said",
                  "write it like " + board.name + "@1.5x, 1 to 100");
    }
    // Made once and kept, like the others.
    static std::mutex mutex;
    static std::map<std::string, std::unique_ptr<const Board>, std::less<>> made;
    const std::lock_guard lock(mutex);
    auto& kept = made[std::string(name)];
    if (!kept) {
      Board other = slower(board, times);
      other.name = name;
      other.title += ", " + std::string(factor) + " times as slow";
      kept = std::make_unique<const Board>(std::move(other));
    }
    return kept.get();
  }
  return fail(Errc::kNotFound, "board " + std::string(name) + ": unknown", "known: " + known);
}

}  // namespace polythrottle::simulation
