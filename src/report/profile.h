#pragma once
// A configuration to be set again without the study that found it: what `export --format profile` writes and `apply` reads.

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "space/config.h"
#include "study/summary.h"

namespace polythrottle {

struct Profile {
  std::map<std::string, std::string> machine;  ///< facts of the machine it was found on (machine_facts)
  Config settings;                             ///< knobs of the machine, as `apply` sets them
  Config program;                              ///< knobs of the workload (batch, threads): for whoever starts it
  std::string device;                          ///< as the study was started with
  std::string model;                           ///< file or command; empty where the study names none
  std::string limits;                          ///< what it was found to meet, for people
  std::string provenance;                      ///< of the saving: measured, estimated, recorded, simulated
  double saving = 0.0;                         ///< of energy per inference against the study's reference; 0 where none is known
};

/// The best setting of a study. Errors: kNotFound if no setting is known to meet its limits; kUnsupported for a study of a simulated board
/// or a recorded table, whose settings are no machine's.
Result<Profile> profile_of(const Summary& summary);

/// docs/profile.md has the format. UTF-8, a newline at the end.
std::string render_profile(const Profile& profile);
/// Errors: kCorrupt saying what is wrong; kUnsupported for one of a newer version.
Result<Profile> parse_profile(std::string_view text);

/// Was it found on a machine of this kind? Compared are the board, the CPU and the GPU, as far as both sides name them; not the host's name
/// or its kernel, so that one profile serves a fleet. Errors: kInvalid naming the first difference.
Status check_machine(const Profile& profile, const std::map<std::string, std::string>& here);

}  // namespace polythrottle
