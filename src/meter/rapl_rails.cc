#include "meter/rapl_rails.h"

#include <algorithm>

namespace polythrottle {
namespace {

/// Neither Intel nor AMD states an accuracy. An assumption, to be replaced where somebody has compared with a wall meter.
constexpr double kAssumedGainError = 0.05;

constexpr const char* kDram = "memory modules of this package; not in the package's energy";
constexpr const char* kPlatform = "what the board's maker wired to the platform's sensor; contains the packages";
/// RRZE-HPC/likwid issues 39 and 642: Haswell servers count it in steps of 15.3 uJ whatever the unit's register says, Sapphire Rapids in 61
/// uJ again. Kernels before the commit that issue 642 names have the latter wrong, by a factor of 4.
constexpr const char* kDramRemark =
    "dram: whether kernel and CPU agree on its unit is not verified (on some servers it was 4 times off); it is no part of the total";

}  // namespace

void RaplRails::add(Rail rail, CounterTraits counter) {
  for (const auto& other : rails_) {
    if (other.name == rail.name) rail.name += "'";
  }
  rails_.push_back(std::move(rail));
  counters_.push_back(std::move(counter));
}

void RaplRails::add_package(const std::string& package, CounterTraits counter) {
  names_ += (names_.empty() ? "" : ", ") + package;
  add({.name = "package-" + package, .boundary = "cores, uncore"}, std::move(counter));
}

void RaplRails::add_part(const std::string& package, const std::string& word, CounterTraits counter) {
  Rail rail{.name = word + "-" + package, .counted = false};
  if (word == "dram") {
    rail.boundary = kDram;
    if (std::find(remarks_.begin(), remarks_.end(), kDramRemark) == remarks_.end()) remarks_.emplace_back(kDramRemark);
  } else {
    const auto around = std::find_if(rails_.begin(), rails_.end(), [&](const Rail& other) { return other.name == "package-" + package; });
    rail.inside = static_cast<std::size_t>(around - rails_.begin());
  }
  add(std::move(rail), std::move(counter));
}

void RaplRails::add_platform(CounterTraits counter) { add({.name = "psys", .boundary = kPlatform, .counted = false}, std::move(counter)); }

void RaplRails::left_out(const std::string& part, const Error& why) { remarks_.push_back("rail left out: " + part + ": " + why.what); }

std::size_t RaplRails::packages() const {
  return static_cast<std::size_t>(std::count_if(rails_.begin(), rails_.end(), [](const Rail& rail) { return rail.counted; }));
}

Result<std::unique_ptr<Meter>> RaplRails::meter(Host& host, const std::string& name) && {
  const auto platforms = std::count_if(rails_.begin(), rails_.end(), [](const Rail& rail) { return rail.boundary == kPlatform; });
  const auto platform = std::find_if(rails_.begin(), rails_.end(), [](const Rail& rail) { return rail.boundary == kPlatform; });
  for (auto& rail : rails_) {
    if (rail.counted && platforms == 1) rail.inside = static_cast<std::size_t>(platform - rails_.begin());
  }
  MeterInfo info{
      .name = name,
      .boundary = std::string(packages() == 1 ? "CPU package " : "CPU packages ") + names_ + " (cores, uncore; no DRAM, disks, board)",
      .estimated = false,
      .refresh = kRaplRefresh,
      .error = "the vendor states none; +-5 % on the gain (1 sigma) is assumed",
      .error_sources = {"rapl_gain"},
      .rails = std::move(rails_),
      .remarks = std::move(remarks_)};
  return counter_meter(host, std::move(counters_), std::move(info), kAssumedGainError);
}

}  // namespace polythrottle
