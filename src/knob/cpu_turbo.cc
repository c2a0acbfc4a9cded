#include "knob/cpu_turbo.h"

namespace polythrottle {
namespace {

constexpr const char* kNoTurbo = "/sys/devices/system/cpu/intel_pstate/no_turbo";
constexpr const char* kBoost = "/sys/devices/system/cpu/cpufreq/boost";

}  // namespace

Result<bool> TurboSwitch::read(const Files& files) const {
  TRY(const long long state, read_integer(files, path));
  if (state != 0 && state != 1) return fail(Errc::kCorrupt, "read " + path + ": " + std::to_string(state) + ", which is neither 0 nor 1");
  return (state == 1) != inverted;
}

Status TurboSwitch::write(Files& files, bool on) const {
  auto written = files.write(path, on != inverted ? "1" : "0");
  if (!written && written.error().code == Errc::kPermission && inverted) {
    written.error().hint = "as root this means that the firmware keeps turbo off: allow it there, or take cpu_turbo out of the space";
  }
  return written;
}

Result<TurboSwitch> find_turbo(const Files& files) {
  Error why{Errc::kNotFound, std::string("look for a turbo switch: neither ") + kNoTurbo + " nor " + kBoost, {}};
  for (const TurboSwitch& one : {TurboSwitch{kNoTurbo, true}, TurboSwitch{kBoost, false}}) {
    if (const auto state = one.read(files); !state) {
      if (state.error().code == Errc::kNotFound) continue;
      why = state.error();
      // The folder of intel_pstate stays when another driver has taken over, whose switch may be the other one.
      if (why.code == Errc::kBusy) why.hint = "intel_pstate is off (see its status), and the driver in its place has no switch";
      continue;
    }
    if (auto may = files.writable(one.path); !may) {
      if (may.error().code == Errc::kPermission && may.error().hint.empty()) may.error().hint = "run as root to switch turbo";
      return tl::unexpected<Error>(may.error());
    }
    return one;
  }
  return tl::unexpected<Error>(std::move(why));
}

}  // namespace polythrottle
