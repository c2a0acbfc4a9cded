#include "study/proof.h"

#include <gtest/gtest.h>

namespace polythrottle {
namespace {

constexpr double kMega = 1e6;

ClaimedClock claim(Role role, double asked_mhz, std::vector<double> mhz, std::optional<double> floor_mhz = {}) {
  const char* name = role == Role::kMemoryClock ? "mem_hz" : role == Role::kClockFloor ? "gpu_min_hz" : "gpu_max_hz";
  ClaimedClock out{.parameter = {name, "Hz", role, {asked_mhz * kMega, 5000 * kMega}, ""},
                   .asked = asked_mhz * kMega,
                   .floor = {},
                   .claim = {},
                   .trace = {"gpu_max_hz", {}, 0, {}}};
  if (floor_mhz) out.floor = *floor_mhz * kMega;
  for (const double m : mhz) out.trace.hertz.push_back(m * kMega);
  return out;
}

ClaimedClock lock(double asked_mhz, std::vector<double> mhz) {
  ClaimedClock out = claim(Role::kMemoryClock, asked_mhz, std::move(mhz));
  out.claim.held = true;
  return out;
}

/// `count` of one clock, then `more` of another.
std::vector<double> mixed(std::size_t count, double mhz, std::size_t more = 0, double other = 0.0) {
  std::vector<double> out(count, mhz);
  out.insert(out.end(), more, other);
  return out;
}

struct Case {
  const char* name;
  ClaimedClock clock;
  bool always_busy;
  Proof proof;
  bool held = false;
};

class Verdicts : public ::testing::TestWithParam<Case> {};

TEST_P(Verdicts, FollowFromTheReadings) {
  const auto got = prove(GetParam().clock, GetParam().always_busy);
  EXPECT_EQ(got.proof, GetParam().proof) << got.text;
  EXPECT_EQ(got.held_for_a_while, GetParam().held);
  const bool said = got.proof == Proof::kContradicted || got.proof == Proof::kUnseen;
  EXPECT_EQ(!got.text.empty(), said);
}

using enum Proof;
INSTANTIATE_TEST_SUITE_P(
    OfOneClock, Verdicts,
    ::testing::Values(
        Case{"CeilingReached", claim(Role::kComputeClock, 300, mixed(20, 300)), true, kProved},
        Case{"CeilingReachedNowAndThen", claim(Role::kComputeClock, 300, mixed(10, 120, 5, 300)), true, kProved},
        Case{"CeilingNotNeeded", claim(Role::kComputeClock, 300, mixed(20, 120)), true, kNotContradicted},
        Case{"CeilingJitters", claim(Role::kComputeClock, 300, mixed(20, 312)), true, kProved},
        Case{"CeilingPassedOnce", claim(Role::kHostClock, 300, mixed(20, 300, 2, 900)), true, kProved},
        Case{"CeilingIgnored", claim(Role::kHostClock, 300, mixed(20, 900)), true, kContradicted},
        // A governor passes the ceiling on its way up; that is no sign that it was ever in force.
        Case{"CeilingIgnoredByAGovernor", claim(Role::kComputeClock, 300, mixed(10, 300, 10, 900)), true, kContradicted},
        Case{"TheHighestCeilingIsNoLimit", claim(Role::kComputeClock, 5000, mixed(20, 5600)), true, kProved},
        Case{"TheHighestPinnedIsHeldDown", claim(Role::kComputeClock, 5000, mixed(10, 5600, 10, 3000), 5000), true, kContradicted, true},
        Case{"PinnedHeld", claim(Role::kComputeClock, 300, mixed(20, 300), 300), true, kProved},
        Case{"PinnedThrottled", claim(Role::kComputeClock, 300, mixed(10, 300, 10, 200), 300), true, kContradicted, true},
        Case{"PinnedNeverReached", claim(Role::kComputeClock, 300, mixed(20, 200), 300), true, kContradicted},
        Case{"PinnedRestsBetweenRequests", claim(Role::kComputeClock, 300, mixed(5, 300, 15, 100), 300), false, kProved},
        Case{"PinnedNeverReachedByRequests", claim(Role::kComputeClock, 300, mixed(20, 100), 300), false, kContradicted},
        Case{"NotPinnedWithALowFloor", claim(Role::kComputeClock, 300, mixed(20, 200), 100), true, kNotContradicted},
        Case{"MemoryLocked", lock(800, mixed(20, 800)), true, kProved},
        Case{"MemoryTooSlow", lock(800, mixed(20, 204)), true, kContradicted},
        Case{"MemoryTooFast", lock(800, mixed(20, 3200)), true, kContradicted},
        Case{"MemoryMovedOnce", lock(800, mixed(20, 800, 1, 3200)), true, kProved},
        Case{"MemoryCapNotNeeded", claim(Role::kMemoryClock, 800, mixed(20, 405)), true, kNotContradicted},
        Case{"MemoryCapIgnored", claim(Role::kMemoryClock, 800, mixed(20, 3200)), true, kContradicted},
        Case{"TheHighestMemoryCapContradictsNothing", claim(Role::kMemoryClock, 5000, mixed(20, 405)), true, kNotContradicted},
        Case{"FloorHeld", claim(Role::kClockFloor, 200, mixed(20, 200)), true, kProved},
        Case{"FloorNotNeeded", claim(Role::kClockFloor, 200, mixed(20, 900)), true, kNotContradicted},
        Case{"FloorIgnored", claim(Role::kClockFloor, 200, mixed(20, 114)), true, kContradicted},
        Case{"NothingSeen", claim(Role::kComputeClock, 300, {}), true, kUnseen},
        Case{"SeenTooRarely", claim(Role::kComputeClock, 300, mixed(4, 900)), true, kUnseen}),
    [](const auto& one) { return one.param.name; });

TEST(Proof, ACeilingThatTheHardwareRoundsUpIsObeyed) {
  ClaimedClock cpu = claim(Role::kHostClock, 400, mixed(20, 472));
  EXPECT_EQ(prove(cpu, true).proof, kContradicted);
  cpu.claim.slack = 100 * kMega;
  EXPECT_EQ(prove(cpu, true).proof, kProved);
  ClaimedClock ignored = claim(Role::kHostClock, 400, mixed(20, 510));
  ignored.claim.slack = 100 * kMega;
  EXPECT_EQ(prove(ignored, true).proof, kContradicted);
  ClaimedClock fast = claim(Role::kHostClock, 4000, mixed(20, 4180));
  fast.claim.slack = 100 * kMega;
  EXPECT_EQ(prove(fast, true).proof, kProved);  // the 5 % are more here
}

TEST(Proof, OfATrialIsTheWorstOfItsClocks) {
  const ClaimedClock gpu = claim(Role::kComputeClock, 300, mixed(20, 300));
  const ClaimedClock idle = claim(Role::kHostClock, 300, mixed(20, 100));
  const ClaimedClock memory = lock(800, mixed(20, 800));
  const ClaimedClock unseen = lock(800, {});
  EXPECT_FALSE(prove(std::vector<ClaimedClock>{}, true));
  EXPECT_EQ(prove(std::vector{gpu, memory}, true)->proof, kProved);
  EXPECT_EQ(prove(std::vector{gpu, idle}, true)->proof, kNotContradicted);
  const auto partly = prove(std::vector{gpu, unseen, idle}, true);
  EXPECT_EQ(partly->proof, kUnseen);
  EXPECT_EQ(partly->text, "mem_hz: there was no time to read its clock");
}

TEST(Proof, AFloorBelowTheLoadTakesNothingFromItsCeiling) {
  const ClaimedClock ceiling = claim(Role::kComputeClock, 300, mixed(20, 300), 114);
  const ClaimedClock floor = claim(Role::kClockFloor, 114, mixed(20, 300));
  EXPECT_EQ(prove(std::vector{floor, ceiling}, true)->proof, kProved);
}

TEST(Proof, ThePairThatPromisedAClockIsNamedWithTheCeilingsWords) {
  const ClaimedClock ceiling = claim(Role::kComputeClock, 300, mixed(20, 114), 300);
  const ClaimedClock floor = claim(Role::kClockFloor, 300, mixed(20, 114));
  const auto proof = prove(std::vector{floor, ceiling}, true);
  EXPECT_EQ(proof->proof, kContradicted);
  EXPECT_TRUE(proof->text.starts_with("asked for gpu_max_hz=300 MHz, it reads back so, but the GPU ran at 114 MHz under load"))
      << proof->text;
  EXPECT_EQ(proof->knobs, (std::vector<std::string>{"gpu_min_hz", "gpu_max_hz"}));
}

TEST(Proof, IsKeptAmongTheRemarksOfATrial) {
  for (const Proof proof : {kProved, kNotContradicted, kUnseen, kContradicted}) {
    Trial trial;
    trial.outcome.notes = {"latency was not steady", proof_remark({.proof = proof, .text = "why: so"})};
    EXPECT_EQ(proof_of(trial), proof);
    EXPECT_EQ(unproved_text(trial), proof == kUnseen ? "why: so" : "");
    trial.outcome.notes = {proof_remark({.proof = proof, .text = {}})};
    EXPECT_EQ(proof_of(trial), proof);
  }
  EXPECT_FALSE(proof_of(Trial{}));
}

TEST(Proof, IsAskedOfClocksAlone) {
  EXPECT_TRUE(claims_a_clock({"gpu_max_hz", "Hz", Role::kComputeClock, {1.0}, ""}));
  EXPECT_FALSE(claims_a_clock({"cpu_quota_ratio", "", Role::kComputeClock, {1.0}, ""}));
  EXPECT_FALSE(claims_a_clock({"power_limit_watts", "W", Role::kPowerCap, {1.0}, ""}));
}

TEST(Proof, SaysClocksAsPeopleDo) {
  const Parameter hertz{"gpu_max_hz", "Hz", Role::kComputeClock, {1.0}, ""};
  EXPECT_EQ(spoken(hertz, 114.75e6), "114.8 MHz");
  EXPECT_EQ(spoken(hertz, 1300.5e6), "1.3 GHz");
  EXPECT_EQ(spoken({"cpu_quota_ratio", "", Role::kOther, {1.0}, ""}, 0.5), "0.5");
}

}  // namespace
}  // namespace polythrottle
