// A real ONNX model on this machine's CPU, the machine's settings borrowed and given back. Holds the machine's lease: not in parallel.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "e2e/process.h"
#include "e2e/program.h"
#include "knob/lease.h"

namespace polythrottle::e2e {
namespace {

using nlohmann::json;

class Cpu : public testing::Test {
 protected:
  void SetUp() override {
    probe_ = run({"probe"}).out;
    if (probe_.find("onnx  ONNX Runtime") == std::string::npos)
      GTEST_SKIP() << "ONNX Runtime is not installed here: scripts/fetch-onnxruntime";
    if (!std::filesystem::exists(model_)) GTEST_SKIP() << "protoc or onnx.proto is not installed: no test models";
  }
  std::vector<std::string> tune(std::vector<std::string> more) const {
    std::vector<std::string> all{"tune",       "--device", "cpu",  "--model",        model_, "--slo",
                                 "mean=200ms", "--window", "0.05", "--window-limit", "2",    "--quiet"};
    all.insert(all.end(), more.begin(), more.end());
    return briefly(std::move(all));
  }
  /// The first trial may be one at the quota that was found.
  static bool quota_was_moved() {
    const json record = json::parse(read(default_record_path()), nullptr, false);
    if (!record.contains("knobs")) return false;
    for (const json& knob : record["knobs"]) {
      if (knob["name"] == "cpu_quota_ratio") return !knob["asked"].is_null();
    }
    return false;
  }
  const std::string model_ = POLYTHROTTLE_BINARY_DIR "/tests/models/mlp.onnx";
  std::string probe_;
};

TEST_F(Cpu, EveryOptimizerRunsToTheEndAndIsConfirmed) {
  for (const char* optimizer : {"grid", "random", "eic", "polythrottle"}) {
    const auto ran = run(tune({"--optimizer", optimizer, "--knob", "batch=1,4", "--knob", "cpu_quota_ratio=off", "--budget", "6",
                               "--confirm", "1", "--study", scratch(std::string(optimizer) + ".sqlite"), "--json", "-"}));
    ASSERT_EQ(ran.exit_code, 0) << optimizer << ": " << ran.err;
    const json result = json::parse(ran.out);
    EXPECT_GT(result["best"]["metrics"]["energy_joules_per_inference"].get<double>(), 0.0);
    EXPECT_GE(result["stop"]["trials"].get<int>(), 2);
    const std::string provenance = result["saving"]["provenance"];
    EXPECT_TRUE(provenance == "estimated" || provenance == "measured");
    if (result["best"]["config"] != result["reference"]["config"]) {
      EXPECT_EQ(result["confirmed_rounds"], 1);
    }
    EXPECT_FALSE(result["saving"]["low"].is_null());
  }
}

TEST_F(Cpu, AnEstimateIsCalledOneWhereverAJouleStands) {
  const auto ran =
      run(tune({"--meter", "estimate", "--knob", "cpu_quota_ratio=off", "--budget", "3", "--study", scratch("estimate.sqlite")}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  std::istringstream lines(ran.out);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("energy per inference") || line.starts_with("power") || line.find("less energy") != std::string::npos ||
        line.starts_with("The search cost")) {
      EXPECT_NE(line.find("stimated"), std::string::npos) << line;
    }
  }
}

TEST_F(Cpu, OpenLoopCountsIdleEnergy) {
  const auto ran =
      run(tune({"--rate", "200", "--knob", "cpu_quota_ratio=off", "--budget", "2", "--study", scratch("open.sqlite"), "--json", "-"}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const json result = json::parse(ran.out);
  EXPECT_NE(result["load"].get<std::string>().find("open loop"), std::string::npos);
  EXPECT_NEAR(result["reference"]["metrics"]["throughput_per_second"].get<double>(), 200.0, 80.0);
}

TEST_F(Cpu, AKilledRunIsUndone) {
  if (probe_.find("cpu_quota_ratio  4 levels") == std::string::npos) GTEST_SKIP() << "no CPU quota can be set here: nothing to give back";
  for (int trials = 1; trials <= 4; ++trials) {
    auto words = tune({"--budget", "20", "--optimizer", "random", "--study", scratch("killed.sqlite")});
    words.insert(words.begin(), POLYTHROTTLE_PROGRAM);
    std::erase(words, "--quiet");
    Process run_to_kill(words);
    for (int seen = 0; seen < trials;) {
      const std::string line = run_to_kill.error_line();
      ASSERT_FALSE(line.empty()) << "it ended after " << seen << " trials";
      seen += line.starts_with("trial ") ? 1 : 0;  // not the study's name, nor a note
    }
    while (!quota_was_moved()) ::sched_yield();
    const bool both = trials % 2 == 0;
    run_to_kill.freeze();  // or it would start another watchdog
    if (both) run_to_kill.kill_child(run_to_kill.children().at(0));
    EXPECT_EQ(run_to_kill.kill(SIGKILL), 128 + SIGKILL);
    const std::string said = run_to_kill.errors();
    EXPECT_EQ(said.find("the watchdog restored cpu_quota_ratio=1\n") == std::string::npos, both) << said;
    EXPECT_EQ(std::filesystem::exists(default_record_path()), both);
    const auto restored = run({"restore"});
    EXPECT_EQ(restored.exit_code, 0) << restored.err;
    EXPECT_FALSE(std::filesystem::exists(default_record_path()));
    for (const char* mount : {"/sys/fs/cgroup/cpu/polythrottle-", "/sys/fs/cgroup/polythrottle-"}) {
      EXPECT_FALSE(std::filesystem::exists(mount + std::to_string(run_to_kill.pid())));
    }
    const auto again = run(tune({"--budget", "1", "--study", scratch("after.sqlite")}));
    EXPECT_EQ(again.exit_code, 0) << again.err;
  }
}

}  // namespace
}  // namespace polythrottle::e2e
