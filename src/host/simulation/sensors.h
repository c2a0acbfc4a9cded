#pragma once
// An INA3221: three channels that take turns, average, and are read over I2C.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/units.h"
#include "host/simulation/noise.h"

namespace polythrottle::simulation {

/// Reading one register of the chip: 550 us on AGX Orin (docs/hardware.md). Nobody has published it for TX2, whose bus runs at the same
/// 400 kHz, so it is taken as the same there.
inline constexpr Seconds kRegisterRead{0.55e-3};

struct Channel {
  std::string label;
  double volts = 0.0;       ///< of the supply behind the shunt, without load
  double shunt_ohms = 0.0;  ///< one step of the converter is 40 uV / shunt: 8 mA at 5 mOhm, 4 mA at 10 mOhm
};

/// A rail's registers hold the mean of the last finished cycle (channels x samples x (bus + shunt conversion)); the current one counts
/// in steps of 40 uV over the shunt, the voltage one in steps of 8 mV. With noise each channel has a shunt of 1 %, a gain error and an
/// offset of its own, and the converter scatters by half a step. Sources: drivers/hwmon/ina3221.c (reset value 0x7127), docs/hardware.md;
/// gain and offset: INA3221 data sheet SBOS576, section 7.5; the tolerance of the shunts and the scatter are ours.
class Ina3221 {
 public:
  Ina3221(std::vector<Channel> channels, int samples, std::uint64_t seed, bool noise);

  const std::vector<Channel>& channels() const { return channels_; }
  /// The machine drew these powers, one per channel, from `from` to `to`.
  void integrate(Seconds from, Seconds to, const std::array<double, 3>& watts);

  struct Registers {
    long long millivolts = 0;
    long long milliamperes = 0;
    double shunt_millivolts = 0.0;
  };
  /// A channel's registers now.
  Registers registers(std::size_t channel);

  int samples() const { return samples_; }
  /// Rounded down to one the chip knows.
  void set_samples(int samples);
  Seconds cycle() const;

 private:
  std::vector<Channel> channels_;
  int samples_;
  Chance chance_;
  bool noise_;
  std::array<double, 3> gain_{1.0, 1.0, 1.0};  ///< shunt and converter
  std::array<double, 3> offset_steps_{};
  double cycle_start_ = 0.0;          ///< s, of the cycle in progress
  std::array<double, 3> gathered_{};  ///< J in the cycle in progress
  std::array<double, 3> mean_{};      ///< W of the last finished cycle
  bool started_ = false;
};

}  // namespace polythrottle::simulation
