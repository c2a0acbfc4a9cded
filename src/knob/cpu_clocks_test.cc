// The ceilings and the turbo switch on kernels that behave: what is in force, what stays hidden, and what is given back.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "knob/fake_cpufreq.h"
#include "knob/lease.h"

namespace polythrottle {
namespace knob_driver {
extern const KnobDriver cpufreq;
}
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<long long> kTable{345600, 806400, 1190400, 2035200};

struct Board {
  explicit Board(CpufreqKernel kernel, FakeTurbo turbo = FakeTurbo::kNone) : files(kernel, turbo) {
    files.nodes["/proc/sys/kernel/random/boot_id"] = "boot-1\n";
  }

  /// A lease on the named knobs, in the order in which a machine has them.
  std::unique_ptr<Lease> take(const std::vector<std::string>& names) {
    found = knob_driver::cpufreq.discover(host);
    std::vector<Knob*> knobs;
    for (const auto& name : names) knobs.push_back(&knob(name));
    auto lease = Lease::take(host, knobs, {.record_path = (scratch.path() / "lease.json").string()});
    EXPECT_TRUE(lease) << lease.error().text();
    return std::move(*lease);
  }

  Knob& knob(const std::string& name) {
    if (found.knobs.empty()) found = knob_driver::cpufreq.discover(host);
    for (const auto& one : found.knobs) {
      if (one->parameter().name == name) return *one;
    }
    throw std::runtime_error("no knob " + name);
  }

  std::string min(int policy) { return files.nodes[FakeCpufreq::min_path(policy)]; }
  std::string max(int policy) { return files.nodes[FakeCpufreq::max_path(policy)]; }

  ScratchFolder scratch;
  FakeCpufreq files;
  FakeClock clock;
  Host host{files, clock};
  KnobDiscovery found;
};

/// What the machine reports after it; nothing where it was refused.
Config applied(Lease& lease, const Config& config) {
  const auto got = lease.apply(config);
  EXPECT_TRUE(got) << got.error().text();
  return got ? *got : Config();
}

void expect_all_back(Board& board, Lease& lease) {
  const auto before = board.clock.now();
  for (const auto& restored : lease.restore()) EXPECT_TRUE(restored.status) << restored.status.error().text();
  EXPECT_EQ(board.clock.now(), before) << "nothing had to be waited for or tried again";
}

class BothKernels : public ::testing::TestWithParam<CpufreqKernel> {};

TEST_P(BothKernels, APinnedClockCanStillBeMovedAndIsGivenBack) {
  Board board(GetParam());
  board.files.add(0, kTable, 345600, 2035200);
  board.files.add(4, kTable, 345600, 2035200);
  board.files.set(0, 2035200, 2035200);  // jetson_clocks: the floor at the ceiling
  board.files.set(4, 806400, 1190400);
  auto lease = board.take({"cpu_hz"});
  EXPECT_EQ(board.knob("cpu_hz").parameter().levels.size(), 4u);
  for (const double level : {345600e3, 2035200e3, 806400e3, 1190400e3}) {
    EXPECT_EQ(applied(*lease, {{"cpu_hz", level}}).number("cpu_hz"), level);
    EXPECT_EQ(board.max(0), board.min(0)) << "pinned, at every level";
  }
  EXPECT_EQ(board.min(4), "806400\n");
  ASSERT_TRUE(lease->apply({{"cpu_hz", 345600e3}}));
  EXPECT_EQ(board.min(4), "345600\n");
  expect_all_back(board, *lease);
  EXPECT_EQ(board.min(0), "2035200\n");
  EXPECT_EQ(board.max(0), "2035200\n");
  EXPECT_EQ(board.min(4), "806400\n");
  EXPECT_EQ(board.max(4), "1190400\n");
  EXPECT_EQ(board.files.refusals, 0);
}

TEST_P(BothKernels, ALimitOfSomebodyElseShowsInWhatIsRead) {
  Board board(GetParam());
  board.files.add(0, kTable, 345600, 2035200);
  auto lease = board.take({"cpu_hz"});
  board.files.hold_below(0, 1000000);  // heat, or bios_limit
  EXPECT_EQ(applied(*lease, {{"cpu_hz", 2035200e3}}).number("cpu_hz"), GetParam() == CpufreqKernel::kQos ? 806400e3 : 1e9);
  EXPECT_EQ(applied(*lease, {{"cpu_hz", 345600e3}}).number("cpu_hz"), 345600e3);
}

TEST_P(BothKernels, APolicyThatGoesOfflineInMidStudyIsSaidAndTakenUpAgain) {
  Board board(GetParam());
  board.files.add(0, kTable, 345600, 2035200);
  board.files.add(1, kTable, 345600, 2035200);
  auto lease = board.take({"cpu_hz"});
  ASSERT_TRUE(lease->apply({{"cpu_hz", 806400e3}}));
  board.files.take_offline(1);
  const auto refused = lease->apply({{"cpu_hz", 1190400e3}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, GetParam() == CpufreqKernel::kQos ? Errc::kBusy : Errc::kNotFound);
  EXPECT_THAT(refused.error().text(), HasSubstr("policy1"));
  EXPECT_THAT(refused.error().hint, HasSubstr("offline"));
  EXPECT_EQ(*board.knob("cpu_hz").actual(), Value(806400e3)) << "of those that are there";
  // Its limit is what it was before it went.
  board.files.bring_online(1);
  EXPECT_EQ(board.max(1), "806400\n");
  EXPECT_EQ(applied(*lease, {{"cpu_hz", 1190400e3}}).number("cpu_hz"), 1190400e3);
  EXPECT_EQ(board.max(1), "1190400\n");
  expect_all_back(board, *lease);
  EXPECT_EQ(board.max(1), "2035200\n");
}

TEST_P(BothKernels, ARestoreGivesBackWhatIsOnlineAndNamesWhatIsNot) {
  Board board(GetParam());
  board.files.add(0, kTable, 345600, 2035200);
  board.files.add(1, kTable, 345600, 2035200);
  auto lease = board.take({"cpu_hz"});
  ASSERT_TRUE(lease->apply({{"cpu_hz", 806400e3}}));
  board.files.take_offline(1);
  const auto report = lease->restore();
  EXPECT_FALSE(report.front().status);
  EXPECT_THAT(report.front().status.error().what, HasSubstr("policy1"));
  EXPECT_EQ(board.max(0), "2035200\n");
  board.files.bring_online(1);
  EXPECT_TRUE(lease->restore().front().status) << "a second try finishes it";
  EXPECT_EQ(board.max(1), "2035200\n");
}

TEST_P(BothKernels, ClustersMoveApartWhereThatIsAskedFor) {
  Board board(GetParam());
  board.files.add(0, {345600, 1190400, 2035200}, 345600, 2035200);
  board.files.add(1, {499200, 1190400, 1574400}, 499200, 1574400);
  EXPECT_THAT(board.knob("cpu_hz").parameter().levels, ElementsAre(Value(499200e3), Value(1190400e3), Value(1574400e3), Value(2035200e3)));
  EXPECT_THAT(board.knob("cpu1_hz").parameter().levels, ElementsAre(Value(499200e3), Value(1190400e3), Value(1574400e3)));
  EXPECT_FALSE(board.knob("cpu_hz").by_request());
  EXPECT_TRUE(board.knob("cpu1_hz").by_request());
  EXPECT_THAT(board.knob("cpu1_hz").paths(), ElementsAre(FakeCpufreq::min_path(1), FakeCpufreq::max_path(1)));
  board.files.set(1, 1190400, 1190400);
  auto lease = board.take({"cpu0_hz", "cpu1_hz"});
  const auto got = lease->apply({{"cpu0_hz", 345600e3}, {"cpu1_hz", 1574400e3}});
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(*got, (Config{{"cpu0_hz", 345600e3}, {"cpu1_hz", 1574400e3}}));
  EXPECT_EQ(board.max(0), "345600\n");
  EXPECT_EQ(board.min(1), "1190400\n");
  expect_all_back(board, *lease);
  EXPECT_EQ(board.max(0), "2035200\n");
  EXPECT_EQ(board.max(1), "1190400\n");
}

TEST_P(BothKernels, AFloorThatStaysIsNotWrittenAgainUnlessSomebodyMovedIt) {
  Board board(GetParam());
  board.files.add(0, kTable, 345600, 2035200);
  Knob& knob = board.knob("cpu_hz");
  ASSERT_TRUE(knob.write(806400e3));
  board.files.writes.clear();
  EXPECT_EQ(*knob.write(1190400e3), Value(1190400e3));
  EXPECT_THAT(board.files.writes, ElementsAre(std::pair(FakeCpufreq::max_path(0), std::string("1190400"))));
  board.files.set(0, 1190400, 1190400);  // jetson_clocks, in mid-study
  EXPECT_EQ(*knob.write(806400e3), Value(806400e3));
  EXPECT_EQ(*knob.write(2035200e3), Value(2035200e3));
}

INSTANTIATE_TEST_SUITE_P(Kernels, BothKernels, ::testing::Values(CpufreqKernel::kChecks, CpufreqKernel::kQos),
                         [](const auto& kernel) { return kernel.param == CpufreqKernel::kQos ? "PmQos" : "Checks"; });

// --- Rounding and reading --------------------------------------------------------------------------------------------------------

TEST(CpuClocks, OnlyTableValuesAreWrittenSoThatNothingIsRounded) {
  Board board(CpufreqKernel::kQos);
  board.files.add(0, kTable, 345600, 2035200);
  Knob& knob = board.knob("cpu_hz");
  for (const auto& level : knob.parameter().levels) {
    board.files.writes.clear();
    EXPECT_EQ(*knob.write(level), level);
    for (const auto& [path, text] : board.files.writes) EXPECT_THAT(kTable, ::testing::Contains(std::stoll(text))) << path;
  }
}

TEST(CpuClocks, AFloorHiddenBehindALowCeilingDoesNotComeUp) {
  Board board(CpufreqKernel::kQos);
  board.files.add(0, kTable, 345600, 2035200);
  board.files.set(0, 2035200, 806400);  // reads 806400, 806400
  auto lease = board.take({"cpu_hz"});
  ASSERT_TRUE(lease->apply({{"cpu_hz", 2035200e3}}));
  EXPECT_EQ(board.min(0), "806400\n") << "as it was seen";
  expect_all_back(board, *lease);
  EXPECT_EQ(board.max(0), "806400\n");
}

TEST(CpuClocks, WithoutATableTheHardwareMayRoundTheCeilingUp) {
  Board ratios(CpufreqKernel::kQos), table(CpufreqKernel::kQos);
  ratios.files.add(0, {}, 400000, 4700000);
  table.files.add(0, kTable, 345600, 2035200);
  EXPECT_EQ(ratios.knob("cpu_hz").claim().slack, 100e6);
  EXPECT_EQ(table.knob("cpu_hz").claim().slack, 0.0);
  EXPECT_FALSE(ratios.knob("cpu_hz").claim().held);
}

TEST(CpuClocks, TheClockIsAskedFromTheHardwareWhereItAnswers) {
  Board board(CpufreqKernel::kQos);
  board.files.add(0, {}, 800000, 4700000);
  board.files.add(1, {}, 800000, 4700000);
  Knob& knob = board.knob("cpu_hz");
  const auto node = [&](int policy, const char* file) -> std::string& { return board.files.nodes[FakeCpufreq::folder(policy) + file]; };
  node(0, "/scaling_cur_freq") = "1200000\n";
  node(1, "/scaling_cur_freq") = "3100000\n";
  EXPECT_EQ(*knob.actual(), Value(3.1e9));
  node(0, "/cpuinfo_cur_freq") = "3300000\n";
  node(1, "/cpuinfo_cur_freq") = "<unknown>\n";
  EXPECT_EQ(*knob.actual(), Value(3.3e9));
  board.files.refuse_read[FakeCpufreq::folder(0) + "/cpuinfo_cur_freq"] = EACCES;  // not root
  EXPECT_EQ(*knob.actual(), Value(3.1e9));
  for (const int policy : {0, 1}) node(policy, "/scaling_cur_freq") = "<unknown>\n";
  EXPECT_EQ(*knob.actual(), std::nullopt);
}

TEST(CpuClocks, AMachineWithAPolicyForEveryCpuIsNotSplit) {
  Board board(CpufreqKernel::kQos);
  for (int cpu = 0; cpu < 9; ++cpu) board.files.add(cpu, {}, 800000, 3000000);
  const auto found = knob_driver::cpufreq.discover(board.host);
  EXPECT_EQ(found.knobs.size(), 1u);
  EXPECT_EQ(found.knobs.front()->group(), nullptr);
  EXPECT_THAT(found.absent.back().why.what, HasSubstr("9 policies"));
}

// --- Turbo -----------------------------------------------------------------------------------------------------------------------

/// Two policies whose base clock is 2.8 GHz, and 4.0 GHz with turbo.
class Turbo : public ::testing::TestWithParam<FakeTurbo> {
 protected:
  Turbo() {
    for (const int policy : {0, 1}) {
      board.files.add(policy, {}, 800000, 4000000, 2800000);
      board.files.nodes[FakeCpufreq::folder(policy) + "/base_frequency"] = "2800000\n";
    }
  }
  Board board{CpufreqKernel::kQos, GetParam()};
};

TEST_P(Turbo, IsWrittenBeforeTheCeilingsAndGivenBackBeforeThem) {
  board.files.set(0, 800000, 3500000);
  auto lease = board.take({"cpu_hz", "cpu_turbo"});
  EXPECT_EQ(applied(*lease, {{"cpu_hz", 4e9}, {"cpu_turbo", 1.0}}), (Config{{"cpu_hz", 4e9}, {"cpu_turbo", 1.0}}));
  const double below = 2.5e9;
  ASSERT_THAT(board.knob("cpu_hz").parameter().levels, ::testing::Contains(Value(below)));
  for (const Config& config : {Config{{"cpu_hz", below}, {"cpu_turbo", 0.0}}, Config{{"cpu_hz", below}, {"cpu_turbo", 1.0}},
                               Config{{"cpu_hz", 4e9}, {"cpu_turbo", 1.0}}, Config{{"cpu_hz", below}, {"cpu_turbo", 0.0}}}) {
    const auto got = lease->apply(config);
    ASSERT_TRUE(got) << got.error().text();
    EXPECT_EQ(*got, config);
  }
  expect_all_back(board, *lease);
  EXPECT_EQ(board.max(0), "3500000\n");
  EXPECT_EQ(board.max(1), "4000000\n");
}

TEST_P(Turbo, AloneLeavesTheCeilingsAsTheyWere) {
  board.files.set(0, 900000, 2000000);
  auto lease = board.take({"cpu_turbo"});
  ASSERT_TRUE(lease->apply({{"cpu_turbo", 0.0}}));
  EXPECT_EQ(board.max(0), "2000000\n");
  EXPECT_EQ(board.max(1), "2800000\n");
  ASSERT_TRUE(lease->apply({{"cpu_turbo", 1.0}}));
  EXPECT_EQ(board.max(0), "2000000\n");
  EXPECT_EQ(board.max(1), "4000000\n") << "what nobody limited goes with turbo";
  ASSERT_TRUE(lease->apply({{"cpu_turbo", 0.0}}));
  expect_all_back(board, *lease);
  EXPECT_EQ(board.max(0), "2000000\n");
  EXPECT_EQ(board.min(0), "900000\n");
  EXPECT_EQ(board.max(1), "4000000\n");
}

TEST_P(Turbo, FoundOffIsGivenBackOffAndACeilingThatWasNoneStaysNone) {
  ASSERT_TRUE(board.files.write(GetParam() == FakeTurbo::kNoTurbo ? FakeCpufreq::kNoTurbo : FakeCpufreq::kBoost,
                                GetParam() == FakeTurbo::kNoTurbo ? "1" : "0"));
  const auto found = board.files.request(0);
  auto lease = board.take({"cpu_turbo"});
  EXPECT_EQ(lease->found().number("cpu_turbo"), 0.0);
  ASSERT_TRUE(lease->apply({{"cpu_turbo", 1.0}}));
  EXPECT_EQ(board.max(0), "4000000\n");
  expect_all_back(board, *lease);
  EXPECT_EQ(board.max(0), "2800000\n");
  EXPECT_EQ(board.files.request(0), found) << "also what cannot be read";
}

TEST_P(Turbo, DoesNotGoWithACeilingAboveTheBaseClock) {
  Knob& ceiling = board.knob("cpu_hz");
  Knob& turbo = board.knob("cpu_turbo");
  ASSERT_NE(turbo.group(), nullptr);
  EXPECT_EQ(turbo.group(), ceiling.group());
  EXPECT_TRUE(turbo.by_request());
  EXPECT_FALSE(turbo.group()->allows({{"cpu_hz", 4e9}, {"cpu_turbo", 0.0}}));
  EXPECT_TRUE(turbo.group()->allows({{"cpu_hz", 4e9}, {"cpu_turbo", 1.0}}));
  EXPECT_TRUE(turbo.group()->allows({{"cpu_hz", 2.8e9}, {"cpu_turbo", 0.0}}));
  EXPECT_EQ(turbo.group()->write({{"cpu_hz", 4e9}, {"cpu_turbo", 0.0}}).error().code, Errc::kOutOfRange);
  EXPECT_TRUE(board.files.writes.empty());
}

INSTANTIATE_TEST_SUITE_P(Switches, Turbo, ::testing::Values(FakeTurbo::kNoTurbo, FakeTurbo::kSetsLimit),
                         [](const auto& turbo) { return turbo.param == FakeTurbo::kNoTurbo ? "IntelPstate" : "Boost"; });

TEST(CpuTurbo, FirmwareThatKeepsItOffIsNamed) {
  Board board(CpufreqKernel::kQos, FakeTurbo::kNoTurbo);
  board.files.add(0, {}, 800000, 2800000);
  board.files.nodes[FakeCpufreq::kNoTurbo] = "1\n";
  Knob& turbo = board.knob("cpu_turbo");
  board.files.refuse_write[FakeCpufreq::kNoTurbo] = EPERM;
  const auto refused = turbo.write(1.0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kPermission);
  EXPECT_THAT(refused.error().hint, HasSubstr("firmware"));
}

TEST(CpuTurbo, ADriverThatIsOffLeavesTheSwitchToItsSuccessor) {
  Board board(CpufreqKernel::kQos, FakeTurbo::kSetsLimit);
  board.files.add(0, kTable, 345600, 2035200);
  board.files.nodes[FakeCpufreq::kNoTurbo] = "";
  board.files.refuse_read[FakeCpufreq::kNoTurbo] = EAGAIN;
  EXPECT_EQ(board.knob("cpu_turbo").paths().front(), FakeCpufreq::kBoost);
  Board off(CpufreqKernel::kQos, FakeTurbo::kNoTurbo);
  off.files.add(0, kTable, 345600, 2035200);
  off.files.refuse_read[FakeCpufreq::kNoTurbo] = EAGAIN;
  const auto found = knob_driver::cpufreq.discover(off.host);
  EXPECT_EQ(found.knobs.size(), 1u);
  EXPECT_EQ(found.absent.front().name, "cpu_turbo");
  EXPECT_THAT(found.absent.front().why.text(), HasSubstr("intel_pstate is off"));
}

}  // namespace
}  // namespace polythrottle
