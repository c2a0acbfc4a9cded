#include "e2e/energy_windows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "e2e/metered_machines.h"
#include "meter/window.h"

namespace polythrottle::coverage {
namespace {

constexpr double kNinetyFive = 1.96;
constexpr double kHalf = 0.6745;
/// Between two windows the load goes on this long under another window, as a trial's settling does.
constexpr Seconds kSettling{1.5};

double stated(const WindowReading& reading) {
  double squares = reading.own_error.si() * reading.own_error.si();
  for (const auto& shared : reading.one_sigma) squares += shared.si() * shared.si();
  return std::sqrt(squares);
}

Result<WindowReading> window(Metered& machine, Seconds length, double& true_joules) {
  auto host = machine.host();
  const Seconds block = std::max(length / 20.0, 2.0 * machine.meter().info().refresh);
  auto meanwhile = machine.while_somebody_reads();
  TRY(const auto open, Window::open(host, machine.meter(), block));
  meanwhile.reset();
  const double before = machine.truth();
  machine.live(length);
  meanwhile = machine.while_somebody_reads();
  auto reading = open->close();
  true_joules = machine.truth() - before;
  return reading;
}

}  // namespace

const char* name_of(Load load) {
  switch (load) {
    case Load::kIdle: return "idle";
    case Load::kSteady: return "steady";
    case Load::kBursty: return "bursty";
  }
  return "";
}

std::string Length::text() const {
  if (refreshes == 1.0) return "1 refresh";
  return refreshes > 0.0 ? fmt::format("{:g} refreshes", refreshes) : fmt::format("{:g} s", seconds.count());
}

const std::vector<Length>& lengths() {
  static const std::vector<Length> all{{.refreshes = 1},        {.refreshes = 2},        {.refreshes = 5},        {.refreshes = 20},
                                       {.seconds = Seconds(1)}, {.seconds = Seconds(5)}, {.seconds = Seconds(60)}};
  return all;
}

const std::vector<MeterRow>& meter_rows() {
  static const std::vector<MeterRow> rows{
      {"ina3221 on sim:jetson-tx2", [](std::uint64_t seed) { return board("jetson-tx2", seed); }},
      {"ina3221 on sim:jetson-orin", [](std::uint64_t seed) { return board("jetson-orin", seed); }},
      {"rapl, a counter every 1 ms", rapl_cpu},
      {"nvml, a counter every 100 ms", nvml_gpu},
  };
  return rows;
}

Count& Count::operator+=(const Count& other) {
  windows += other.windows;
  inside += other.inside;
  inside_half += other.inside_half;
  error_squares += other.error_squares;
  stated_squares += other.stated_squares;
  own_squares += other.own_squares;
  return *this;
}

Result<Counts> count_windows(const MeterRow& row, std::size_t windows, std::uint64_t first_seed) {
  Counts counts(lengths().size());
  for (std::size_t i = 0; i < windows * lengths().size(); ++i) {
    // Fresh for each window: windows of one machine share its gain, and a thousand of them would be few.
    simulation::Chance chance(first_seed + i);
    const auto machine = row.make(chance.bits());
    if (!machine) return fail(Errc::kNotFound, "count windows of " + row.name + ": no such meter");
    const Load load = kLoads[chance.bits() % std::size(kLoads)];
    machine->begin(load, chance);
    double truth = 0.0;
    TRY_STATUS(window(*machine, kSettling + chance.uniform() * Seconds(0.5), truth));
    machine->live(chance.uniform() * Seconds(0.1));
    // Up to a refresh longer: an exact multiple would find the number equally old at both ends, which no caller can arrange.
    const Length& length = lengths()[i % lengths().size()];
    const Seconds refresh = machine->meter().info().refresh;
    const Seconds time = (length.refreshes > 0.0 ? length.refreshes * refresh : length.seconds) + chance.uniform() * refresh;
    TRY(const auto reading, window(*machine, time, truth));
    const double off = std::abs(reading.energy.si() - truth), error = stated(reading);
    Count one{.windows = 1};
    one.inside = off <= kNinetyFive * error ? 1 : 0;
    one.inside_half = off <= kHalf * error ? 1 : 0;
    one.error_squares = std::pow(off / truth, 2);
    one.stated_squares = std::pow(error / truth, 2);
    one.own_squares = std::pow(reading.own_error.si() / truth, 2);
    counts[i % lengths().size()][load] += one;
  }
  return counts;
}

std::string table(const std::string& meter, const Counts& counts) {
  std::string out = fmt::format("| {} | windows | within 95 % | within 50 % | off by, RMS % | stated, RMS % | of it its own |", meter);
  for (const Load load : kLoads) out += fmt::format(" {} |", name_of(load));
  out += "\n|---|---|---|---|---|---|---|---|---|---|\n";
  const auto line = [&](const std::string& name, const std::map<Load, Count>& by_load) {
    Count sum;
    for (const auto& [load, count] : by_load) sum += count;
    const auto rms = [&](double squares) { return 100.0 * std::sqrt(squares / static_cast<double>(sum.windows)); };
    out += fmt::format("| {} | {} | {:.1f} | {:.1f} | {:.3g} | {:.3g} | {:.3g} |", name, sum.windows, 100.0 * sum.share(),
                       100.0 * static_cast<double>(sum.inside_half) / static_cast<double>(sum.windows), rms(sum.error_squares),
                       rms(sum.stated_squares), rms(sum.own_squares));
    for (const Load load : kLoads) {
      const auto at = by_load.find(load);
      out += at == by_load.end() ? " - |" : fmt::format(" {:.1f} |", 100.0 * at->second.share());
    }
    out += "\n";
  };
  std::map<Load, Count> all;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    line(lengths()[i].text(), counts[i]);
    for (const auto& [load, count] : counts[i]) all[load] += count;
  }
  line("all", all);
  return out;
}

}  // namespace polythrottle::coverage
