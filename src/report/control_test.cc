#include "report/control.h"

#include <gtest/gtest.h>

namespace polythrottle {
namespace {

TEST(Control, SaysNothingWhereNothingOfAMachineWasSet) {
  EXPECT_EQ(render_control(Summary{}), "");
  EXPECT_EQ(render_mishaps(Summary{}), "");
}

TEST(Control, SaysWhatTheClockProvedAndWhatSettingCost) {
  Summary s;
  s.proofs = {.proved = 14, .not_contradicted = 3, .unseen = 1, .why_unseen = "cpu_hz: no clock"};
  s.actuation = {.configurations = 18, .median_seconds = 0.0021, .most_seconds = 0.15, .writes = 40, .write_seconds = 0.0004};
  EXPECT_EQ(
      render_control(s),
      "Proved by the clock under load: 14 of 18 settings; 3 not contradicted (the load stayed below a limit), 1 not proved (cpu_hz: no "
      "clock).\nSetting a configuration took 2.100 ms (median of 18; most 150.0 ms), 400.0 us a write.\n");
  s.proofs = {.proved = 1};
  s.actuation->write_seconds.reset();
  s.provenance = Provenance::kSimulated;
  EXPECT_EQ(
      render_control(s),
      "Proved by the clock under load: 1 of 1 setting.\nSetting a configuration took 2.100 ms (median of 18; most 150.0 ms; simulated).\n");
}

TEST(Control, NamesTheFirstReasonsAndCountsTheRest) {
  Summary s;
  for (int i = 0; i < 7; ++i) s.mishaps.push_back({TrialState::kVoid, "reason " + std::to_string(i), i == 0 ? 2U : 1U});
  const std::string text = render_mishaps(s);
  EXPECT_TRUE(text.starts_with("2 trials void: reason 0.\n1 trial void: reason 1.\n")) << text;
  EXPECT_TRUE(text.ends_with("1 trial void: reason 4.\n2 trials void, refused or failed for other reasons.\n")) << text;
}

}  // namespace
}  // namespace polythrottle
