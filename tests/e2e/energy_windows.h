#pragma once
// Meters over machines whose true energy is known: how often does a window's stated error hold what it is off?

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "host/host.h"
#include "host/simulation/noise.h"
#include "meter/meter.h"

namespace polythrottle::coverage {

enum class Load { kIdle, kSteady, kBursty };
inline constexpr Load kLoads[] = {Load::kIdle, Load::kSteady, Load::kBursty};
const char* name_of(Load load);

/// A machine with one meter, whose energy somebody knows.
class Metered {
 public:
  virtual ~Metered() = default;
  virtual Host host() = 0;
  virtual Meter& meter() = 0;
  /// Another load of this kind, at other clocks where it has any; drawn from `chance`.
  virtual void begin(Load load, simulation::Chance& chance) = 0;
  /// Time passes under that load; a batch may be under way at the end.
  virtual void live(Seconds time) = 0;
  /// A read takes time: while this lives, the load goes on meanwhile. nullptr: no read takes time here.
  virtual std::unique_ptr<Ticker> while_somebody_reads() { return nullptr; }
  /// J that the meter should have seen since it was made.
  virtual double truth() const = 0;
};

/// A row of the coverage test.
struct MeterRow {
  std::string name;  ///< "ina3221 on jetson-tx2"
  /// A new machine, whose errors (gain, offset, phase of refresh) are drawn from what the meter says of itself. nullptr: there is no such
  /// driver in this build.
  std::function<std::unique_ptr<Metered>(std::uint64_t seed)> make;
};
const std::vector<MeterRow>& meter_rows();

/// A window's length: so many refresh periods, or else seconds.
struct Length {
  double refreshes = 0.0;
  Seconds seconds{0};
  std::string text() const;
};
const std::vector<Length>& lengths();

struct Count {
  std::size_t windows = 0;
  std::size_t inside = 0;       ///< |reading - truth| <= 1.96 x stated
  std::size_t inside_half = 0;  ///< |reading - truth| <= 0.6745 x stated: half of them, if the distribution is what it should be
  double error_squares = 0.0;   ///< relative to the truth
  double stated_squares = 0.0;
  double own_squares = 0.0;
  double share() const { return static_cast<double>(inside) / static_cast<double>(windows); }
  Count& operator+=(const Count& other);
};
/// Per length, in their order, and load.
using Counts = std::vector<std::map<Load, Count>>;

/// `windows` of every length, each on a fresh machine after a settling window under the same load. Errors: the first of a meter.
Result<Counts> count_windows(const MeterRow& row, std::size_t windows, std::uint64_t first_seed);

/// Lines of a table in Markdown.
std::string table(const std::string& meter, const Counts& counts);

}  // namespace polythrottle::coverage
