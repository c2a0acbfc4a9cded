#include "host/nvml_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "host/nvml_gpu.h"
#include "host/nvml_stub.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string content(const Files& files, const std::string& path) {
  const auto text = read_trimmed(files, path);
  return text ? *text : text.error().text();
}

TEST(NvmlFiles, EveryGpuIsAFolderOfNodesThatAnswer) {
  const StubWords words("load");
  StubMachine machine;
  const Files& files = *machine.files;
  EXPECT_THAT(*files.list("/nvml"), ElementsAre(kStubA.substr(6), kStubH.substr(6)));
  EXPECT_EQ(content(files, kStubA + "/name"), "Stub GPU A");
  EXPECT_EQ(content(files, kStubA + "/index"), "0");
  EXPECT_EQ(content(files, kStubH + "/index"), "1");
  EXPECT_EQ(content(files, kStubH + "/uuid"), kStubH.substr(6));
  EXPECT_EQ(content(files, kStubA + "/pci_bus_id"), "00000000:01:00.0");
  EXPECT_EQ(content(files, kStubA + "/driver"), "0.0-stub");
  EXPECT_EQ(content(files, kStubA + "/architecture"), "ampere");
  EXPECT_EQ(content(files, kStubH + "/architecture"), "hopper");
  EXPECT_EQ(content(files, kStubA + "/supported_memory_clocks"), "7001 5001 405");
  EXPECT_EQ(content(files, kStubA + "/supported_graphics_clocks/405"), "420 405 390 375 360 345 330 315 300 285 270 255 240 225 210");
  EXPECT_THAT(*files.list(kStubA + "/supported_graphics_clocks"), ElementsAre("405", "5001", "7001"));
  EXPECT_EQ(content(files, kStubA + "/power_limit_mw"), "140000");
  EXPECT_EQ(content(files, kStubA + "/power_limit_min_mw"), "100000");
  EXPECT_EQ(content(files, kStubA + "/power_limit_max_mw"), "160000");
  EXPECT_EQ(content(files, kStubA + "/power_limit_default_mw"), "140000");
  EXPECT_EQ(content(files, kStubA + "/power_limit_enforced_mw"), "140000");
  EXPECT_EQ(content(files, kStubA + "/memory_clock_mhz"), "7001");
  EXPECT_EQ(content(files, kStubA + "/persistence_mode"), "0");
  EXPECT_EQ(content(files, kStubH + "/mig_mode"), "0");
  EXPECT_EQ(content(files, kStubA + "/utilization_percent"), "100");
  EXPECT_EQ(content(files, kStubA + "/memory_utilization_percent"), "50");
  EXPECT_EQ(content(files, kStubA + "/temperature_celsius"), "43");
  EXPECT_EQ(content(files, kStubA + "/clocks_event_reasons"), "0x0000000000000004") << "140 W hold back the clock";
  const auto names = files.list(kStubH);
  ASSERT_TRUE(names);
  for (const auto& name : *names) {
    if (name != "supported_graphics_clocks") {
      EXPECT_TRUE(files.read(kStubH + "/" + name)) << content(files, kStubH + "/" + name);
    }
  }
  EXPECT_EQ(files.read(kStubA + "/mig_mode").error().code, Errc::kUnsupported);
}

TEST(NvmlFiles, LocksAndLimitsMoveTheClocks) {
  const StubWords words("load");
  StubMachine machine;
  Files& files = *machine.files;
  EXPECT_EQ(content(files, kStubA + "/locked_graphics_clocks"), "unknown");
  ASSERT_TRUE(files.write(kStubA + "/locked_graphics_clocks", "210 900\n"));
  EXPECT_EQ(content(files, kStubA + "/locked_graphics_clocks"), "210 900");
  EXPECT_EQ(content(files, kStubA + "/graphics_clock_mhz"), "900");
  EXPECT_EQ(content(files, kStubA + "/sm_clock_mhz"), "900");
  EXPECT_EQ(content(files, kStubA + "/clocks_event_reasons"), "0x0000000000000002");
  ASSERT_TRUE(files.write(kStubA + "/locked_memory_clocks", "405 5001"));
  EXPECT_EQ(content(files, kStubA + "/memory_clock_mhz"), "5001");
  ASSERT_TRUE(files.write(kStubA + "/locked_memory_clocks", "405 405"));
  EXPECT_EQ(content(files, kStubA + "/graphics_clock_mhz"), "420") << "low memory clocks allow low graphics clocks only";
  ASSERT_TRUE(files.write(kStubA + "/locked_memory_clocks", "unlocked"));
  ASSERT_TRUE(files.write(kStubA + "/locked_graphics_clocks", "unlocked"));
  EXPECT_EQ(content(files, kStubA + "/locked_graphics_clocks"), "unlocked");
  const auto before = *read_integer(files, kStubA + "/graphics_clock_mhz");
  ASSERT_TRUE(files.write(kStubA + "/power_limit_mw", "100000"));
  EXPECT_EQ(content(files, kStubA + "/power_limit_mw"), "100000");
  EXPECT_LT(*read_integer(files, kStubA + "/graphics_clock_mhz"), before);
  EXPECT_EQ(content(files, kStubH + "/locked_graphics_clocks"), "unknown") << "each GPU has its own";
}

TEST(NvmlFiles, WhatIsNoLockAndNoLimitIsRefusedBeforeTheDriverSeesIt) {
  StubMachine machine;
  Files& files = *machine.files;
  for (const char* text : {"", "900", "900 210", "x y", "210 900 1", "-1 5", "210  900", "Unlocked"}) {
    const auto written = files.write(kStubA + "/locked_graphics_clocks", text);
    ASSERT_FALSE(written) << text;
    EXPECT_EQ(written.error().code, Errc::kInvalid) << text;
  }
  EXPECT_EQ(content(files, kStubA + "/locked_graphics_clocks"), "unknown");
  for (const char* text : {"", "1e5", "-1", "100000 W", "99999999999999"}) {
    EXPECT_EQ(files.write(kStubA + "/power_limit_mw", text).error().code, Errc::kInvalid) << text;
  }
  const auto beyond = files.write(kStubA + "/power_limit_mw", "99999");
  EXPECT_EQ(beyond.error().code, Errc::kInvalid) << "the driver itself says so";
  EXPECT_THAT(beyond.error().what, HasSubstr("NVML error 2"));
  EXPECT_EQ(content(files, kStubA + "/power_limit_mw"), "140000");
}

TEST(NvmlFiles, ALockThatTheDriverRefusesIsNotRemembered) {
  StubWords words("");
  StubMachine machine;
  ASSERT_TRUE(machine.files->write(kStubA + "/locked_graphics_clocks", "210 900"));
  words.say("nvmlDeviceSetGpuLockedClocks=4");
  EXPECT_EQ(machine.files->write(kStubA + "/locked_graphics_clocks", "210 600").error().code, Errc::kPermission);
  EXPECT_EQ(content(*machine.files, kStubA + "/locked_graphics_clocks"), "210 900");
}

TEST(NvmlFiles, WhatTheOwnerSaysWasLockedIsReadUntilItIsWritten) {
  StubMachine machine({.library = kNvmlStub, .found_graphics_lock = "1000 1410", .found_memory_lock = "405 5001"});
  EXPECT_EQ(content(*machine.files, kStubA + "/locked_graphics_clocks"), "1000 1410");
  EXPECT_EQ(content(*machine.files, kStubA + "/locked_memory_clocks"), "405 5001");
  ASSERT_TRUE(machine.files->write(kStubA + "/locked_graphics_clocks", "unlocked"));
  EXPECT_EQ(content(*machine.files, kStubA + "/locked_graphics_clocks"), "unlocked");
}

TEST(NvmlFiles, ChoosesByIndexOrUuidAndStillReachesTheOthersByPath) {
  for (const std::string& gpu : {std::string("1"), kStubH.substr(6)}) {
    StubMachine machine({.library = kNvmlStub, .gpu = gpu});
    EXPECT_THAT(*machine.files->list("/nvml"), ElementsAre(kStubH.substr(6)));
    EXPECT_EQ(chosen_gpu(*machine.files)->folder, kStubH);
    EXPECT_EQ(content(*machine.files, kStubA + "/name"), "Stub GPU A") << "a record may name it";
  }
  for (const char* gpu : {"2", "GPU-0aaaaaaa", "-1", "x"}) {
    StubMachine machine({.library = kNvmlStub, .gpu = gpu});
    const auto none = machine.files->list("/nvml");
    ASSERT_FALSE(none) << gpu;
    EXPECT_EQ(none.error().code, Errc::kInvalid);
    EXPECT_THAT(none.error().text(), HasSubstr("0 (" + kStubA.substr(6) + "), 1 (" + kStubH.substr(6) + ")"));
  }
  StubMachine machine;
  EXPECT_EQ(chosen_gpu(*machine.files)->text(), "GPU 0 (Stub GPU A)");
  EXPECT_EQ(chosen_gpu(*machine.files)->listed, 2);
}

TEST(NvmlFiles, AGpuThatIsLostHidesNeitherItselfNorTheOthers) {
  const StubWords words("lost=0");
  StubMachine machine;
  EXPECT_THAT(*machine.files->list("/nvml"), ElementsAre(kStubH.substr(6), "index-0"));
  EXPECT_EQ(content(*machine.files, "/nvml/index-0/index"), "0");
  EXPECT_THAT(content(*machine.files, "/nvml/index-0/name"), HasSubstr("lost"));
  EXPECT_FALSE(machine.files->write("/nvml/index-0/power_limit_mw", "100000"));
  EXPECT_EQ(content(*machine.files, kStubH + "/name"), "Stub GPU H");
  const auto chosen = chosen_gpu(*machine.files);
  ASSERT_FALSE(chosen) << "not silently the other one";
  EXPECT_EQ(chosen.error().code, Errc::kIo);
  EXPECT_THAT(chosen.error().hint, HasSubstr("--gpu"));
}

TEST(NvmlFiles, AGpuLostInMidRunIsAnErrorWithTheReason) {
  const StubWords words("lost=0@4");
  StubMachine machine;
  ASSERT_TRUE(machine.files->read(kStubA + "/power_limit_mw"));
  const auto lost = machine.files->read(kStubA + "/power_limit_mw");
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, Errc::kIo);
  EXPECT_THAT(lost.error().text(), HasSubstr("power_limit_mw"));
  EXPECT_THAT(lost.error().text(), HasSubstr("lost"));
}

TEST(NvmlFiles, SaysBeforehandWhatCannotBeWritten) {
  StubMachine root;
  EXPECT_TRUE(root.files->writable(kStubA + "/locked_graphics_clocks"));
  EXPECT_TRUE(root.files->writable(kStubA + "/power_limit_mw"));
  EXPECT_EQ(root.files->writable(kStubA + "/name").error().code, Errc::kPermission);
  EXPECT_EQ(root.files->write(kStubA + "/name", "x").error().code, Errc::kPermission);
  EXPECT_EQ(root.files->writable(kStubA + "/nothing").error().code, Errc::kNotFound);
  EXPECT_EQ(root.files->writable("/nvml/GPU-0/power_limit_mw").error().code, Errc::kNotFound);
  StubMachine user({.library = kNvmlStub}, false);
  const auto may = user.files->writable(kStubA + "/power_limit_mw");
  EXPECT_EQ(may.error().code, Errc::kPermission);
  EXPECT_THAT(may.error().hint, HasSubstr("root"));
  EXPECT_TRUE(user.files->read(kStubA + "/power_limit_mw"));
}

TEST(NvmlFiles, AnOldDriverAnswersWhatItHas) {
  const StubWords words("load");
  StubMachine machine({.library = kNvmlStubOld});
  EXPECT_EQ(content(*machine.files, kStubA + "/power_limit_mw"), "140000");
  EXPECT_EQ(content(*machine.files, kStubA + "/temperature_celsius"), "43") << "by the older function";
  EXPECT_EQ(content(*machine.files, kStubA + "/clocks_event_reasons"), "0x0000000000000004") << "by the older name";
  EXPECT_EQ(machine.files->read(kStubA + "/architecture").error().code, Errc::kUnsupported);
  const auto may = machine.files->writable(kStubA + "/locked_graphics_clocks");
  EXPECT_EQ(may.error().code, Errc::kUnsupported);
  EXPECT_THAT(may.error().what, HasSubstr("nvmlDeviceSetGpuLockedClocks"));
}

TEST(NvmlFiles, NodesAndGpusThatAreNotThereAreNotFound) {
  StubMachine machine;
  for (const std::string& path :
       {kStubA + "/nothing", kStubA + "/name/deeper", std::string("/nvml/GPU-0/name"), kStubA, kStubA + "/supported_graphics_clocks",
        kStubA + "/supported_graphics_clocks/x", kStubA + "/supported_graphics_clocks/1", std::string("/nvml")}) {
    const auto read = machine.files->read(path);
    ASSERT_FALSE(read) << path;
    EXPECT_EQ(read.error().code, Errc::kNotFound) << path << ": " << read.error().text();
  }
  EXPECT_FALSE(machine.files->make_folder("/nvml/GPU-1"));
  EXPECT_FALSE(machine.files->remove_folder(kStubA));
  EXPECT_FALSE(machine.files->list(kStubA + "/name"));
}

TEST(NvmlFiles, EverythingElseIsTheMachines) {
  StubMachine machine;
  machine.base.nodes["/sys/x"] = "1\n";
  machine.base.nodes["/nvmlx/y"] = "2\n";
  EXPECT_EQ(content(*machine.files, "/sys/x"), "1");
  EXPECT_EQ(content(*machine.files, "/nvmlx/y"), "2");
  ASSERT_TRUE(machine.files->write("/sys/x", "3"));
  EXPECT_EQ(machine.base.nodes["/sys/x"], "3\n");
  EXPECT_TRUE(machine.files->make_folder("/sys/fs/cgroup/a"));
  EXPECT_TRUE(machine.files->remove_folder("/sys/fs/cgroup/a"));
  EXPECT_TRUE(machine.files->writable("/sys/x"));
}

TEST(NvmlFiles, ARecordedMachineKeepsItsOwn) {
  StubMachine machine;
  machine.base.nodes["/nvml/GPU-r/index"] = "0\n";
  machine.base.nodes["/nvml/GPU-r/name"] = "recorded\n";
  EXPECT_THAT(*machine.files->list("/nvml"), ElementsAre("GPU-r"));
  EXPECT_EQ(content(*machine.files, "/nvml/GPU-r/name"), "recorded");
  EXPECT_FALSE(machine.files->read(kStubA + "/name"));

  FakeFiles empty;
  const auto never = nvml_files(empty, {.load = false, .library = kNvmlStub});
  EXPECT_EQ(never->list("/nvml").error().code, Errc::kNotFound);
}

TEST(NvmlFiles, WithoutPersistenceLocksEndWithTheLastProcess) {
  const ScratchFolder scratch;
  StubWords words("load", (scratch.path() / "gpus").string());
  {
    StubMachine machine;
    ASSERT_TRUE(machine.files->write(kStubA + "/locked_graphics_clocks", "210 900"));
    ASSERT_TRUE(machine.files->write(kStubA + "/power_limit_mw", "120000"));
  }
  {
    StubMachine machine;
    EXPECT_EQ(content(*machine.files, kStubA + "/power_limit_mw"), "140000");
    words.say("load,persistence");
    ASSERT_TRUE(machine.files->write(kStubA + "/power_limit_mw", "120000"));
  }
  StubMachine machine;
  EXPECT_EQ(content(*machine.files, kStubA + "/power_limit_mw"), "120000");
}

TEST(NvmlFiles, SeveralThreadsMayLookAtOnce) {
  StubMachine machine;
  std::atomic<int> failures = 0;
  const auto work = [&] {
    for (int i = 0; i < 200; ++i) {
      failures += machine.files->read(kStubA + "/graphics_clock_mhz").has_value() ? 0 : 1;
      failures += machine.files->write(kStubA + "/locked_graphics_clocks", "210 900").has_value() ? 0 : 1;
      failures += content(*machine.files, kStubA + "/locked_graphics_clocks") == "210 900" ? 0 : 1;
    }
  };
  {
    const std::jthread one(work);
    const std::jthread other(work);
  }
  EXPECT_EQ(failures, 0);
}

TEST(NvmlArchitecture, AreOrdered) {
  EXPECT_TRUE(architecture_from("ampere", "ampere"));
  EXPECT_TRUE(architecture_from("rubin", "volta"));
  EXPECT_FALSE(architecture_from("turing", "ampere"));
  EXPECT_TRUE(architecture_from("unknown (14)", "ampere")) << "what came later can do no less";
}

}  // namespace
}  // namespace polythrottle
