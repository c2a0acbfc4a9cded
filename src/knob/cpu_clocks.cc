#include "knob/cpu_clocks.h"

#include <algorithm>

namespace polythrottle {

CpuClocks::CpuClocks(Files& files, std::vector<CpuPolicy> policies, std::optional<TurboSwitch> turbo)
    : files_(files), policies_(std::move(policies)), turbo_(std::move(turbo)), held_(policies_.size()) {}

std::size_t CpuClocks::add(CpuCeiling ceiling) {
  members_.push_back({.ceiling = std::move(ceiling), .seen = {}});
  return members_.size() - 1;
}

Result<Value> CpuClocks::read(std::size_t at) {
  Member& member = members_[at];
  std::vector<Khz> ceilings;
  for (const std::size_t place : member.ceiling.policies) {
    TRY(const Khz khz, read_ceiling(place));
    ceilings.push_back(khz);
  }
  const double value = to_hertz(*std::max_element(ceilings.begin(), ceilings.end()));
  member.seen.try_emplace(value, std::move(ceilings));
  return Value(value);
}

std::optional<Khz> CpuClocks::limited(std::size_t place) const {
  const auto ceiling = read_ceiling(place);
  const auto top = read_integer(files_, policies_[place].folder + "/cpuinfo_max_freq");
  return ceiling && top && *ceiling < *top ? std::optional<Khz>(*ceiling) : std::nullopt;
}

bool CpuClocks::allows(const Config& config) const {
  if (const auto turbo = config.number(kCpuTurbo); !turbo || *turbo != 0.0) return true;
  return std::all_of(members_.begin(), members_.end(), [&](const Member& member) {
    const auto hertz = config.number(member.ceiling.name);
    if (!hertz) return true;
    return std::any_of(member.ceiling.policies.begin(), member.ceiling.policies.end(), [&](std::size_t place) {
      const auto& base = policies_[place].base;
      return !base || to_khz(*hertz) <= *base;
    });
  });
}

Status CpuClocks::write(const Config& wanted) {
  std::map<std::size_t, Khz> ceilings;
  for (const Member& member : members_) {
    const auto value = wanted.get(member.ceiling.name);
    if (!value) continue;
    TRY(const auto targets, targets_of(member, *value));
    for (std::size_t i = 0; i < targets.size(); ++i) ceilings[member.ceiling.policies[i]] = targets[i];
  }
  TRY(const auto turbo, turbo_of(wanted));
  if (!allows(wanted)) {
    return fail(Errc::kOutOfRange, "set " + wanted.text() + ": without turbo no CPU holds a limit above its base clock");
  }
  if (turbo) {
    // The switch may also set ceilings that nobody names now: those we had set, and those found limited, are written again after it. A
    // ceiling at the highest clock is none, and goes with it.
    for (std::size_t place = 0; place < policies_.size(); ++place) {
      if (ceilings.contains(place)) continue;
      if (const auto meant = held_[place].ceiling ? held_[place].ceiling : limited(place)) ceilings[place] = *meant;
    }
    TRY_STATUS(turbo_->write(files_, *turbo));
  }
  for (const auto& [place, khz] : ceilings) TRY_STATUS(write_ceiling(place, khz));
  return {};
}

Result<Khz> CpuClocks::read_ceiling(std::size_t place) const {
  auto khz = read_khz(files_, policies_[place].ceiling_path());
  if (!khz) return tl::unexpected<Error>(explained(khz.error()));
  return khz;
}

Status CpuClocks::write_ceiling(std::size_t place, Khz khz) {
  const ClockBand band = policies_[place].band();
  Held& held = held_[place];
  if (!held.floor_found) {
    const auto floor = read_khz(files_, band.floor_path);
    if (!floor) return tl::unexpected<Error>(explained(floor.error()));
    held.floor_found = *floor;
  }
  const bool floor_to_bottom = std::min(*held.floor_found, khz) <= band.bottom;
  // A board takes many milliseconds for a write, so that a floor which stays where it is, is left alone. If somebody has moved it since, a
  // kernel that checks says no, and the long way is gone.
  const bool short_way = held.floor_at_bottom && floor_to_bottom && files_.write(band.ceiling_path, std::to_string(khz));
  if (!short_way) {
    held.floor_at_bottom = false;
    if (const auto written = write_band(files_, band, khz, *held.floor_found); !written) {
      return tl::unexpected<Error>(explained(written.error()));
    }
  }
  held.floor_at_bottom = floor_to_bottom;
  held.ceiling = khz;
  return {};
}

/// What each policy of the member is set to.
Result<std::vector<Khz>> CpuClocks::targets_of(const Member& member, const Value& value) const {
  const auto& levels = member.ceiling.levels;
  if (std::find(levels.begin(), levels.end(), value) != levels.end()) {
    std::vector<Khz> targets;
    for (const std::size_t place : member.ceiling.policies) targets.push_back(policies_[place].target(to_khz(std::get<double>(value))));
    return targets;
  }
  if (const auto* hertz = std::get_if<double>(&value)) {
    if (const auto seen = member.seen.find(*hertz); seen != member.seen.end()) return seen->second;
  }
  return fail(Errc::kOutOfRange, "set " + member.ceiling.name + " to " + to_text(value) + ": not one of its levels",
              "the lowest is " + to_text(levels.front()) + ", the highest " + to_text(levels.back()));
}

Result<std::optional<bool>> CpuClocks::turbo_of(const Config& wanted) const {
  const auto value = wanted.get(kCpuTurbo);
  if (!value || !turbo_) return std::optional<bool>();
  if (*value == Value(0.0)) return std::optional<bool>(false);
  if (*value == Value(1.0)) return std::optional<bool>(true);
  return fail(Errc::kOutOfRange, std::string("set ") + kCpuTurbo + " to " + to_text(*value) + ": not one of its levels", "0 or 1");
}

}  // namespace polythrottle
