#pragma once
// The power modes of a Jetson, as the configuration of NVIDIA's nvpmodel lists them. Read, never switched: a switch rewrites clocks and
// cores behind everybody's back, and some of them reboot.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/host.h"

namespace polythrottle {

/// One power mode: a set of caps on clocks and of CPUs that are online. The watts in its name are a budget the caps were chosen for, not a
/// limit that anything measures.
struct PowerMode {
  int id = 0;
  std::string name;
  std::map<int, double> cpu_max_hz;  ///< by CPU, as a rule the first of a cluster; infinite: no cap. The same for:
  std::optional<double> gpu_max_hz;  ///< nullopt: the mode says nothing of it, and leaves it as it is
  std::optional<double> mem_max_hz;
  std::set<int> offline;  ///< CPUs that it takes offline

  /// "1 MODE_15W".
  std::string label() const;
  /// The cap on a clock that these CPUs share; nullopt: the mode says nothing of it.
  std::optional<double> cpu_cap(const std::set<int>& cpus) const;
};

struct NvpModel {
  std::vector<PowerMode> modes;   ///< in the order of the file, which is none of speed; not empty
  std::optional<int> default_id;  ///< of a board whose mode was never set
  std::optional<int> set_id;      ///< the mode set last, as nvpmodel wrote it down; in a container that may be all it did
  std::set<int> cpus;             ///< CPUs that the modes speak of

  /// The mode set last or, on a board where none was, the default; null where the file has no such mode. Valid as long as this.
  const PowerMode* in_force() const;
};

/// The text of /etc/nvpmodel.conf. Both forms are read: sections PARAM (names for nodes) and POWER_MODEL (PARAM ARG VALUE), and the plain
/// "PATH VALUE" lines of the first releases for TX2. A cap of -1 is none, as is 0; what is not understood is left out. Errors: kCorrupt
/// where there is no mode in it.
Result<NvpModel> parse_nvpmodel(const std::string& conf);

/// Configuration and state of this machine. Errors: kNotFound where it has no nvpmodel (no Jetson, a container), kPermission, kIo,
/// kCorrupt.
Result<NvpModel> read_nvpmodel(const Files& files);

/// The mode set last: /var/lib/nvpmodel/status, "pmode:0003 fmode:quiet". nullopt where it is not there or not understood.
std::optional<int> nvpmodel_status(const Files& files);

/// How far up a table (Hz, ascending, not empty) the power mode lets a clock go: to the highest value within the cap, or to where the
/// clock's limit was found, should that be higher. It is where nvpmodel itself rounded up: TX2 runs in MAXP_CORE_ARM, whose file says 1120
/// MHz, at up to 1134.75.
double power_mode_ceiling(const std::vector<double>& table, double cap, double found);

}  // namespace polythrottle
