#pragma once
// What RAPL counts, whichever interface of the kernel shows it: which of its counters contain which, and what none of them says.

#include <memory>
#include <string>
#include <vector>

#include "meter/counter_meter.h"

namespace polythrottle {

/// Intel and AMD renew the counters about every millisecond (AMD: "updated every 1 ms", Linux Documentation/hwmon/amd_energy.rst; Intel's
/// period is the one that its users see). CounterMeter looks how often it really is.
inline constexpr Seconds kRaplRefresh{1e-3};
/// 2^-14 J, the usual step.
inline constexpr double kRaplStep = 1.0 / 16384.0;
/// Above what any package draws, also for a moment.
inline constexpr double kRaplMostWatts = 2000.0;

/// Packages are counted. "core" and "uncore" lie inside their package, "dram" beside it, "psys" around all: these three are shown and
/// added to nothing. Rails are called by the kernel's word and the package's number: "package-0", "core-0", "dram-0".
class RaplRails {
 public:
  void add_package(const std::string& package, CounterTraits counter);
  /// word: core, uncore, dram, or whatever the kernel calls it; of a package that was added before.
  void add_part(const std::string& package, const std::string& word, CounterTraits counter);
  /// psys.
  void add_platform(CounterTraits counter);
  /// A part that is there and cannot be read becomes a remark of the meter.
  void left_out(const std::string& part, const Error& why);
  std::size_t packages() const;
  /// Errors: those of the first reads.
  Result<std::unique_ptr<Meter>> meter(Host& host, const std::string& name) &&;

 private:
  void add(Rail rail, CounterTraits counter);

  std::vector<Rail> rails_;
  std::vector<CounterTraits> counters_;  ///< of each
  std::vector<std::string> remarks_;
  std::string names_;  ///< of the packages: "0, 1"
};

}  // namespace polythrottle
