#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "host/nvml_stub.h"
#include "knob/lease.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const KnobDriver& driver(std::string_view name) {
  const auto all = knob_drivers();
  return **std::find_if(all.begin(), all.end(), [&](const auto* one) { return one->name == name; });
}

KnobDiscovery discover(StubMachine& machine) {
  Host host = machine.host();
  return driver("nvml_clocks").discover(host);
}

std::string content(const Files& files, const std::string& path) {
  const auto text = read_trimmed(files, path);
  return text ? *text : text.error().text();
}

/// The stub's first GPU, busy, with both clocks as knobs.
class NvmlClocks : public ::testing::Test {
 protected:
  NvmlClocks() { find({.library = kNvmlStub}); }

  void find(NvmlMount mount) {
    knobs.clear();
    machine.reset();
    machine = std::make_unique<StubMachine>(std::move(mount));
    host = std::make_unique<Host>(machine->host());
    auto found = driver("nvml_clocks").discover(*host);
    knobs = std::move(found.knobs);
    ASSERT_EQ(knobs.size(), 2u) << (found.absent.empty() ? "" : found.absent.front().why.text());
    memory = knobs[0].get();
    graphics = knobs[1].get();
  }
  std::string lock() const { return content(*machine->files, kStubA + "/locked_graphics_clocks"); }

  StubWords words{"load"};
  ScratchFolder scratch;
  std::string record = (scratch.path() / "lease.json").string();
  std::unique_ptr<StubMachine> machine;
  std::unique_ptr<Host> host;
  std::vector<std::unique_ptr<Knob>> knobs;
  Knob* memory = nullptr;
  Knob* graphics = nullptr;
};

TEST_F(NvmlClocks, LevelsAreTheDriversTables) {
  EXPECT_EQ(memory->parameter().name, "mem_hz");
  EXPECT_EQ(memory->parameter().role, Role::kMemoryClock);
  EXPECT_EQ(memory->parameter().levels, (std::vector<Value>{405e6, 5001e6, 7001e6}));
  EXPECT_EQ(graphics->parameter().name, "gpu_max_hz");
  EXPECT_EQ(graphics->parameter().role, Role::kComputeClock);
  EXPECT_EQ(graphics->parameter().levels.size(), 107u);
  EXPECT_EQ(graphics->parameter().levels.front(), Value(210e6));
  EXPECT_EQ(graphics->parameter().levels.back(), Value(1800e6));
}

TEST_F(NvmlClocks, ALevelIsACeilingAndTheHighestIsNoLock) {
  EXPECT_EQ(*graphics->read(), Value(1800e6)) << "nobody knows of a lock";
  EXPECT_EQ(*graphics->write(900e6), Value(900e6));
  EXPECT_EQ(lock(), "210 900");
  EXPECT_EQ(*graphics->actual(), std::optional<Value>(900e6));
  EXPECT_EQ(*graphics->write(1800e6), Value(1800e6));
  EXPECT_EQ(lock(), "unlocked");
  EXPECT_EQ(*memory->write(5001e6), Value(5001e6));
  EXPECT_EQ(content(*machine->files, kStubA + "/locked_memory_clocks"), "405 5001");
  EXPECT_EQ(*memory->actual(), std::optional<Value>(5001e6));
}

TEST_F(NvmlClocks, CapTheirClocksAndHoldNone) {
  EXPECT_FALSE(memory->claim().held);  // the driver drops the memory's clock under light load
  EXPECT_FALSE(graphics->claim().held);
}

TEST_F(NvmlClocks, OnlyWhatTheDriverListsTogetherGoesTogether) {
  const KnobGroup* group = graphics->group();
  ASSERT_NE(group, nullptr);
  EXPECT_TRUE(group->allows({{"mem_hz", 405e6}, {"gpu_max_hz", 420e6}}));
  EXPECT_FALSE(group->allows({{"mem_hz", 405e6}, {"gpu_max_hz", 435e6}}));
  EXPECT_TRUE(group->allows({{"mem_hz", 5001e6}, {"gpu_max_hz", 1800e6}}));
  EXPECT_TRUE(group->allows({{"gpu_max_hz", 1800e6}}));
  const auto refused = memory->group()->write({{"mem_hz", 405e6}, {"gpu_max_hz", 900e6}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kOutOfRange);
  EXPECT_EQ(lock(), "unknown") << "nothing was written";
}

TEST_F(NvmlClocks, ALockThatIsNotObeyedShowsInTheActualClock) {
  words.say("load,lie");
  EXPECT_EQ(*graphics->write(600e6), Value(600e6)) << "no driver tells a lock, so the write is believed";
  EXPECT_GT(std::get<double>(**graphics->actual()), 600e6);
}

TEST_F(NvmlClocks, WithoutSuchAReadingThereIsNoActualClock) {
  words.say("load,nvmlDeviceGetClockInfo=3");
  EXPECT_EQ(*graphics->actual(), std::nullopt);
  words.say("load,nvmlDeviceGetClockInfo=15");
  EXPECT_FALSE(graphics->actual());
}

TEST_F(NvmlClocks, WhatNobodyKnowsIsGivenBackUnlocked) {
  const auto lease = *Lease::take(*host, {memory, graphics}, {.record_path = record});
  EXPECT_EQ(lease->found(), (Config{{"mem_hz", 7001e6}, {"gpu_max_hz", 1800e6}}));
  ASSERT_TRUE(lease->apply({{"mem_hz", 5001e6}, {"gpu_max_hz", 900e6}}));
  for (const auto& restored : lease->restore()) EXPECT_TRUE(restored.status) << restored.status.error().text();
  EXPECT_EQ(lock(), "unlocked");
  EXPECT_EQ(content(*machine->files, kStubA + "/memory_clock_mhz"), "7001");
}

TEST_F(NvmlClocks, WhatTheOwnerSaysWasLockedIsGivenBackLocked) {
  find({.library = kNvmlStub, .found_graphics_lock = "1000 1395"});
  EXPECT_EQ(*graphics->read(), Value(1395e6));
  const auto lease = *Lease::take(*host, {memory, graphics}, {.record_path = record});
  ASSERT_TRUE(lease->apply({{"mem_hz", 7001e6}, {"gpu_max_hz", 600e6}}));
  EXPECT_EQ(content(*machine->files, kStubA + "/graphics_clock_mhz"), "600");
  for (const auto& restored : lease->restore()) EXPECT_TRUE(restored.status) << restored.status.error().text();
  EXPECT_EQ(lock(), "1000 1395");
  EXPECT_EQ(content(*machine->files, kStubA + "/graphics_clock_mhz"), "1395");
}

TEST_F(NvmlClocks, ALockOffTheTableCanBePutBackButNotBeInvented) {
  find({.library = kNvmlStub, .found_graphics_lock = "1000 1400"});
  EXPECT_EQ(graphics->write(1400e6).error().code, Errc::kOutOfRange);
  EXPECT_EQ(*graphics->read(), Value(1400e6));
  ASSERT_TRUE(graphics->write(600e6));
  EXPECT_EQ(*graphics->write(1400e6), Value(1400e6));
  EXPECT_EQ(lock(), "1000 1400") << "as it was, not from the lowest clock";
}

TEST_F(NvmlClocks, AKilledRunIsRestoredByAnotherProcess) {
  const std::string state = (scratch.path() / "gpus").string();
  knobs.clear();
  machine.reset();
  StubWords shared("load,persistence", state);
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // should the test die first
    find({.library = kNvmlStub});
    const auto lease = *Lease::take(*host, {memory, graphics}, {.record_path = record});
    const bool applied = lease->apply({{"mem_hz", 5001e6}, {"gpu_max_hz", 600e6}}).has_value();
    (void)!::write(pipe_ends[1], applied ? "1" : "0", 1);
    for (;;) ::pause();
  }
  char applied = '?';
  ASSERT_EQ(::read(pipe_ends[0], &applied, 1), 1);
  EXPECT_EQ(applied, '1');
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);

  find({.library = kNvmlStub});
  EXPECT_EQ(content(*machine->files, kStubA + "/graphics_clock_mhz"), "600") << "the lock outlived its owner";
  const std::vector<Knob*> all{memory, graphics};
  const auto report = recover(*host, all, record);
  ASSERT_TRUE(report) << report.error().text();
  ASSERT_EQ(report->knobs.size(), 2u);
  for (const auto& restored : report->knobs) {
    EXPECT_TRUE(restored.status) << restored.status.error().text();
    EXPECT_TRUE(restored.written);
  }
  EXPECT_GT(*read_integer(*machine->files, kStubA + "/graphics_clock_mhz"), 600);
  EXPECT_EQ(content(*machine->files, kStubA + "/memory_clock_mhz"), "7001");
}

TEST_F(NvmlClocks, ARecordMayNotNameAnythingElseByThisPath) {
  for (const char* path : {"/nvml/../etc/passwd", "/nvmlx/y"}) {
    std::ofstream(record) << R"({"schema":1,"boot_id":"boot-1","pid":1,"pid_start":1,"started":0,"knobs":[{"name":"gpu_max_hz","found":1,)"
                          << R"("asked":1,"nodes":[{"path":")" << path << R"(","text":"x"}]}]})";
    const auto report = recover(*host, {}, record);
    ASSERT_FALSE(report) << path;
    EXPECT_EQ(report.error().code, Errc::kCorrupt);
  }
}

TEST(NvmlClocksAbsence, SaysWhy) {
  const auto why = [](StubMachine& machine, const char* knob = "gpu_max_hz") {
    const auto found = discover(machine);
    for (const auto& absence : found.absent) {
      if (absence.name == knob) return absence.why;
    }
    return Error{Errc::kIo, "not absent", {}};
  };
  {
    StubMachine none({.library = "libpolythrottle-no-such-library.so.1"});
    EXPECT_EQ(why(none).code, Errc::kNotFound);
  }
  {
    const StubWords words("nvmlInit_v2=9");
    StubMachine unloaded;
    EXPECT_THAT(why(unloaded).what, HasSubstr("driver is not loaded"));
  }
  {
    const StubWords words("gpus=0");
    StubMachine empty;
    EXPECT_EQ(why(empty).code, Errc::kNotFound);
  }
  {
    StubMachine user({.library = kNvmlStub}, false);
    EXPECT_EQ(why(user).code, Errc::kPermission);
    EXPECT_THAT(why(user).hint, HasSubstr("root"));
  }
  {
    StubMachine old({.library = kNvmlStubOld});
    EXPECT_EQ(why(old).code, Errc::kUnsupported);
  }
  {
    const StubWords words("architecture=4");
    StubMachine pascal;
    EXPECT_THAT(why(pascal).what, HasSubstr("pascal"));
  }
  {
    const StubWords words("architecture=6");
    StubMachine turing;
    const auto found = discover(turing);
    EXPECT_EQ(found.knobs.size(), 1u);
    EXPECT_EQ(found.knobs.front()->group(), nullptr) << "it stands alone";
    EXPECT_THAT(why(turing, "mem_hz").what, HasSubstr("Ampere"));
  }
  {
    const StubWords words("nvmlDeviceGetSupportedMemoryClocks=3");
    StubMachine orin;
    EXPECT_EQ(why(orin).code, Errc::kUnsupported);
  }
  {
    StubMachine other({.library = kNvmlStub, .gpu = "1"});
    EXPECT_THAT(why(other, "mem_hz").what, HasSubstr("2619"));
  }
}

TEST(NvmlClocksAbsence, AJetsonsGpuIsLeftToItsOwnDriver) {
  StubMachine jetson;
  jetson.base.nodes["/proc/device-tree/compatible"] = std::string("nvidia,p3737\0nvidia,tegra234\0", 29);
  const auto found = discover(jetson);
  EXPECT_TRUE(found.knobs.empty());
  EXPECT_TRUE(found.absent.empty());
}

}  // namespace
}  // namespace polythrottle
