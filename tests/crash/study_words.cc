#include "crash/study_words.h"

#include <set>

#include "host/host.h"
#include "platform/platform.h"

namespace polythrottle::crash {

std::vector<std::string> knob_flags(const std::string& root, std::vector<std::string>& knobs) {
  const auto files = real_files(root);
  const auto clock = real_clock();
  Host host{*files, *clock};
  const Machine machine = discover(host, {});
  std::vector<std::string> flags;
  std::set<std::string> set_already;
  const auto add = [&](const Knob& knob, bool by_request) {
    const Parameter& p = knob.parameter();
    const auto paths = knob.paths();
    const bool again = std::all_of(paths.begin(), paths.end(), [&](const auto& path) { return set_already.contains(path); });
    if (p.name == "cpu_quota_ratio" || p.levels.size() < 2) {
      if (!by_request) flags.insert(flags.end(), {"--knob", p.name + "=off"});
      return;
    }
    if (by_request && again) return;
    set_already.insert(paths.begin(), paths.end());
    flags.insert(flags.end(), {"--knob", p.name + "=" + to_text(p.levels.front()) + "," + to_text(p.levels.back())});
    knobs.push_back(p.name);
  };
  for (const auto& knob : machine.knobs) add(*knob, false);
  for (const auto& knob : machine.knobs_by_request) add(*knob, true);
  return flags;
}

std::vector<std::string> tune_words(const std::string& root, const std::vector<std::string>& flags, int seed, const std::string& study) {
  std::vector<std::string> words{"--sysroot",
                                 root,
                                 "tune",
                                 "--command",
                                 std::string(POLYTHROTTLE_FAKE_COMMAND) + " --scale 0.5",
                                 "--slo",
                                 "mean=1s",
                                 "--meter",
                                 "estimate",
                                 "--optimizer",
                                 "random",
                                 "--seed",
                                 std::to_string(seed),
                                 "--budget",
                                 "3",
                                 "--confirm",
                                 "0",
                                 "--window",
                                 "0.02",
                                 "--window-limit",
                                 "0.1",
                                 "--warm-up",
                                 "0",
                                 "--settle-limit",
                                 "0",
                                 "--energy-error",
                                 "0",
                                 "--cool-down",
                                 "0",
                                 "--idle",
                                 "0",
                                 "--study",
                                 study,
                                 "--quiet"};
  words.insert(words.end(), flags.begin(), flags.end());
  return words;
}

}  // namespace polythrottle::crash
