#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "knob/fake_devfreq.h"
#include "knob/lease.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Hz = FakeDevfreq::Hz;

constexpr const char* kFolder = "/sys/class/devfreq/17000000.gp10b";
const std::vector<Hz> kTable{100'000'000, 200'000'000, 300'000'000, 400'000'000};

const KnobDriver& driver() {
  const auto all = knob_drivers();
  return **std::find_if(all.begin(), all.end(), [](const auto* one) { return one->name == "gpu_devfreq"; });
}

class GpuDevfreq : public ::testing::TestWithParam<DevfreqKernel> {
 protected:
  GpuDevfreq() {
    files.nodes["/proc/sys/kernel/random/boot_id"] = "boot-1\n";
    discover();
  }
  void discover() {
    knobs = std::move(driver().discover(host).knobs);
    ASSERT_EQ(knobs.size(), 2u);
    floor = knobs[0].get();
    ceiling = knobs[1].get();
  }
  std::pair<Hz, Hz> limits() const { return {*read_integer(files, min_path), *read_integer(files, max_path)}; }
  static Config config(Hz min, Hz max) { return {{"gpu_min_hz", static_cast<double>(min)}, {"gpu_max_hz", static_cast<double>(max)}}; }
  /// Every allowed (floor, ceiling).
  static std::vector<std::pair<Hz, Hz>> pairs() {
    std::vector<std::pair<Hz, Hz>> all;
    for (const Hz min : kTable) {
      for (const Hz max : kTable) {
        if (min <= max) all.emplace_back(min, max);
      }
    }
    return all;
  }

  const std::string min_path = std::string(kFolder) + "/min_freq";
  const std::string max_path = std::string(kFolder) + "/max_freq";
  FakeDevfreq files{GetParam(), kFolder, kTable};
  FakeClock clock;
  Host host{files, clock};
  ScratchFolder scratch;
  std::string record = (scratch.path() / "lease.json").string();
  std::vector<std::unique_ptr<Knob>> knobs;
  Knob* floor = nullptr;
  Knob* ceiling = nullptr;
};

TEST_P(GpuDevfreq, FindsBothLimits) {
  EXPECT_EQ(floor->parameter().name, "gpu_min_hz");
  EXPECT_EQ(floor->parameter().role, Role::kClockFloor);
  EXPECT_EQ(ceiling->parameter().name, "gpu_max_hz");
  EXPECT_EQ(ceiling->parameter().role, Role::kComputeClock);
  EXPECT_EQ(ceiling->parameter().levels, (std::vector<Value>{100e6, 200e6, 300e6, 400e6}));
  EXPECT_EQ(*floor->read(), Value(100e6));
  EXPECT_EQ(*ceiling->read(), Value(400e6));
  EXPECT_EQ(floor->group(), ceiling->group());
  EXPECT_TRUE(files.writes.empty());
}

TEST_P(GpuDevfreq, EveryPairCanFollowEveryOther) {
  files.set(200'000'000, 300'000'000);
  const auto lease = *Lease::take(host, {floor, ceiling}, {.record_path = record});
  for (const auto& from : pairs()) {
    for (const auto& to : pairs()) {
      for (const auto& [min, max] : {from, to}) {
        const auto got = lease->apply(config(min, max));
        ASSERT_TRUE(got) << got.error().text();
        EXPECT_EQ(*got, config(min, max));
      }
    }
  }
  EXPECT_EQ(files.refusals, 0);
}

TEST_P(GpuDevfreq, EveryPairIsGivenBackFromEveryOther) {
  for (const auto& found : pairs()) {
    for (const auto& left : pairs()) {
      files.set(found.first, found.second);
      discover();
      auto lease = *Lease::take(host, {floor, ceiling}, {.record_path = record});
      ASSERT_TRUE(lease->apply(config(left.first, left.second)));
      for (const auto& restored : lease->restore()) EXPECT_TRUE(restored.status) << restored.status.error().text();
      EXPECT_EQ(limits(), found);
    }
  }
  EXPECT_EQ(files.refusals, 0);
}

TEST_P(GpuDevfreq, EveryPairIsRecoveredFromTheRecordAlone) {
  for (const auto& found : pairs()) {
    for (const auto& left : pairs()) {
      files.set(found.first, found.second);
      discover();
      {
        auto lease = *Lease::take(host, {floor, ceiling}, {.record_path = record});
        ASSERT_TRUE(lease->apply(config(left.first, left.second)));
        std::filesystem::copy_file(record, record + ".kept");
      }
      files.set(left.first, left.second);
      std::filesystem::rename(record + ".kept", record);
      const auto report = recover(host, {}, record);
      ASSERT_TRUE(report) << report.error().text();
      for (const auto& restored : report->knobs) EXPECT_TRUE(restored.status) << restored.status.error().text();
      EXPECT_EQ(limits(), found);
      EXPECT_FALSE(std::filesystem::exists(record));
    }
  }
  EXPECT_EQ(files.refusals, 0);
}

TEST_P(GpuDevfreq, TheOrderOfTheKnobsDoesNotMatter) {
  files.set(200'000'000, 400'000'000);
  auto lease = *Lease::take(host, {ceiling, floor}, {.record_path = record});
  ASSERT_EQ(*lease->apply(config(100'000'000, 100'000'000)), config(100'000'000, 100'000'000));
  ASSERT_EQ(*lease->apply(config(300'000'000, 300'000'000)), config(300'000'000, 300'000'000));
  ASSERT_EQ(*lease->apply(config(100'000'000, 100'000'000)), config(100'000'000, 100'000'000));
  for (const auto& restored : lease->restore()) EXPECT_TRUE(restored.status) << restored.knob;
  EXPECT_EQ(limits(), std::pair(200'000'000LL, 400'000'000LL));
}

TEST_P(GpuDevfreq, WritesFloorToTheBottomThenCeilingThenFloor) {
  auto lease = *Lease::take(host, {floor, ceiling}, {.record_path = record});
  files.writes.clear();
  ASSERT_TRUE(lease->apply(config(200'000'000, 300'000'000)));
  EXPECT_THAT(files.writes,
              ElementsAre(std::pair(min_path, "100000000"), std::pair(max_path, "300000000"), std::pair(min_path, "200000000")));
  files.writes.clear();
  ASSERT_TRUE(lease->apply(config(300'000'000, 300'000'000)));
  EXPECT_THAT(files.writes, ElementsAre(std::pair(min_path, "300000000")));
  files.writes.clear();
  ASSERT_TRUE(lease->apply(config(300'000'000, 400'000'000)));
  EXPECT_EQ(limits(), std::pair(300'000'000LL, 400'000'000LL));
  files.writes.clear();
  ASSERT_TRUE(lease->apply(config(300'000'000, 400'000'000)));
  EXPECT_TRUE(files.writes.empty());
}

TEST_P(GpuDevfreq, TheCeilingAloneTakesTheFloorAlongAndGivesItBack) {
  files.set(300'000'000, 400'000'000);
  auto lease = *Lease::take(host, {ceiling}, {.record_path = record});
  ASSERT_TRUE(lease->apply({{"gpu_max_hz", 100e6}}));
  EXPECT_EQ(limits(), std::pair(100'000'000LL, 100'000'000LL));
  ASSERT_TRUE(lease->apply({{"gpu_max_hz", 400e6}}));
  EXPECT_EQ(limits(), std::pair(300'000'000LL, 400'000'000LL));
  ASSERT_TRUE(lease->apply({{"gpu_max_hz", 200e6}}));
  EXPECT_EQ(limits(), std::pair(200'000'000LL, 200'000'000LL));
  EXPECT_TRUE(lease->restore().front().status);
  EXPECT_EQ(limits(), std::pair(300'000'000LL, 400'000'000LL));
}

TEST_P(GpuDevfreq, OffTableAndCrossingValuesAreRefusedUnwritten) {
  files.set(100'000'000, 300'000'000);
  for (const Value& wrong : {Value(150e6), Value(0.0), Value(-1.0), Value("fast")}) {
    EXPECT_EQ(floor->write(wrong).error().code, Errc::kOutOfRange);
    EXPECT_EQ(ceiling->write(wrong).error().code, Errc::kOutOfRange);
  }
  EXPECT_EQ(floor->write(400e6).error().code, Errc::kOutOfRange);
  EXPECT_FALSE(floor->group()->allows(config(300'000'000, 200'000'000)));
  EXPECT_TRUE(floor->group()->allows({{"gpu_min_hz", 300e6}, {"batch", 1.0}}));
  EXPECT_EQ(floor->group()->write(config(300'000'000, 200'000'000)).error().code, Errc::kOutOfRange);
  EXPECT_TRUE(files.writes.empty());
}

TEST_P(GpuDevfreq, NothingIsWrittenThatIsNotOfTheTableOrFound) {
  std::mt19937 random(5);
  std::uniform_int_distribution<Hz> anything(0, 500'000'000);
  const auto pick = [&] { return random() % 2 == 0 ? kTable[random() % kTable.size()] : anything(random); };
  const auto in_table = [](Hz hertz) { return std::find(kTable.begin(), kTable.end(), hertz) != kTable.end(); };
  for (int round = 0; round < 20; ++round) {
    Hz min = anything(random) + 50'000'000;
    Hz max = anything(random) + 50'000'000;
    if (min > max) std::swap(min, max);
    files.set(std::clamp(min, kTable.front(), kTable.back()), std::clamp(max, kTable.front(), kTable.back()));
    const auto found = limits();
    discover();
    auto lease = *Lease::take(host, {floor, ceiling}, {.record_path = record});
    files.writes.clear();
    ASSERT_TRUE(lease->apply(config(kTable.front(), kTable.back())));  // now both count as moved
    for (int i = 0; i < 100; ++i) {
      const Hz wanted_min = pick();
      const Hz wanted_max = pick();
      const auto got = floor->group()->write(config(wanted_min, wanted_max));
      const bool known = (in_table(wanted_min) || wanted_min == found.first) && (in_table(wanted_max) || wanted_max == found.second);
      if (got && !known) {
        ADD_FAILURE() << wanted_min << " " << wanted_max << " was taken";
      }
      if (got && in_table(wanted_min) && in_table(wanted_max)) {
        EXPECT_LE(files.loaded_clock(), wanted_max);
      }
    }
    for (const auto& restored : lease->restore()) EXPECT_TRUE(restored.status) << restored.status.error().text();
    EXPECT_EQ(limits(), found);
    for (const auto& [path, text] : files.writes) {
      const Hz written = std::stoll(text);
      EXPECT_TRUE(in_table(written) || written == found.first || written == found.second) << path << " " << text;
    }
  }
}

TEST_P(GpuDevfreq, AValueFoundOffTheTableMayBeSetAgain) {
  files.set(100'000'000, 350'000'000);
  EXPECT_EQ(ceiling->write(350e6).error().code, Errc::kOutOfRange);
  EXPECT_EQ(*ceiling->read(), Value(350e6));
  EXPECT_EQ(*ceiling->write(200e6), Value(200e6));
  EXPECT_EQ(*ceiling->write(350e6), Value(350e6));
}

TEST_P(GpuDevfreq, ASleepingGpuHasNoClock) {
  EXPECT_EQ(*ceiling->actual(), std::nullopt);
  files.nodes[std::string(kFolder) + "/cur_freq"] = "200000000\n";
  EXPECT_EQ(*ceiling->actual(), Value(200e6));
  EXPECT_EQ(*floor->actual(), std::nullopt);
}

TEST_P(GpuDevfreq, ALimitThatLiesShowsInTheReadBack) {
  auto lease = *Lease::take(host, {floor, ceiling}, {.record_path = record});
  files.lie.insert(max_path);
  EXPECT_EQ(*lease->apply(config(100'000'000, 200'000'000)), config(100'000'000, 400'000'000));
  files.lie.clear();
  for (const auto& restored : lease->restore()) EXPECT_TRUE(restored.status);
}

class GpuPowerMode : public GpuDevfreq {
 protected:
  void set_mode(const std::string& cap) {
    files.nodes["/etc/nvpmodel.conf"] =
        "< PARAM TYPE=CLOCK NAME=GPU >\nMAX_FREQ " + max_path + "\n< POWER_MODEL ID=3 NAME=MODE_X >\nGPU MAX_FREQ " + cap + "\n";
    files.nodes["/var/lib/nvpmodel/status"] = "pmode:0003";
    discover();
  }
  std::vector<Value> levels() const { return ceiling->parameter().levels; }
};

TEST_P(GpuPowerMode, LevelsStopAtItsCap) {
  files.set(100'000'000, 200'000'000);
  set_mode("200000000");
  EXPECT_EQ(levels(), (std::vector<Value>{100e6, 200e6}));
  EXPECT_EQ(floor->parameter().levels, levels());
  EXPECT_THAT(ceiling->parameter().help, HasSubstr("3 MODE_X"));
  EXPECT_EQ(ceiling->write(300e6).error().code, Errc::kOutOfRange);
  EXPECT_EQ(floor->group()->write(config(100'000'000, 300'000'000)).error().code, Errc::kOutOfRange);
  EXPECT_TRUE(files.writes.empty());
  // Somebody lowered it since: what the mode allows is allowed.
  files.set(100'000'000, 100'000'000);
  set_mode("200000000");
  EXPECT_EQ(levels(), (std::vector<Value>{100e6, 200e6}));
}

TEST_P(GpuPowerMode, ACeilingFoundAboveItIsNotTakenAway) {
  files.set(100'000'000, 300'000'000);
  set_mode("200000000");
  EXPECT_EQ(levels(), (std::vector<Value>{100e6, 200e6, 300e6}));
  files.set(100'000'000, 0);  // no ceiling at all
  set_mode("200000000");
  EXPECT_EQ(levels().size(), 4u);
}

TEST_P(GpuPowerMode, ACapBetweenLevelsIsTheLowerOneAndNoCapLeavesAll) {
  files.set(100'000'000, 100'000'000);
  set_mode("250000000");
  EXPECT_EQ(levels(), (std::vector<Value>{100e6, 200e6}));
  for (const char* none : {"-1", "0", "9999999999"}) {
    set_mode(none);
    EXPECT_EQ(levels().size(), 4u) << none;
    EXPECT_THAT(ceiling->parameter().help, ::testing::Not(HasSubstr("left out")));
  }
}

TEST_P(GpuDevfreq, SaysWhatElseHoldsTheClock) {
  const auto help = [&] {
    discover();
    return ceiling->parameter().help;
  };
  EXPECT_THAT(help(), HasSubstr("powered off"));
  const std::string folder = kFolder;
  files.nodes[folder + "/cur_freq"] = "200000000\n";
  files.nodes[folder + "/governor"] = "nvhost_podgov\n";
  EXPECT_EQ(help(), "highest clock of the GPU's governor (devfreq max_freq)");
  for (const char* governor : {"performance", "powersave", "userspace"}) {
    files.nodes[folder + "/governor"] = std::string(governor) + "\n";
    EXPECT_THAT(help(), HasSubstr(governor));
  }
  files.set(400'000'000, 400'000'000);
  EXPECT_THAT(help(), HasSubstr("pinned"));
}

INSTANTIATE_TEST_SUITE_P(Kernels, GpuDevfreq, ::testing::Values(DevfreqKernel::kChecks, DevfreqKernel::kQos),
                         [](const auto& kernel) { return kernel.param == DevfreqKernel::kChecks ? "checks" : "qos"; });

INSTANTIATE_TEST_SUITE_P(Kernels, GpuPowerMode, ::testing::Values(DevfreqKernel::kChecks, DevfreqKernel::kQos),
                         [](const auto& kernel) { return kernel.param == DevfreqKernel::kChecks ? "checks" : "qos"; });

TEST(GpuDevfreqDiscovery, ZeroMeansNoLimitAndComesBackAsZero) {
  FakeDevfreq files(DevfreqKernel::kChecks, kFolder, kTable);
  files.set(0, 0);
  FakeClock clock;
  Host host{files, clock};
  const auto found = driver().discover(host);
  ASSERT_EQ(found.knobs.size(), 2u);
  EXPECT_EQ(*found.knobs[0]->read(), Value(100e6));
  EXPECT_EQ(*found.knobs[1]->read(), Value(400e6));
  const ScratchFolder scratch;
  auto lease = *Lease::take(host, {found.knobs[0].get(), found.knobs[1].get()}, {.record_path = (scratch.path() / "lease.json").string()});
  ASSERT_TRUE(lease->apply({{"gpu_min_hz", 200e6}, {"gpu_max_hz", 200e6}}));
  for (const auto& restored : lease->restore()) EXPECT_TRUE(restored.status) << restored.status.error().text();
  EXPECT_EQ(files.nodes[std::string(kFolder) + "/max_freq"], "0\n");
  EXPECT_EQ(files.nodes[std::string(kFolder) + "/min_freq"], "0\n");
}

TEST(GpuDevfreqDiscovery, NumbersThatTheKernelKeptInKilohertzAreTheirLevels) {
  FakeDevfreq files(DevfreqKernel::kQos, kFolder, {114'750'123, 624'750'123});
  files.set(114'750'000, 624'751'000);
  FakeClock clock;
  Host host{files, clock};
  const auto found = driver().discover(host);
  EXPECT_EQ(*found.knobs[0]->read(), Value(114'750'123.0));
  // The ceiling of the fake is its table's end; a real one shows 624751000.
  files.nodes[std::string(kFolder) + "/max_freq"] = "624751000\n";
  EXPECT_EQ(*found.knobs[1]->read(), Value(624'750'123.0));
}

TEST(GpuDevfreqDiscovery, FindsTheDeviceByItsNameWhereverItIs) {
  for (const std::string folder : {"/sys/class/devfreq/17000000.ga10b", "/sys/devices/17000000.gp10b/devfreq/17000000.gp10b",
                                   "/sys/devices/gpu.0/devfreq/17000000.gv11b", "/sys/devices/platform/17000000.gpu/devfreq/17000000.gpu",
                                   "/sys/devices/platform/bus@0/17000000.gpu/devfreq/17000000.gpu", "/sys/class/devfreq/gpu-gpc-0",
                                   "/sys/devices/57000000.gpu/devfreq/57000000.gpu"}) {
    FakeDevfreq files(DevfreqKernel::kQos, folder, kTable);
    files.nodes["/proc/device-tree/compatible"] = std::string("nvidia,p3701-0000\0nvidia,tegra234\0", 34);
    files.nodes["/sys/class/devfreq/gpu-nvd-0/available_frequencies"] = "1\n";
    FakeClock clock;
    Host host{files, clock};
    const auto found = driver().discover(host);
    ASSERT_EQ(found.knobs.size(), 2u) << folder;
    EXPECT_EQ(found.knobs[0]->paths().front(), folder + "/min_freq");
  }
  // A name in the device tree tells, too.
  FakeDevfreq files(DevfreqKernel::kQos, "/sys/class/devfreq/devfreq0", kTable);
  files.nodes["/sys/class/devfreq/devfreq0/device/of_node/name"] = std::string("ga10b\0", 6);
  FakeClock clock;
  Host host{files, clock};
  EXPECT_EQ(driver().discover(host).knobs.size(), 2u);
}

TEST(GpuDevfreqDiscovery, SaysWhatIsMissing) {
  FakeClock clock;
  {
    // The GPU of another maker, though it is called the same.
    FakeDevfreq files(DevfreqKernel::kQos, "/sys/class/devfreq/fb000000.gpu", kTable);
    files.nodes["/proc/device-tree/compatible"] = "rockchip,rk3588";
    Host host{files, clock};
    const auto found = driver().discover(host);
    EXPECT_TRUE(found.knobs.empty());
    EXPECT_EQ(found.absent.at(0).why.code, Errc::kNotFound);
  }
  {
    FakeFiles files;
    files.nodes["/sys/devices/platform/gpu.0/railgate_enable"] = "1\n";
    Host host{files, clock};
    files.nodes["/proc/device-tree/compatible"] = "nvidia,tegra234";
    EXPECT_THAT(driver().discover(host).absent.at(0).why.hint, HasSubstr("powered"));
    files.nodes.erase("/sys/devices/platform/gpu.0/railgate_enable");
    EXPECT_THAT(driver().discover(host).absent.at(0).why.hint, HasSubstr("container"));
  }
  {
    // Thor: the video engines' clock is no GPU clock, though its node hangs below the GPU's.
    FakeDevfreq files(DevfreqKernel::kQos, "/sys/class/devfreq/gpu-nvd-0", kTable);
    files.nodes["/proc/device-tree/compatible"] = "nvidia,tegra264";
    files.nodes["/sys/class/devfreq/gpu-nvd-0/device/of_node/name"] = std::string("gpu\0", 4);
    Host host{files, clock};
    EXPECT_TRUE(driver().discover(host).knobs.empty());
  }
  FakeDevfreq files(DevfreqKernel::kQos, kFolder, kTable);
  Host host{files, clock};
  files.refuse_write[std::string(kFolder) + "/max_freq"] = EACCES;
  auto found = driver().discover(host);
  EXPECT_TRUE(found.knobs.empty());
  EXPECT_EQ(found.absent.at(0).why.code, Errc::kPermission);
  EXPECT_THAT(found.absent.at(0).why.hint, HasSubstr("root"));
  files.nodes[std::string(kFolder) + "/available_frequencies"] = "\n";
  EXPECT_EQ(driver().discover(host).absent.at(0).why.code, Errc::kCorrupt);
  EXPECT_TRUE(files.writes.empty());
}

}  // namespace
}  // namespace polythrottle
