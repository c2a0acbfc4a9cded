// Any program as the workload. What it prints is fixed (tests/e2e/fake_command), so latencies are exact; joules are those of this machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "e2e/program.h"

namespace polythrottle::e2e {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

const std::string kFake = POLYTHROTTLE_FAKE_COMMAND;

/// A machine without knobs, so that nothing is borrowed and the space is the command's alone.
const std::string& bare_machine() {
  static const std::string path = [] {
    const std::string root = scratch("bare");
    fs::create_directories(root + "/sys/devices/system/cpu");
    write(root + "/sys/devices/system/cpu/online", "0-1\n");
    return root;
  }();
  return path;
}

/// With short windows, on a machine without knobs.
std::vector<std::string> tune(const std::string& command, std::vector<std::string> more) {
  std::vector<std::string> all{"--sysroot", bare_machine(), "tune", "--command",      command, "--meter",
                               "estimate",  "--window",     "0.05", "--window-limit", "0.2",   "--quiet"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

void expect_complaint(const Ran& ran, int exit_code, const std::string& about) {
  EXPECT_EQ(ran.exit_code, exit_code) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr(about));
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
}

bool runs(const std::string& pid) {
  const std::string text = read("/proc/" + pid + "/stat");
  const auto bracket = text.rfind(')');
  return bracket != std::string::npos && text.substr(bracket + 2, 1) != "Z";
}

TEST(Command, IsTunedOverItsOwnKnobs) {
  const auto ran = run(tune(kFake + " --batch {batch} --threads {threads}",
                            {"--knob", "batch=1,2,4,8", "--knob", "threads=1,2", "--slo", "p95=8ms", "--optimizer", "grid", "--confirm",
                             "1", "--study", scratch("command.sqlite"), "--json", "-"}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const json result = json::parse(ran.out);
  EXPECT_EQ(result["device"], "command");
  EXPECT_EQ(result["command"], kFake + " --batch {batch} --threads {threads}");
  EXPECT_EQ(result["meter"]["provenance"], "estimated");
  EXPECT_THAT(result["meter"]["boundary"].get<std::string>(), HasSubstr("the command's process group"));
  EXPECT_EQ(result["reference"]["config"], (json{{"batch", 1}, {"threads", 2}}));
  EXPECT_NEAR(result["reference"]["metrics"]["latency_p95_seconds"].get<double>(), 1.5e-3, 1e-9);
  EXPECT_GT(result["best"]["config"]["batch"], 1);
  EXPECT_GT(result["saving"]["ratio"].get<double>(), 0.0);
}

TEST(Command, AFailureSaysWhatTheProgramSaid) {
  const auto about = [](const std::string& mode, const std::string& words) {
    SCOPED_TRACE(mode);
    expect_complaint(run(tune(kFake + " --batch {batch} " + mode,
                              {"--knob", "batch=1,2", "--slo", "p95=8ms", "--command-timeout", "0.5", "--study", scratch("fails.sqlite")})),
                     1, words);
  };
  about("exit 1", "failed after 3 batches with exit code 1; it printed: out of luck");
  about("exit 0", "ended after 3 batches; it printed: out of luck; it must go on until it is stopped");
  about("exit 3", "does not support this setting");
  about("abort", "killed after 3 batches by signal 6");
  about("environ", "it printed: batch is 1 | out of luck");
  about("milli", "latency_seconds is in seconds");
  about("silent", "reported no batch for 0.5");
  about("quiet", "reported no batch for 0.5");
  about("endless", "and so on");
}

TEST(Command, WhateverElseItPrintsDoesNotMatter) {
  for (const std::string mode : {"junk", "stubborn", "child"}) {
    const auto ran = run(tune(kFake + " --batch {batch} " + mode, {"--knob", "batch=1,2", "--slo", "p95=8ms", "--budget", "1", "--study",
                                                                   scratch("prints.sqlite"), "--json", "-"}));
    ASSERT_EQ(ran.exit_code, 0) << mode << ": " << ran.err;
    EXPECT_NEAR(json::parse(ran.out)["reference"]["metrics"]["latency_p95_seconds"].get<double>(), 2e-3, 1e-9) << mode;
  }
}

TEST(Command, ASettingItRefusesIsOneTrialLess) {
  const std::string study = scratch("refuses.sqlite"), csv = scratch("refuses.csv");
  const auto ran =
      run(tune("sh -c 'test {batch} = 4 && echo too large && exit 3; exec " + kFake + " --batch {batch}'",
               {"--knob", "batch=1,2,4", "--slo", "p95=8ms", "--optimizer", "grid", "--confirm", "0", "--study", study, "--csv", csv}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(read(csv), HasSubstr("refused"));
  EXPECT_THAT(read(csv), HasSubstr("too large"));
}

TEST(Command, NothingIsLeftOfItAfterAKillAndTheStudyGoesOn) {
  const std::string study = scratch("killed.sqlite"), starts = scratch("starts"), pids = scratch("pids");
  for (const std::string& path : {starts, pids}) fs::remove(path);
  // At its third start it kills us, with a child of its own in the background and SIGTERM ignored.
  const std::string command = "sh -c 'echo >> " + starts + "; if [ $(wc -l < " + starts + ") = 3 ]; then trap \"\" TERM; " + kFake +
                              " child & echo $! $$ > " + pids + "; kill -9 $PPID; wait; fi; exec " + kFake + " --batch {batch}'";
  const std::vector<std::string> more{"--knob", "batch=1,2,4", "--slo", "p95=8ms", "--optimizer",
                                      "grid",   "--confirm",   "0",     "--study", study};
  EXPECT_EQ(run(tune(command, more)).exit_code, 128 + SIGKILL);
  std::istringstream words(read(pids));
  std::string child, leader;
  ASSERT_TRUE(words >> child >> leader);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while ((runs(child) || runs(leader)) && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_FALSE(runs(child));
  EXPECT_FALSE(runs(leader));

  expect_complaint(run({"--sysroot", bare_machine(), "tune", "--resume", "--study", study, "--quiet", "--command",
                        "sh -c 'exec " + kFake + " --batch {batch}'"}),
                   2, "cannot resume: the command differs");
  const auto ran = run({"--sysroot", bare_machine(), "tune", "--resume", "--study", study, "--quiet", "--json", "-"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(json::parse(ran.out)["stop"]["trials"], 3);
  EXPECT_EQ(read(starts).size(), 4u);  // two trials, the one that was killed, and that again
}

TEST(Command, AnInterruptEndsItToo) {
  const std::string pids = scratch("interrupted");
  const auto ran = run(tune("sh -c 'echo $$ > " + pids + "; kill -INT $PPID; exec " + kFake + " stubborn'",
                            {"--slo", "p95=8ms", "--study", scratch("interrupted.sqlite")}));
  EXPECT_EQ(ran.exit_code, 130) << ran.err;
  std::string pid = read(pids);
  ASSERT_FALSE(pid.empty());
  EXPECT_FALSE(runs(pid.substr(0, pid.size() - 1)));
}

TEST(Command, RunsWhileTheKnobsOfTheMachineMove) {
  const std::string root = scratch("machine"), seen = scratch("seen");
  fs::remove_all(root);
  fs::copy(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/jetson-tx2-jp46", root, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  const std::string node = root + "/sys/devices/17000000.gp10b/devfreq/17000000.gp10b/max_freq", before = read(node);
  const auto ran = run({"--sysroot",
                        root,
                        "tune",
                        "--command",
                        "sh -c 'cat " + node + " >> " + seen + "; echo >> " + seen + "; exec " + kFake + " --batch {batch}'",
                        "--knob",
                        "batch=1,2",
                        "--slo",
                        "p95=8ms",
                        "--window",
                        "0.05",
                        "--window-limit",
                        "0.2",
                        "--optimizer",
                        "random",
                        "--budget",
                        "6",
                        "--confirm",
                        "0",
                        "--study",
                        scratch("fixture.sqlite"),
                        "--quiet",
                        "--json",
                        "-"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(json::parse(ran.out)["meter"]["name"], "ina3221");
  std::istringstream lines(read(seen));
  std::set<std::string> clocks;
  for (std::string line; std::getline(lines, line);) clocks.insert(line);
  EXPECT_GE(clocks.size(), 3u) << read(seen);
  EXPECT_EQ(std::stoll(read(node)), std::stoll(before));
}

TEST(Command, SharesTheCpuQuotaOfTheTrial) {
  if (run({"probe"}).out.find("cpu_quota_ratio  4 levels") == std::string::npos) GTEST_SKIP() << "no CPU quota can be set here";
  const std::string seen = scratch("groups");
  const auto ran = run({"tune", "--command", "sh -c 'cat /proc/self/cgroup >> " + seen + "; exec " + kFake + "'", "--knob",
                        "cpu_quota_ratio=0.5,1", "--slo", "p95=8ms", "--window", "0.05", "--window-limit", "0.2", "--optimizer", "grid",
                        "--confirm", "0", "--study", scratch("quota.sqlite"), "--quiet"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(read(seen), HasSubstr("/polythrottle-"));
}

TEST(Command, BadInputIsOneLine) {
  const auto usage = [](std::vector<std::string> more, const std::string& about) {
    more.insert(more.begin(), {"tune", "--quiet", "--slo", "p95=8ms"});
    expect_complaint(run(more), 2, about);
  };
  usage({"--device", "command"}, "--command is missing");
  usage({"--command", ""}, "--command is empty");
  usage({"--command", "  "}, "--command is empty");
  usage({"--command", "a | b"}, "sh -c");
  usage({"--command", "a 'b"}, "not closed");
  usage({"--command", kFake + " {batch}"}, "nothing says what {batch} may be; give its levels with --knob batch=");
  usage({"--command", kFake + " {batch}", "--knob", "batch=off"}, "nothing says what {batch} may be");
  usage({"--command", kFake + " {batch}", "--knob", "batch=0"}, "no whole number");
  usage({"--command", kFake + " {batch}", "--knob", "batch=1,1"}, "repeats a level");
  usage({"--command", kFake + " {mode}", "--knob", "mode=a,,b"}, "a level is empty");
  usage({"--command", kFake + " {mode}", "--knob", "mode=a,b,a"}, "repeats a level");
  usage({"--command", kFake, "--knob", "batch=1,2"}, "the command has no {batch}");
  usage({"--command", kFake, "--model", "net.onnx"}, "exclude each other");
  usage({"--command", kFake, "--rate", "5"}, "closed loop");
  usage({"--command", kFake, "--dim", "n=3"}, "--dim");
  usage({"--command", kFake, "--pace", "1"}, "--pace");
  usage({"--command", kFake, "--device", "cpu"}, "not on the device 'cpu'");
  usage({"--command", kFake, "--device", "sim:jetson-tx2"}, "not on the device 'sim:jetson-tx2'");
  usage({"--command", kFake, "--command-timeout", "0"}, "--command-timeout");
  usage({"--device", "cpu", "--model", "net.onnx", "--warm-up", "1"}, "are for --command");
  expect_complaint(run({"tune", "--quiet", "--slo", "p95=8ms", "--command", "no-such-program-anywhere"}), 1, "no such program in PATH");
  expect_complaint(run({"tune", "--quiet", "--slo", "p95=8ms", "--command", "/etc/passwd"}), 1, "chmod +x");
}

}  // namespace
}  // namespace polythrottle::e2e
