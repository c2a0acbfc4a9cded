// What a killed run or an earlier 'apply' left in force: undone by whoever comes next, before it looks at the machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "e2e/process.h"
#include "e2e/program.h"
#include "host/fake.h"
#include "host/fake_read_only.h"
#include "knob/lease.h"

namespace polythrottle::e2e {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class RecoveryE2e : public testing::Test {
 protected:
  RecoveryE2e() { EXPECT_EQ(::mkfifo(started_.c_str(), 0600), 0); }
  /// Every file of the machine itself, without the end of line: a kernel's file always has one, and a recorded one loses it to a write.
  std::map<std::string, std::string> content() const {
    std::map<std::string, std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(root_)) {
      const std::string path = entry.path().string().substr(root_.size());
      if (!entry.is_regular_file() || path.starts_with("/var/lib/polythrottle")) continue;
      std::string text = read(entry.path().string());
      while (text.ends_with('\n')) text.pop_back();
      out[path] = text;
    }
    return out;
  }
  Ran program(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--sysroot", root_});
    return run(arguments);
  }
  /// The words of a study of a program of the user's.
  std::vector<std::string> tune(const std::string& command, const std::string& window, std::vector<std::string> more) const {
    std::vector<std::string> all{"tune",
                                 "--command",
                                 command,
                                 "--slo",
                                 "p95=8ms",
                                 "--window",
                                 window,
                                 "--window-limit",
                                 "100",
                                 "--budget",
                                 "1",
                                 "--confirm",
                                 "0",
                                 "--study",
                                 scratch("recovery.sqlite")};
    all.insert(all.end(), more.begin(), more.end());
    return briefly(std::move(all));
  }
  /// A study in the middle of its first trial, which would take a minute: its command has said that it was started.
  Process in_mid_trial(std::vector<std::string> more) const {
    auto words = tune("sh -c 'echo > " + started_ + "; exec " POLYTHROTTLE_FAKE_COMMAND "'", "60", std::move(more));
    words.insert(words.begin(), {POLYTHROTTLE_PROGRAM, "--sysroot", root_});
    Process study(words);
    EXPECT_EQ(read(started_), "\n");  // waits for it
    EXPECT_NE(content(), before_);
    EXPECT_TRUE(fs::exists(record_));
    return study;
  }
  /// Kills the watchdog first.
  static void kill_both(Process& study) {
    study.freeze();  // or it would start another
    for (const pid_t child : study.children()) {
      if (read("/proc/" + std::to_string(child) + "/comm") == "pt-watchdog\n") study.kill_child(child);
    }
    EXPECT_EQ(study.kill(SIGKILL), 128 + SIGKILL);
    EXPECT_THAT(study.errors(), Not(HasSubstr("the watchdog")));
  }
  Ran apply(const json& settings) const {
    const json profile{{"schema", 1}, {"kind", "polythrottle profile"}, {"machine", {{"board", "quill"}}}, {"settings", settings}};
    const std::string path = scratch("recovery.json");
    write(path, profile.dump());
    return program({"apply", path});
  }

  const ScratchFolder copy_{POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/jetson-tx2-jp46"};
  const std::string root_ = copy_.path().string();
  const std::string record_ = default_record_path(root_);
  const std::string started_ = scratch("started");
  const std::map<std::string, std::string> before_ = content();
};

TEST_F(RecoveryE2e, TheWatchdogRestoresEveryNodeWhenAStudyOfACommandIsKilled) {
  Process study = in_mid_trial({"--reference", "cpu_hz=499200000,gpu_max_hz=318750000,mem_hz=408000000"});
  EXPECT_EQ(study.kill(SIGKILL), 128 + SIGKILL);
  EXPECT_THAT(study.errors(), HasSubstr("process " + std::to_string(study.pid()) + " died; the watchdog restored"));
  EXPECT_EQ(content(), before_);
  EXPECT_FALSE(fs::exists(record_));
}

TEST_F(RecoveryE2e, TheNextStudySeesTheMachineAsItWasFound) {
  Process study = in_mid_trial({"--knob", "cpu_cores=2,6", "--reference", "cpu_cores=2"});
  kill_both(study);
  const auto left = content();
  EXPECT_NE(left, before_);
  const auto next = tune(POLYTHROTTLE_FAKE_COMMAND, "0.05", {"--knob", "cpu_cores=4,6"});
  auto dry = tune(POLYTHROTTLE_FAKE_COMMAND, "0.05", {"--dry-run"});
  const Ran looked = program(dry);
  EXPECT_EQ(looked.exit_code, 0) << looked.err;
  EXPECT_THAT(looked.out, HasSubstr("settings of process " + std::to_string(study.pid())));
  EXPECT_THAT(looked.out, HasSubstr("are still in force"));
  EXPECT_EQ(content(), left);

  const Ran ran = program(next);
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("Left by process " + std::to_string(study.pid())));
  EXPECT_THAT(ran.err, HasSubstr("cpu_cores  found 6, now 6, restored\n"));
  EXPECT_EQ(content(), before_);
  EXPECT_FALSE(fs::exists(record_));
}

TEST_F(RecoveryE2e, AStudyThatCannotHaveTheMachineIsToldWhoHasIt) {
  Process study = in_mid_trial({"--reference", "cpu_hz=499200000"});
  const Ran second = program(tune(POLYTHROTTLE_FAKE_COMMAND, "0.05", {"--knob", "cpu_cores=4,6"}));
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(second.err, HasSubstr("take the machine: "));
  EXPECT_EQ(std::count(second.err.begin(), second.err.end(), '\n'), 1) << second.err;
  EXPECT_EQ(study.kill(SIGKILL), 128 + SIGKILL);
  EXPECT_THAT(study.errors(), HasSubstr("the watchdog restored"));
  EXPECT_EQ(content(), before_);
}

TEST_F(RecoveryE2e, ASecondApplySeesTheMachineAsItWasFound) {
  const Ran first = apply({{"cpu_cores", 2}});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const Ran second = apply({{"cpu_cores", 4}});
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_THAT(second.err, HasSubstr("Undone: cpu_cores=2 of "));
  const Ran third = apply({{"cpu_cores", 77}});
  EXPECT_EQ(third.exit_code, 1);
  EXPECT_THAT(third.err, HasSubstr("cpu_cores cannot be 77 here; what was set before is undone"));
  EXPECT_EQ(content(), before_);
  EXPECT_FALSE(fs::exists(record_));
}

TEST_F(RecoveryE2e, RestoresAlthoughTheDiskHasTurnedReadOnly) {
  ASSERT_EQ(apply({{"gpu_max_hz", 318750000}}).exit_code, 0);
  EXPECT_NE(content(), before_);
  {
    const ReadOnlyFolder disk(fs::path(record_).parent_path());
    if (!disk.works()) GTEST_SKIP() << "this process may not mount: run the test as root";
    const Ran restored = program({"restore"});
    EXPECT_EQ(restored.exit_code, 1);
    EXPECT_THAT(restored.out, HasSubstr("gpu_max_hz  found 1300MHz, now 1300MHz, restored\n"));
    EXPECT_THAT(restored.err, HasSubstr("the machine is as it was found, but the record " + record_ + " stays: "));
    EXPECT_EQ(std::count(restored.err.begin(), restored.err.end(), '\n'), 1) << restored.err;
    EXPECT_EQ(content(), before_);
  }
  EXPECT_EQ(program({"restore"}).exit_code, 0);
  EXPECT_EQ(content(), before_);
  EXPECT_FALSE(fs::exists(record_));
}

TEST_F(RecoveryE2e, TheGuardRestoresOnceWhereTheRecordCannotBeRemoved) {
  Process study = in_mid_trial({"--reference", "cpu_hz=499200000"});
  kill_both(study);
  const ReadOnlyFolder disk(fs::path(record_).parent_path());
  if (!disk.works()) GTEST_SKIP() << "this process may not mount: run the test as root";
  Process guard({POLYTHROTTLE_PROGRAM, "--sysroot", root_, "watchdog", "--guard"});
  EXPECT_THAT(guard.error_line(), HasSubstr("but the record " + record_ + " stays: "));
  EXPECT_EQ(content(), before_);
  EXPECT_EQ(guard.kill(SIGTERM), 0);
  EXPECT_EQ(guard.errors(), "");
}

TEST_F(RecoveryE2e, ASecondSignalDuringARestoreSaysThatNotAllIsBack) {
  ASSERT_EQ(apply({{"gpu_max_hz", 318750000}}).exit_code, 0);
  // A node that takes no write as long as nobody reads it, so that the restore never ends.
  ASSERT_EQ(::mkfifo((root_ + "/sys/stuck").c_str(), 0600), 0);
  json record = json::parse(read(record_));
  record["knobs"][0]["nodes"].push_back({{"path", "/sys/stuck"}, {"text", "1"}});
  write(record_, record.dump());
  Process restoring({POLYTHROTTLE_PROGRAM, "--sysroot", root_, "restore"});
  while (read(record_ + ".lock").find("gives-back") == std::string::npos) ::sched_yield();
  restoring.send(SIGINT);
  EXPECT_EQ(restoring.kill(SIGTERM), 130);  // another one: two of a kind may become one
  EXPECT_THAT(restoring.errors(), HasSubstr("ended at once; 'polythrottle restore' puts back what was changed\n"));
}

}  // namespace
}  // namespace polythrottle::e2e
