#include "knob/clock_band.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace polythrottle {
namespace {

constexpr std::size_t kMostLevels = 16;

}  // namespace

double to_hertz(Khz khz) { return static_cast<double>(khz) * 1e3; }
Khz to_khz(double hertz) { return std::llround(hertz * 1e-3); }

Result<Khz> read_khz(const Files& files, const std::string& path) {
  TRY(const Khz khz, read_integer(files, path));
  if (khz <= 0) return fail(Errc::kCorrupt, "read " + path + ": " + std::to_string(khz) + " kHz");
  return khz;
}

Status write_band(Files& files, const ClockBand& band, Khz ceiling, Khz floor) {
  // Always by way of the bottom, whatever can be read: a floor hidden behind a lower ceiling would come up with it.
  TRY_STATUS(files.write(band.floor_path, std::to_string(band.bottom)));
  TRY_STATUS(files.write(band.ceiling_path, std::to_string(ceiling)));
  const Khz meant = std::min(floor, ceiling);
  return meant <= band.bottom ? Status() : files.write(band.floor_path, std::to_string(meant));
}

Status append_found(const Files& files, const ClockBand& band, std::vector<FoundNode>& nodes) {
  TRY(std::string floor, files.read(band.floor_path));
  TRY(std::string ceiling, files.read(band.ceiling_path));
  nodes.push_back({band.floor_path, std::to_string(band.bottom)});
  nodes.push_back({band.ceiling_path, std::move(ceiling)});
  nodes.push_back({band.floor_path, std::move(floor)});
  return {};
}

std::vector<Khz> stepped_levels(Khz bottom, Khz top, Khz step) {
  const Khz first = std::min(top, (bottom + step - 1) / step * step);
  const double stride = std::max(static_cast<double>(step), static_cast<double>(top - first) / (kMostLevels - 1));
  std::set<Khz> levels;
  for (std::size_t i = 0; i < kMostLevels; ++i) {
    const double khz = static_cast<double>(first) + static_cast<double>(i) * stride;
    if (khz >= static_cast<double>(top)) break;
    levels.insert(std::llround(khz / static_cast<double>(step)) * step);
  }
  levels.insert(top);
  while (levels.size() > kMostLevels) levels.erase(std::prev(levels.end(), 2));
  return {levels.begin(), levels.end()};
}

}  // namespace polythrottle
