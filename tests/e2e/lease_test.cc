// The machine is given back whatever ends its owner: the real program as the watchdog, a recorded machine to borrow.
#include "knob/lease.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "e2e/process.h"
#include "e2e/program.h"
#include "host/fake.h"

namespace polythrottle::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kMoved = "apply cpu_hz=345600000,mem_hz=408000000,gpu_max_hz=318750000";

class LeaseE2e : public testing::Test {
 protected:
  LeaseE2e() {
    // Whoever asks on this machine how it was called.
    fs::create_directories(root_ / "proc/self");
    write((root_ / "proc/self/cmdline").string(), std::string("/usr/bin/lease_holder\0--now\0", 28));
    before_ = settings();
  }
  /// Every node that a knob of this machine writes, without the white space at its end.
  std::map<std::string, std::string> settings() const {
    std::map<std::string, std::string> out;
    const std::string gpu = "sys/class/devfreq/17000000.gp10b/", memory = "sys/kernel/debug/bpmp/debug/clk/emc/";
    const std::string cpu = "sys/devices/system/cpu/cpufreq/policy";
    for (const auto& path : {gpu + "min_freq", gpu + "max_freq", memory + "rate", memory + "state", memory + "mrq_rate_locked",
                             cpu + "0/scaling_max_freq", cpu + "1/scaling_max_freq"}) {
      std::string text = read((root_ / path).string());
      text.erase(text.find_last_not_of(" \n") + 1);
      out[path] = text;
    }
    return out;
  }
  Process hold() const { return Process({POLYTHROTTLE_LEASE_HOLDER, POLYTHROTTLE_PROGRAM, root_.string()}); }
  /// A holder that has moved three knobs.
  Process hold_and_move() const {
    Process holder = hold();
    EXPECT_EQ(holder.line(), "held") << holder.errors();
    EXPECT_EQ(holder.ask(kMoved), "ok");
    EXPECT_NE(settings(), before_);
    return holder;
  }
  Ran program(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--sysroot", root_.string()});
    return run(arguments);
  }
  bool has_record() const { return fs::exists(record_); }

  ScratchFolder copy_{POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/jetson-tx2-jp46"};
  const fs::path root_ = copy_.path();
  const std::string record_ = default_record_path(root_.string());
  std::map<std::string, std::string> before_;
};

TEST_F(LeaseE2e, TheRecordOfARecordedMachineLiesBelowItsRoot) {
  Process holder = hold_and_move();
  EXPECT_EQ(record_, root_.string() + "/var/lib/polythrottle/lease.json");
  EXPECT_TRUE(has_record());
  EXPECT_EQ(holder.end(), 0);
  EXPECT_EQ(settings(), before_);
  EXPECT_FALSE(has_record());
  EXPECT_EQ(holder.errors(), "");  // also the watchdog had nothing to say
}

TEST_F(LeaseE2e, TheWatchdogRestoresAfterKillNine) {
  double worst = 0.0;
  constexpr int kTimes = 5;
  for (int i = 0; i < kTimes; ++i) {
    Process holder = hold_and_move();
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(holder.kill(SIGKILL), 128 + SIGKILL);
    const std::string said = holder.errors();  // until the watchdog, too, has closed its end
    worst = std::max(worst, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    EXPECT_EQ(settings(), before_);
    EXPECT_FALSE(has_record());
    EXPECT_THAT(said, HasSubstr("process " + std::to_string(holder.pid()) + " died; the watchdog restored"));
    EXPECT_THAT(said, HasSubstr("gpu_max_hz=1300MHz mem_hz=1866MHz cpu_hz=2035MHz"));
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  }
  std::printf("%d owners killed; from the kill to the watchdog's end at most %.0f ms\n", kTimes, 1e3 * worst);
  EXPECT_LT(worst, 10.0);
}

TEST_F(LeaseE2e, ASignalThatAsksRestoresInTheOwnerItself) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    Process holder = hold_and_move();
    EXPECT_EQ(holder.kill(number), 130) << number;
    EXPECT_EQ(settings(), before_);
    EXPECT_FALSE(has_record());
    EXPECT_EQ(holder.errors(), "");
  }
}

TEST_F(LeaseE2e, ASecondSignalLeavesItToTheWatchdogAndSaysSo) {
  Process holder = hold_and_move();
  EXPECT_EQ(holder.ask("busy"), "ok");
  holder.send(SIGINT);
  // One that is pending already would be merged with the next: the holder answers when it has been heard.
  EXPECT_EQ(holder.ask("stopped"), "ok");
  EXPECT_EQ(holder.kill(SIGINT), 130);
  const std::string said = holder.errors();
  EXPECT_THAT(said, HasSubstr("ended at once; the watchdog puts back what was changed\n"));
  EXPECT_THAT(said, HasSubstr("the watchdog restored"));
  EXPECT_EQ(settings(), before_);
  EXPECT_FALSE(has_record());
}

TEST_F(LeaseE2e, ACrashOfTheOwnerIsLeftToTheWatchdog) {
  for (const auto& [how, number] : {std::pair("segv", SIGSEGV), {"abort", SIGABRT}, {"terminate", SIGABRT}}) {
    Process holder = hold_and_move();
    holder.say(how);
    EXPECT_EQ(holder.wait(), 128 + number) << how;
    EXPECT_THAT(holder.errors(), HasSubstr("the watchdog restored"));
    EXPECT_EQ(settings(), before_);
  }
}

TEST_F(LeaseE2e, TheWatchdogOutlivesTheGroupOfItsOwnerAndWhatAsksItToEnd) {
  Process holder = hold_and_move();
  const auto watchdogs = holder.children();
  ASSERT_EQ(watchdogs.size(), 1u);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTERM, SIGINT}) ::kill(watchdogs[0], number);
  ::kill(-holder.pid(), SIGKILL);  // the whole process group, as a terminal or a shell would
  EXPECT_EQ(holder.wait(), 128 + SIGKILL);
  EXPECT_THAT(holder.errors(), HasSubstr("the watchdog restored"));
  EXPECT_EQ(settings(), before_);
}

TEST_F(LeaseE2e, AWatchdogThatDiedIsReplacedBeforeTheNextWrite) {
  Process holder = hold_and_move();
  const auto first = holder.children();
  ASSERT_EQ(first.size(), 1u);
  holder.kill_child(first[0]);
  EXPECT_EQ(holder.ask("apply cpu_hz=499200000"), "ok");
  const auto second = holder.children();
  ASSERT_EQ(second.size(), 1u);
  EXPECT_NE(second, first);
  EXPECT_EQ(holder.kill(SIGKILL), 128 + SIGKILL);
  EXPECT_THAT(holder.errors(), HasSubstr("the watchdog restored"));
  EXPECT_EQ(settings(), before_);
}

TEST_F(LeaseE2e, RestoreBringsBackWhatTheDeathOfBothLeft) {
  Process holder = hold_and_move();
  holder.kill_child(holder.children().at(0));
  EXPECT_EQ(holder.kill(SIGKILL), 128 + SIGKILL);
  EXPECT_TRUE(has_record());
  EXPECT_NE(settings(), before_);
  const Ran restored = program({"restore"});
  EXPECT_EQ(restored.exit_code, 0) << restored.err;
  EXPECT_EQ(settings(), before_);
  EXPECT_THAT(restored.out, HasSubstr("Left by process " + std::to_string(holder.pid()) + " (lease_holder --now)"));
  EXPECT_THAT(restored.out, HasSubstr("cpu_hz  found 2035MHz, now 2035MHz, restored\n"));
  EXPECT_THAT(restored.out, HasSubstr("gpu_min_hz  found 114.8MHz, now 114.8MHz, never moved\n"));
  EXPECT_FALSE(has_record());
  const Ran again = program({"restore"});
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_THAT(again.out, HasSubstr("Nothing to restore"));
}

TEST_F(LeaseE2e, TheNextRunBringsBackWhatTheDeathOfBothLeft) {
  Process first = hold_and_move();
  first.kill_child(first.children().at(0));
  EXPECT_EQ(first.kill(SIGKILL), 128 + SIGKILL);
  Process second = hold();
  EXPECT_EQ(second.line(), "held");
  EXPECT_EQ(settings(), before_);
  EXPECT_EQ(second.end(), 0);
}

TEST_F(LeaseE2e, WhoComesSecondIsToldWhoHoldsTheMachine) {
  Process holder = hold_and_move();
  const std::string who = "process " + std::to_string(holder.pid()) + " (lease_holder --now) holds it since ";
  Process second = hold();
  EXPECT_EQ(second.wait(), 1);
  const std::string said = second.errors();
  EXPECT_THAT(said, HasSubstr(who));
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  const Ran restored = program({"restore"});
  EXPECT_EQ(restored.exit_code, 1);
  EXPECT_THAT(restored.err, HasSubstr(who));
  EXPECT_EQ(holder.end(), 0);
  EXPECT_EQ(settings(), before_);
}

TEST_F(LeaseE2e, WhatIsKeptStaysUntilItIsUndone) {
  Process holder = hold_and_move();
  EXPECT_EQ(holder.ask("keep"), "ok");
  const auto kept = settings();
  EXPECT_EQ(holder.end(), 0);
  EXPECT_EQ(holder.errors(), "");
  EXPECT_EQ(settings(), kept);
  Process second = hold();
  EXPECT_EQ(second.wait(), 1);
  EXPECT_THAT(second.errors(), HasSubstr("what was applied of the holder, kept since "));
  const Ran restored = program({"restore"});
  EXPECT_EQ(restored.exit_code, 0) << restored.err;
  EXPECT_THAT(restored.out, HasSubstr("Undone: what was applied of the holder, kept since "));
  EXPECT_EQ(settings(), before_);
  EXPECT_FALSE(has_record());
}

TEST_F(LeaseE2e, ARecordOfAnotherBootIsComparedAndPutAway) {
  Process holder = hold_and_move();
  EXPECT_EQ(holder.ask("keep"), "ok");
  EXPECT_EQ(holder.end(), 0);
  write((root_ / "proc/sys/kernel/random/boot_id").string(), "00000000-1111-2222-3333-444444444444\n");
  for (const auto& [path, text] : before_) write((root_ / path).string(), text + "\n");
  write((root_ / "sys/class/devfreq/17000000.gp10b/max_freq").string(), "1122000000\n");
  write((root_ / "var/lib/nvpmodel/status").string(), "pmode:0001\n");
  const auto after_boot = settings();
  const Ran restored = program({"restore"});
  EXPECT_EQ(restored.exit_code, 0) << restored.err;
  EXPECT_THAT(restored.out, HasSubstr("The machine was rebooted: what was applied of the holder, kept on purpose, is no longer in force."));
  EXPECT_THAT(restored.out, HasSubstr("cpu_hz  found 2035MHz before the reboot, now 2035MHz: same\n"));
  EXPECT_THAT(restored.out, HasSubstr("gpu_max_hz  found 1300MHz before the reboot, now 1122MHz: differs\n"));
  EXPECT_THAT(restored.out, HasSubstr("power_mode  found 0 MAXN before the reboot, now 1"));
  EXPECT_EQ(settings(), after_boot);
  EXPECT_FALSE(has_record());
  EXPECT_TRUE(fs::exists(record_ + ".previous-boot"));
}

TEST_F(LeaseE2e, ANodeThatVanishedIsReportedAndTheRestIsRestored) {
  Process holder = hold_and_move();
  fs::remove(root_ / "sys/class/devfreq/17000000.gp10b/max_freq");
  // Its end: the floor and the ceiling of one clock are put back together, so that both are told.
  holder.kill_child(holder.children().at(0));
  EXPECT_EQ(holder.kill(SIGKILL), 128 + SIGKILL);
  const Ran restored = program({"restore"});
  EXPECT_EQ(restored.exit_code, 1);
  EXPECT_THAT(restored.err, HasSubstr("gpu_max_hz was not restored to 1300MHz: "));
  EXPECT_EQ(std::count(restored.err.begin(), restored.err.end(), '\n'), 1) << restored.err;
  EXPECT_THAT(restored.out, HasSubstr("cpu_hz  found 2035MHz, now 2035MHz, restored\n"));
  EXPECT_THAT(restored.out, HasSubstr("mem_hz  found 1866MHz, now 1866MHz, restored\n"));
  EXPECT_TRUE(has_record());
  write((root_ / "sys/class/devfreq/17000000.gp10b/max_freq").string(), "318750000\n");
  EXPECT_EQ(program({"restore"}).exit_code, 0);
  EXPECT_EQ(settings(), before_);
}

TEST_F(LeaseE2e, ANodeThatRefusesIsReportedAndTheRestIsRestored) {
  Process holder = hold_and_move();
  // The kernel takes no write here, not even from root.
  const fs::path node = root_ / "sys/devices/system/cpu/cpufreq/policy1/scaling_max_freq";
  fs::remove(node);
  fs::create_symlink("/proc/version", node);
  EXPECT_EQ(holder.ask("restore"), "error not all is back");
  EXPECT_EQ(holder.end(), 1);
  EXPECT_THAT(holder.errors(), HasSubstr("cpu_hz was not restored to 2035MHz: write "));
  EXPECT_TRUE(has_record());
  auto now = settings(), wanted = before_;
  now.erase("sys/devices/system/cpu/cpufreq/policy1/scaling_max_freq");
  wanted.erase("sys/devices/system/cpu/cpufreq/policy1/scaling_max_freq");
  EXPECT_EQ(now, wanted);
}

TEST_F(LeaseE2e, AForeignRecordIsKeptAsideAndSaidInOneLine) {
  fs::create_directories(fs::path(record_).parent_path());
  for (const auto& [text, about] : {std::pair("{\"schema\":", "it is not a record of this program"),
                                    {"{\"schema\":7}", "a newer version of this program (schema 7)"}}) {
    write(record_, text);
    const Ran restored = program({"restore"});
    EXPECT_EQ(restored.exit_code, 1);
    EXPECT_THAT(restored.err, HasSubstr(about));
    EXPECT_THAT(restored.err, HasSubstr("it was moved to " + record_ + ".aside-"));
    EXPECT_EQ(std::count(restored.err.begin(), restored.err.end(), '\n'), 1) << restored.err;
    EXPECT_FALSE(has_record());
  }
  EXPECT_EQ(read(record_ + ".aside-1"), "{\"schema\":");
  EXPECT_EQ(settings(), before_);
}

TEST_F(LeaseE2e, TheGuardRestoresWhatTheDeathOfBothLeft) {
  Process guard({POLYTHROTTLE_PROGRAM, "--sysroot", root_.string(), "watchdog", "--guard"});
  Process holder = hold_and_move();
  holder.kill_child(holder.children().at(0));
  EXPECT_EQ(holder.kill(SIGKILL), 128 + SIGKILL);
  EXPECT_THAT(guard.error_line(), HasSubstr("process " + std::to_string(holder.pid()) + " died; the watchdog restored"));
  EXPECT_EQ(settings(), before_);
  EXPECT_FALSE(has_record());
  Process keeper = hold_and_move();
  EXPECT_EQ(keeper.ask("keep"), "ok");
  const auto kept = settings();
  EXPECT_EQ(keeper.end(), 0);
  EXPECT_EQ(guard.kill(SIGTERM), 0);
  EXPECT_EQ(guard.errors(), "");
  EXPECT_EQ(settings(), kept);
}

TEST_F(LeaseE2e, NothingIsBorrowedWithoutAWatchdog) {
  Process holder({POLYTHROTTLE_LEASE_HOLDER, "/bin/false", root_.string()});
  EXPECT_EQ(holder.wait(), 1);
  EXPECT_THAT(holder.errors(), HasSubstr("start the watchdog /bin/false: it ended before it was ready"));
  Process absent({POLYTHROTTLE_LEASE_HOLDER, "/no/such/program", root_.string()});
  EXPECT_EQ(absent.wait(), 1);
  EXPECT_THAT(absent.errors(), HasSubstr("start the watchdog /no/such/program: No such file or directory"));
  EXPECT_FALSE(has_record());
  EXPECT_EQ(settings(), before_);
}

TEST_F(LeaseE2e, TheWatchdogIsNotForPeople) {
  EXPECT_EQ(run({"--help"}).out.find("watchdog"), std::string::npos);
  const Ran alone = program({"watchdog"});
  EXPECT_EQ(alone.exit_code, 2);
  EXPECT_THAT(alone.err, HasSubstr("watchdog needs --guard, or --fd from a lease"));
  EXPECT_EQ(program({"watchdog", "--fd", "1"}).exit_code, 2);
  EXPECT_EQ(program({"watchdog", "--fd", "3", "--guard"}).exit_code, 2);
  const Ran nobody = program({"watchdog", "--fd", "77"});
  EXPECT_EQ(nobody.exit_code, 1);
  EXPECT_EQ(std::count(nobody.err.begin(), nobody.err.end(), '\n'), 1) << nobody.err;
}

TEST(LeaseOfThisMachine, AWatchdogStartedInsideTheQuotaLeavesItAndRemovesIt) {
  if (run({"probe"}).out.find("cpu_quota_ratio  4 levels") == std::string::npos) GTEST_SKIP() << "no CPU quota can be set here";
  Process holder({POLYTHROTTLE_LEASE_HOLDER, POLYTHROTTLE_PROGRAM, ""});
  ASSERT_EQ(holder.line(), "held") << holder.errors();
  EXPECT_EQ(holder.ask("apply cpu_quota_ratio=0.75"), "ok");
  holder.kill_child(holder.children().at(0));
  EXPECT_EQ(holder.ask("apply cpu_quota_ratio=0.5"), "ok");
  const std::string group = "polythrottle-" + std::to_string(holder.pid());
  const auto in_group = [&](pid_t pid) { return read("/proc/" + std::to_string(pid) + "/cgroup").find(group) != std::string::npos; };
  EXPECT_TRUE(in_group(holder.pid()));
  EXPECT_FALSE(in_group(holder.children().at(0)));
  EXPECT_EQ(holder.kill(SIGKILL), 128 + SIGKILL);
  EXPECT_THAT(holder.errors(), HasSubstr("the watchdog restored cpu_quota_ratio=1\n"));
  EXPECT_FALSE(fs::exists("/sys/fs/cgroup/cpu/" + group) || fs::exists("/sys/fs/cgroup/" + group));
  EXPECT_FALSE(fs::exists(default_record_path()));
}

/// `tune` with a real model on the recorded machine's settings.
class TuneKeeps : public LeaseE2e {
 protected:
  void SetUp() override {
    if (run({"probe"}).out.find("onnx  ONNX Runtime") == std::string::npos)
      GTEST_SKIP() << "ONNX Runtime is not installed here: scripts/fetch-onnxruntime";
    if (!fs::exists(model_)) GTEST_SKIP() << "protoc or onnx.proto is not installed: no test models";
  }
  Ran tune(std::vector<std::string> more) const {
    // The reference is not what the machine was found with, so that something is moved whatever turns out best.
    std::vector<std::string> all{"tune",           "--device", "cpu",         "--model",  model_,   "--slo",       "mean=5s",
                                 "--window",       "0.02",     "--meter",     "estimate", "--knob", "batch=1",     "--knob",
                                 "threads=1",      "--knob",   "instances=1", "--budget", "1",      "--confirm",   "0",
                                 "--window-limit", "1",        "--quiet",     "--study",  study_,   "--reference", "cpu_hz=499200000"};
    all.insert(all.end(), more.begin(), more.end());
    return program(briefly(std::move(all)));
  }
  const std::string model_ = POLYTHROTTLE_BINARY_DIR "/tests/models/mlp.onnx";
  const std::string study_ = scratch("keep.sqlite");
};

TEST_F(TuneKeeps, TheBestSettingUntilItIsUndone) {
  const Ran kept = tune({"--keep"});
  ASSERT_EQ(kept.exit_code, 0) << kept.err;
  EXPECT_THAT(kept.err, HasSubstr("Kept in place: "));
  EXPECT_THAT(kept.err, HasSubstr("cpu_hz=499.2MHz"));
  EXPECT_THAT(kept.err, HasSubstr("The program that runs the model sets the rest: batch=1 "));
  EXPECT_NE(settings(), before_);
  EXPECT_TRUE(has_record());
  const Ran refused = tune({});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr(" of " + study_ + ", kept since "));
  EXPECT_THAT(refused.err, HasSubstr("'polythrottle restore' undoes it"));
  EXPECT_EQ(program({"restore"}).exit_code, 0);
  EXPECT_EQ(settings(), before_);
}

TEST_F(TuneKeeps, NothingWithoutABest) {
  const Ran none = tune({"--keep", "--constraint", "throughput>=1e9/s"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_THAT(none.err, HasSubstr("--keep: no best setting is known; the machine is as it was found"));
  EXPECT_EQ(settings(), before_);
  EXPECT_FALSE(has_record());
}

TEST(TuneKeep, IsOfTheRealMachine) {
  const Ran simulated = run({"tune", "--device", "sim:jetson-tx2", "--model", "efficientnet-b0", "--slo", "1.2x", "--keep"});
  EXPECT_EQ(simulated.exit_code, 2);
  EXPECT_THAT(simulated.err, HasSubstr("--keep: only settings of the real machine can stay"));
  const Ran recorded = run({"tune", "--device", "recorded:" + small_table() + "#net", "--slo", "2x", "--keep"});
  EXPECT_EQ(recorded.exit_code, 2);
  EXPECT_THAT(recorded.err, HasSubstr("--keep: only settings of the real machine can stay"));
}

}  // namespace
}  // namespace polythrottle::e2e
