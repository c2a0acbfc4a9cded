#pragma once
// Ends or disturbs a real run of the real program at every place of it, and counts how often the machine was given back.

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace polythrottle::crash {

/// What is done to a run. Behind "restore ", if that is there, stand the words of POLYTHROTTLE_INJECT without the
/// place.
inline constexpr const char* kTunerKilled = "kill:self";
inline constexpr const char* kWatchdogKilled = "kill:watchdog";
inline constexpr const char* kBothKilled = "kill:both";
inline constexpr const char* kWriteFails = "fail:EIO";              ///< one write
inline constexpr const char* kWritesFail = "fail:EPERM";            ///< that write and every later one
inline constexpr const char* kRestoreKilled = "restore kill:self";  ///< `polythrottle restore` itself, after both were killed
inline constexpr const char* kRestoreFails = "restore fail:EIO";    ///< all its writes from one on

/// The runs of one kind.
struct Row {
  int runs = 0;
  int by_survivors = 0;   ///< the machine was as found when the last process of the run had ended
  int after_restore = 0;  ///< ... and after `polythrottle restore` once, which then left no record
};

/// What one platform came to.
struct Tally {
  std::string platform;
  std::vector<std::string> knobs;  ///< that the run moves
  int points = 0;                  ///< places of a whole run
  int writes = 0;                  ///< of them before a write to the machine
  std::map<std::string, Row> rows;
  int reopened = 0;                   ///< study files of ended runs that could be read and had every trial finished before the end
  int resumed = 0;                    ///< ... that were gone on with, to a good end and a machine as found
  int most_changed = 0;               ///< files that differed at worst, with both killed
  double slowest_rescue = 0.0;        ///< seconds from the tuner's end to that of its watchdog, at worst
  std::vector<std::string> failures;  ///< one line each, the fault first
  std::string command;                ///< what was run, for somebody who repeats it
};

void to_json(nlohmann::json& json, const Tally& tally);
void from_json(const nlohmann::json& json, Tally& tally);

/// Which places are tried.
struct Choice {
  std::vector<std::string> kinds{kTunerKilled, kWatchdogKilled, kBothKilled, kWriteFails, kWritesFail, kRestoreKilled, kRestoreFails};
  int every = 1;  ///< 3: every third place
};

/// Runs the matrix on a copy of the fixture root `fixture` below `folder`. `adopt_orphans` comes first.
Tally run_matrix(const std::string& fixture, const std::string& folder, const Choice& choice);

/// For people, a few lines: of one platform, and of all together.
std::string summary(const Tally& tally);
std::string summary(const std::vector<Tally>& tallies);

}  // namespace polythrottle::crash
