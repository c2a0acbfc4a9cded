// The program on NVIDIA GPUs, which a stand-in for the driver's library answers for (tests/nvml_stub). Some hold the machine's lease.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "e2e/program.h"
#include "host/nvml_stub.h"
#include "knob/lease.h"

namespace polythrottle::e2e {
namespace {

using testing::HasSubstr;
using testing::Not;

/// The program finds this library in place of the driver's.
class Nvml : public testing::Test {
 protected:
  explicit Nvml(const char* age = "present") {
    const std::string folder = std::string(POLYTHROTTLE_BINARY_DIR) + "/nvml_stub/" + age;
    setenv("LD_LIBRARY_PATH", folder.c_str(), 1);
  }
  ~Nvml() override { unsetenv("LD_LIBRARY_PATH"); }

  /// The stub's GPUs, as another process sees and sets them.
  std::unique_ptr<Files> gpus() { return nvml_files(*disk_, {.library = kNvmlStub}); }

  const std::string state_ = scratch("gpus");
  StubWords words_{"persistence,load", state_};
  const std::unique_ptr<Files> disk_ = real_files();
};

/// One line of complaint.
void expect_complaint(const Ran& ran, int exit_code, const std::string& part) {
  EXPECT_EQ(ran.exit_code, exit_code) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr(part));
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
}

TEST_F(Nvml, ProbeReadsAndWritesNothing) {
  ASSERT_TRUE(gpus()->write(kStubA + "/locked_graphics_clocks", "210 900"));
  ASSERT_TRUE(gpus()->write(kStubA + "/power_limit_mw", "123000"));
  const std::string before = read(state_);
  ASSERT_FALSE(before.empty());
  const auto ran = run({"probe"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(read(state_), before);
  EXPECT_THAT(ran.out, HasSubstr("Stub GPU A"));
  EXPECT_THAT(ran.out, HasSubstr("gpu_max_hz  107 levels: 210MHz to 1800MHz, now 1800MHz")) << "no driver tells the lock";
  EXPECT_THAT(ran.out, HasSubstr("clock limit that somebody set")) << "but there is a sign of it";
  EXPECT_THAT(ran.out, HasSubstr("levels: 100 to 160, now 123"));
  EXPECT_THAT(run({"probe", "--gpu", "1"}).out, HasSubstr("345MHz to 1980MHz"));
  EXPECT_THAT(run({"probe", "--found-gpu-lock", "210,900"}).out, HasSubstr("now 900MHz"));
  EXPECT_EQ(read(state_), before);
}

TEST_F(Nvml, ProbeSaysWhatIsMissing) {
  for (const auto& [words, reason] :
       {std::pair{"nvmlInit_v2=9", "gpu_max_hz  absent (not_found): nvmlInit_v2: the NVIDIA driver is not loaded"},
        {"nvmlInit_v2=18", "an update of the driver is half done: reboot"},
        {"nvmlInit_v2=4", "gpu_max_hz  absent (permission)"},
        {"lost=0", "the GPU is lost"},
        {"gpus=0", "the driver has none"},
        {"fixed", "its maker allows 160 W only"}}) {
    words_.say(words);
    const auto ran = run({"probe"});
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr(reason)) << words;
  }
}

TEST_F(Nvml, WordsThatNameNoGpuAreAMistakeOfUse) {
  expect_complaint(run({"probe", "--gpu", "7"}), 2, "--gpu 7: no such GPU; there are 0 (GPU-0aaaaaaa-");
  expect_complaint(run({"tune", "--gpu", "GPU-x", "--device", "cpu", "--model", "m.onnx", "--slo", "1.2x"}), 2, "--gpu GPU-x: no such GPU");
  for (const char* lock : {"a", "900,210", "1,2,3", "0", "210,900MHz", "-5"}) {
    expect_complaint(run({"probe", std::string("--found-gpu-lock=") + lock}), 2, "write MIN,MAX in MHz");
  }
  expect_complaint(run({"probe", "--found-mem-lock=x"}), 2, "--found-mem-lock x: write MIN,MAX in MHz");
  const std::string fixture = POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/x86-nvidia-2gpu";
  expect_complaint(run({"--sysroot", fixture, "probe", "--found-gpu-lock", "1"}), 2, "a recorded machine says itself");
  expect_complaint(run({"--sysroot", fixture, "probe", "--gpu", "2"}), 2, "--gpu 2: no such GPU");
  words_.say("nvmlInit_v2=9");
  expect_complaint(run({"probe", "--gpu", "0"}), 1, "the NVIDIA driver is not loaded");
}

TEST_F(Nvml, ARecordedMachineNeverReachesTheDriver) {
  const auto ran = run({"--sysroot", POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/x86-intel_pstate-rapl", "probe"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, Not(HasSubstr("Stub GPU")));
  EXPECT_FALSE(std::filesystem::exists(state_)) << "the library was not even initialised";
}

TEST_F(Nvml, RestorePutsBackWhatAKilledRunLeft) {
  if (::geteuid() != 0) GTEST_SKIP() << "the lease of root, where the driver takes settings from root only";
  ASSERT_TRUE(gpus()->write(kStubA + "/power_limit_mw", "123000"));
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // should the test die first
    const auto files = gpus();
    const auto clock = real_clock();
    Host host{*files, *clock};
    std::vector<std::unique_ptr<Knob>> knobs;
    for (const auto* driver : knob_drivers()) {
      if (!driver->name.starts_with("nvml_")) continue;
      auto found = driver->discover(host);
      std::move(found.knobs.begin(), found.knobs.end(), std::back_inserter(knobs));
    }
    std::vector<Knob*> all;
    for (const auto& knob : knobs) all.push_back(knob.get());
    const auto lease = Lease::take(host, all, {.record_path = default_record_path()});
    const bool applied = lease && (*lease)->apply({{"mem_hz", 5001e6}, {"gpu_max_hz", 600e6}, {"power_limit_watts", 100.0}}).has_value();
    (void)!::write(ends[1], applied ? "1" : "0", 1);
    for (;;) ::pause();
  }
  char applied = '?';
  ASSERT_EQ(::read(ends[0], &applied, 1), 1);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ends[0]);
  ::close(ends[1]);
  ASSERT_EQ(applied, '1') << "is another run holding the machine?";
  EXPECT_EQ(*read_integer(*gpus(), kStubA + "/graphics_clock_mhz"), 600);
  EXPECT_EQ(*read_integer(*gpus(), kStubA + "/power_limit_mw"), 100'000);

  const auto ran = run({"restore"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("power_limit_watts"));
  EXPECT_THAT(ran.out, HasSubstr("gpu_max_hz"));
  EXPECT_EQ(*read_integer(*gpus(), kStubA + "/power_limit_mw"), 123'000) << "what was found, not the default";
  EXPECT_GT(*read_integer(*gpus(), kStubA + "/graphics_clock_mhz"), 600);
  EXPECT_EQ(*read_integer(*gpus(), kStubA + "/memory_clock_mhz"), 7001);
  EXPECT_THAT(run({"restore"}).out, HasSubstr("Nothing to restore"));
}

TEST_F(Nvml, ATunedGpuIsGivenBackAsFound) {
  const std::string model = POLYTHROTTLE_BINARY_DIR "/tests/models/mlp.onnx";
  if (run({"probe"}).out.find("onnx  ONNX Runtime") == std::string::npos) {
    GTEST_SKIP() << "ONNX Runtime is not installed here: scripts/fetch-onnxruntime";
  }
  if (!std::filesystem::exists(model)) GTEST_SKIP() << "protoc or onnx.proto is not installed: no test models";
  if (::geteuid() != 0) GTEST_SKIP() << "the driver takes settings from root only";
  ASSERT_TRUE(gpus()->write(kStubA + "/power_limit_mw", "123000"));
  ASSERT_TRUE(gpus()->write(kStubA + "/locked_graphics_clocks", "210 900"));
  const std::string before = read(state_);
  const std::vector<std::string> words = briefly({"tune",
                                                  "--device",
                                                  "cpu",
                                                  "--model",
                                                  model,
                                                  "--slo",
                                                  "mean=200ms",
                                                  "--window",
                                                  "0.05",
                                                  "--window-limit",
                                                  "2",
                                                  "--knob",
                                                  "cpu_quota_ratio=off",
                                                  "--knob",
                                                  "batch=1",
                                                  "--knob",
                                                  "threads=1",
                                                  "--knob",
                                                  "instances=1",
                                                  "--budget",
                                                  "4",
                                                  "--confirm",
                                                  "0"});
  auto named = words;
  for (const char* more :
       {"--knob", "power_limit_watts=100,160", "--knob", "gpu_max_hz=210000000,1800000000", "--found-gpu-lock", "210,900"}) {
    named.emplace_back(more);
  }
  const auto ran = run(named);
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("power_limit_watts"));
  EXPECT_EQ(read(state_), before) << "limit and lock are those found";

  // The study knows which GPU it was on, and goes on there.
  const std::string study = scratch("gpu.sqlite");
  auto second = words;
  for (const char* more : {"--knob", "power_limit_watts=200,700", "--gpu", "1", "--study"}) second.emplace_back(more);
  second.push_back(study);
  EXPECT_THAT(run(second).out, HasSubstr("GPU 1 (Stub GPU H)"));
  const auto resumed = run({"tune", "--resume", "--study", study});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("GPU 1 (Stub GPU H)"));
  EXPECT_EQ(read(state_), before);

  // Unless they are asked for by name, a GPU's clocks are not moved for a network on the CPU.
  const auto plain = run(words);
  EXPECT_EQ(plain.exit_code, 0) << plain.err;
  EXPECT_THAT(plain.out, Not(HasSubstr("gpu_max_hz")));
  EXPECT_EQ(read(state_), before);
}

class NvmlOldDriver : public Nvml {
 protected:
  NvmlOldDriver() : Nvml("old") {}
};

TEST_F(NvmlOldDriver, ProbeOffersWhatItHas) {
  const auto ran = run({"probe"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("power_limit_watts  16 levels"));
  EXPECT_THAT(ran.out, HasSubstr("this NVIDIA driver has no nvmlDeviceSetGpuLockedClocks"));
}

}  // namespace
}  // namespace polythrottle::e2e
