#pragma once
// The space of a machine that runs a model: the program's own knobs and the machine's, as --knob and --reference leave them.

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/tune_options.h"
#include "platform/platform.h"
#include "space/space.h"

namespace polythrottle {

struct MachineSpace {
  Space space;
  Config reference;
  std::vector<std::unique_ptr<Knob>> knobs;  ///< those that are part of the space
  bool on_gpu = false;                       ///< what is measured runs on a GPU
  std::vector<std::string> notes;
};

/// What runs the network; a CPU that only feeds a GPU has another part in it, and its clock another role.
enum class Runs { kOnCpu, kOnGpu };

/// `own`: the workload's knobs. `wanted`: --knob flags by name, those of the workload's knobs already taken out. `allowed`: of the
/// workload. Reference: batch, instances and clock floors at their lowest, everything else at its highest (docs/terms.md), then
/// --reference. A split clock that is asked for (cpu4_hz) leaves cpu_hz out, with a note; both at once are kInvalid. Takes the knobs it
/// uses out of `machine`, and adds its NVIDIA GPU to its description where the space is of that. Errors: kInvalid for names and levels
/// that are not there.
Result<MachineSpace> make_machine_space(std::span<const Parameter> own, Machine& machine,
                                        std::map<std::string, std::vector<std::string>> wanted, const TuneOptions& options,
                                        const Space::Coupling& allowed, Runs runs);

/// --knob levels of a knob of the program's own: ascending positive whole numbers; `reference` alone for "off". Errors: kInvalid.
Result<std::vector<int>> own_levels(const std::string& name, const std::vector<std::string>& texts, int reference);

/// Fills what a device of a machine has in common: knobs, meter, gauges, metrics, notes. The meter is made ready, which may take seconds,
/// unless it is a dry run; one that covers a GPU alone is the usual one for work on that GPU, and for other work only if it is named.
/// Errors: kInvalid for an unknown --meter, that of discovery for an absent one, that of the meter for one that is not to be believed.
struct Device;
Status fill_device(Device& device, Machine& machine, MachineSpace parts, const TuneOptions& options);

}  // namespace polythrottle
