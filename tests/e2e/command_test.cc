// Any program as the workload. What it prints is fixed (tests/e2e/fake_command), so latencies are exact; joules are those of this machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
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
std::vector<std::string> tune(const std::string& command, std::vector<std::string> more, const std::string& longest = "5") {
  std::vector<std::string> all{"--sysroot", bare_machine(), "tune", "--command",      command, "--meter",
                               "estimate",  "--window",     "0.05", "--window-limit", longest, "--quiet"};
  all.insert(all.end(), more.begin(), more.end());
  return briefly(std::move(all));
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
  const auto ran = run(briefly({"--sysroot",
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
                                "-"}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(json::parse(ran.out)["meter"]["name"], "ina3221");
  std::istringstream lines(read(seen));
  std::set<std::string> clocks;
  for (std::string line; std::getline(lines, line);) clocks.insert(line);
  EXPECT_GE(clocks.size(), 3u) << read(seen);
  EXPECT_EQ(std::stoll(read(node)), std::stoll(before));
}

/// Tools that do one timed part and end: their loading is no part of what is measured, and their latencies are those they print.
TEST(Command, ReadsWhatToolsPrint) {
  struct Tool {
    const char *read, *slo;
    double latency_ms;  ///< of the SLO's metric, at batch 2
  };
  for (const Tool& tool : {Tool{"trtexec", "p95=8ms", 3.6}, Tool{"perf_analyzer", "mean=8ms", 3}, Tool{"llama-bench", "mean=8ms", 3}}) {
    SCOPED_TRACE(tool.read);
    const std::string study = scratch("tool.sqlite");
    const auto ran = run(tune(kFake + " --batch {batch} --load 0.05 --duration 0.25 " + tool.read,
                              {"--read", tool.read, "--knob", "batch=1,2", "--slo", tool.slo, "--optimizer", "grid", "--confirm", "0",
                               "--study", study, "--json", "-"},
                              "10"));
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    const json result = json::parse(ran.out);
    const json& best = result["best"];
    EXPECT_EQ(best["config"]["batch"], 2);
    const std::string metric = "latency_" + std::string(tool.slo).substr(0, std::string(tool.slo).find('=')) + "_seconds";
    EXPECT_NEAR(best["metrics"][metric].get<double>(), 1e-3 * tool.latency_ms, 1e-6);
    EXPECT_GT(best["metrics"]["throughput_per_second"].get<double>(), 0.0);
    EXPECT_THAT(read(study + ".output/trial-1.txt"), HasSubstr("[polythrottle: exit code 0]"));
  }
}

TEST(Command, ReadsPlainLinesAndPatterns) {
  const auto p95 = [](const std::string& command, std::vector<std::string> more) {
    more.insert(more.end(), {"--knob", "batch=1,2", "--slo", "p95=8ms", "--budget", "1", "--confirm", "0", "--study",
                             scratch("plain.sqlite"), "--json", "-"});
    const auto ran = run(tune(command, more, "3"));
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    return ran.exit_code == 0 ? json::parse(ran.out)["reference"]["metrics"]["latency_p95_seconds"].get<double>() : 0.0;
  };
  EXPECT_NEAR(p95(kFake + " --batch {batch} plain", {"--read", "latency_ms"}), 2e-3, 1e-9);
  EXPECT_NEAR(p95(kFake + " --batch {batch} plain", {"--pattern", "latency_ms=step \\d+ latency_ms: ([0-9.]+)"}), 2e-3, 1e-9);
  EXPECT_NEAR(p95("sh -c 'exec " + kFake + " --batch $N plain'", {"--env", "N={batch}", "--read", "latency_ms"}), 2e-3, 1e-9);
  // No line says where its timed part begins: all of it counts, once.
  p95(kFake + " --batch {batch} no-begin",
      {"--pattern", "mean_ms=mean: (\\S+) ms", "--pattern", "p95_ms=mean: (\\S+) ms", "--pattern", "batches=did (\\d+)"});
}

TEST(Command, SaysWhatNeverCame) {
  const auto about = [](const std::string& mode, std::vector<std::string> reading, const std::string& words) {
    SCOPED_TRACE(mode);
    const std::string study = scratch("never.sqlite");
    reading.insert(reading.end(), {"--knob", "batch=1,2", "--slo", "p95=8ms", "--command-timeout", "1", "--study", study});
    const auto ran = run(tune(kFake + " --batch {batch} " + mode, reading));
    expect_complaint(ran, 1, words);
    EXPECT_THAT(ran.err, HasSubstr("; all of it in " + study + ".output/trial-1.txt"));
  };
  about("never", {"--pattern", "p95_ms=p95: (.*) ms", "--pattern", "batches=did (.*) batches"},
        "no line of 1 matches p95_ms=p95: (.*) ms, batches=did (.*) batches; it printed: bye");
  about("plain", {"--pattern", "latency_ms=took (.*)"}, "reported no batch for 1");
  about("trtexec-8.4", {"--read", "trtexec"}, "printed no p95 latency, which the SLO is about: no line of 13 matches p95_ms; it printed: ");
  about("llama-bench-2", {"--read", "llama-bench"}, "llama-bench makes 2 tests, and one is wanted");
  about("steps-dies", {"--read", "steps"}, "failed in its window with exit code 9");
  about("steps-deaf", {"--read", "steps"}, "was to be ready and did not answer");
  about("steps-mute", {"--read", "steps", "--warm-up", "0.1"}, "did not end window 1");
  about("steps-wrong", {"--read", "steps", "--warm-up", "0.1"}, "answered something else in window 1: {");
  about("exit 0", {"--read", "steps"}, "was to be ready and answered something else: {\"latency_seconds\"");
}

/// Its output begins with the line that says how it was started; it is started once for all trials.
TEST(Command, OneThatIsTalkedToStaysThroughTheStudy) {
  for (const std::string how : {"steps", "steps-batches"}) {
    const std::string study = scratch(how + ".sqlite"), starts = scratch(how + ".starts");
    fs::remove(starts);
    const auto ran = run(tune("sh -c 'echo $$ >> " + starts + "; exec " + kFake + " " + how + "'",
                              {"--read", "steps", "--warm-up", "0.1", "--knob", "batch=1,2,4", "--slo", "p95=9ms", "--optimizer", "grid",
                               "--confirm", "1", "--study", study, "--json", "-"},
                              "2"));
    ASSERT_EQ(ran.exit_code, 0) << how << ": " << ran.err;
    EXPECT_NEAR(json::parse(ran.out)["reference"]["metrics"]["latency_p95_seconds"].get<double>(), 1e-3, 1e-9);
    std::string pid = read(starts);
    EXPECT_EQ(std::count(pid.begin(), pid.end(), '\n'), 1) << pid;
    EXPECT_FALSE(runs(pid.substr(0, pid.size() - 1)));
    EXPECT_THAT(read(study + ".output/trial-2.txt"), HasSubstr("{\"configured\": true}"));
  }
}

/// Those of docs/command.md.
TEST(Command, TheExamplesOfAProgramThatIsTalkedToWork) {
  const auto works = [](const std::string& command) {
    const auto ran = run(tune(command,
                              {"--read", "steps", "--warm-up", "0.1", "--knob", "batch=1,2", "--slo", "p95=1s", "--optimizer", "grid",
                               "--confirm", "0", "--study", scratch("example.sqlite"), "--json", "-"},
                              "5"));
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_GE(json::parse(ran.out)["reference"]["metrics"]["latency_p95_seconds"].get<double>(), 2e-3);
  };
  works(POLYTHROTTLE_STEP_EXAMPLE);
  if (std::system("python3 -c '' > /dev/null 2>&1") != 0) GTEST_SKIP() << "no python3: steps.py was not run";
  works("python3 " POLYTHROTTLE_SOURCE_DIR "/docs/examples/steps.py");
}

TEST(Command, OneThatIsTalkedToMayRefuse) {
  for (const auto& [mode, word] : {std::pair{"steps-refuses", "refused"}, std::pair{"steps-fails", "failed"}}) {
    const std::string csv = scratch("refuses.csv");
    const auto ran =
        run(tune(kFake + " " + mode, {"--read", "steps", "--warm-up", "0.1", "--knob", "batch=1,4", "--slo", "p95=9ms", "--optimizer",
                                      "grid", "--confirm", "0", "--study", scratch("refuses.sqlite"), "--csv", csv}));
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_THAT(read(csv), HasSubstr(std::string(",") + word + ","));
  }
}

TEST(Command, NothingIsLeftOfOneThatIsTalkedToAfterAKill) {
  const std::string pids = scratch("talked.pids");
  fs::remove(pids);
  EXPECT_EQ(run(tune("sh -c '" + kFake + " child & echo $! $$ > " + pids + "; kill -9 $PPID; exec " + kFake + " steps'",
                     {"--read", "steps", "--slo", "p95=8ms", "--study", scratch("talked.sqlite")}))
                .exit_code,
            128 + SIGKILL);
  std::istringstream words(read(pids));
  std::string child, leader;
  ASSERT_TRUE(words >> child >> leader);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while ((runs(child) || runs(leader)) && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_FALSE(runs(child));
  EXPECT_FALSE(runs(leader));
}

TEST(Command, AResumedStudyIsReadAsBefore) {
  const std::string study = scratch("read-as.sqlite");
  const std::vector<std::string> more{"--knob",    "batch=1,2", "--slo",   "p95=8ms", "--optimizer", "grid",
                                      "--confirm", "0",         "--study", study,     "--pattern",   "latency_ms=latency_ms: ([0-9.]+)"};
  ASSERT_EQ(run(tune(kFake + " --batch {batch} plain", more)).exit_code, 0);
  const auto resume = [&](std::vector<std::string> changed) {
    changed.insert(changed.begin(), {"--sysroot", bare_machine(), "tune", "--resume", "--study", study, "--quiet"});
    return run(changed);
  };
  EXPECT_EQ(resume({}).exit_code, 0);
  expect_complaint(resume({"--pattern", "latency_ms=ms: ([0-9.]+)"}), 2, "cannot resume: the conditions differs");
  expect_complaint(resume({"--env", "A=b"}), 2, "cannot resume: the conditions differs");
}

TEST(Command, SharesTheCpuQuotaOfTheTrial) {
  if (run({"probe"}).out.find("cpu_quota_ratio  4 levels") == std::string::npos) GTEST_SKIP() << "no CPU quota can be set here";
  const std::string seen = scratch("groups");
  const auto ran = run(briefly({"tune", "--command", "sh -c 'cat /proc/self/cgroup >> " + seen + "; exec " + kFake + "'", "--knob",
                                "cpu_quota_ratio=0.5,1", "--slo", "p95=8ms", "--window", "0.05", "--window-limit", "0.2", "--optimizer",
                                "grid", "--confirm", "0", "--study", scratch("quota.sqlite"), "--quiet"}));
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
  usage({"--device", "cpu", "--model", "net.onnx", "--read", "json"}, "--read, --pattern and --env are for --command");
  usage({"--command", kFake, "--read", "trtex"}, "one of json, steps, trtexec, perf_analyzer, llama-bench, latency_ms");
  usage({"--command", kFake, "--read", "json", "--pattern", "latency_ms=(.*)"}, "exclude each other");
  usage({"--command", kFake, "--pattern", "latency_ms"}, "NAME=REGEX is wanted");
  usage({"--command", kFake, "--pattern", "latency_ms=took (["}, "it does not compile at character 7");
  usage({"--command", kFake, "--pattern", "latency_ms=took"}, "it has 0 pairs of ( )");
  usage({"--command", kFake, "--pattern", "speed=(.*)"}, "'speed' means nothing; one of begin, end,");
  usage({"--command", kFake, "--env", "A"}, "NAME=TEXT is wanted");
  usage({"--command", kFake, "--env", "A=1", "--env", "A=2"}, "--env A is given twice");
  usage({"--command", kFake, "--env", "A={size}"}, "nothing says what {size} may be");
  usage({"--command", kFake + " {window_seconds}", "--knob", "window_seconds=1,2"}, "that name is taken");
  usage({"--command", kFake, "--read", "steps", "--knob", "cpu_quota_ratio=0.5,1"}, "does not go with --read steps");
  expect_complaint(run({"tune", "--quiet", "--slo", "p95=8ms", "--command", "no-such-program-anywhere"}), 1, "no such program in PATH");
  expect_complaint(run({"tune", "--quiet", "--slo", "p95=8ms", "--command", "/etc/passwd"}), 1, "chmod +x");
}

}  // namespace
}  // namespace polythrottle::e2e
