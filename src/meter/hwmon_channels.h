#pragma once
// What the kernel's hwmon class shows of power and energy, under names that stay when its numbers change.

#include <string>
#include <vector>

#include "meter/meter.h"

namespace polythrottle {

/// One thing that a chip measures.
struct HwmonChannel {
  enum class Kind {
    kEnergy,  ///< energyN_input, uJ, counted by the chip or its driver
    kPower,   ///< powerN_input or powerN_average, uW
    kPair,    ///< inN_input, mV, and currN_input, mA, of the same label
  };
  Kind kind = Kind::kPower;
  std::string name;    ///< "hwmon:ltc4215:power1"; unique on the machine
  std::string chip;    ///< "ltc4215", as in the file name
  std::string label;   ///< "SoC", as in the label file, else "power1"
  std::string device;  ///< where the chip sits: "i2c 0-004a"; empty where no bus says it
  std::string path;    ///< of the number, of the volts of a pair
  std::string amps_path;
  Seconds refresh{0};  ///< update_interval, or the averaging interval of the number; 0: the chip does not say
};

struct HwmonChannels {
  std::vector<HwmonChannel> found;      ///< by name
  std::vector<MeterAbsence> forbidden;  ///< chips that may not be looked at
};

/// Chips are told by their `name` and channels by their labels, never by hwmonN, which another boot numbers anew. Left out are chips that
/// another meter reads (ina3221; a Jetson Thor's ina238), and what is no power. Where a number is there as energy, power and as volts and
/// amperes, the first of these is taken. Two channels of one name get the place of their chip into it ("hwmon:ina226@1-0040:power1").
/// Errors: those of listing /sys/class/hwmon. Source: Linux Documentation/hwmon/sysfs-interface.rst.
Result<HwmonChannels> hwmon_channels(const Files& files);

}  // namespace polythrottle
