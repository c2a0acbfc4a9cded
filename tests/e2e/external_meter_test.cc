// --external-meter as a user types it: a meter of power that only a script can read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "e2e/program.h"

namespace polythrottle::e2e {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

/// A machine without knobs and without a sensor.
const std::string& bare_machine() {
  static const std::string path = [] {
    const std::string root = scratch("external");
    fs::create_directories(root + "/sys/devices/system/cpu");
    write(root + "/sys/devices/system/cpu/online", "0-1\n");
    return root;
  }();
  return path;
}

/// One setting of a command.
Ran tune(const std::vector<std::string>& more) {
  std::vector<std::string> words{"--sysroot",
                                 bare_machine(),
                                 "tune",
                                 "--command",
                                 std::string(POLYTHROTTLE_FAKE_COMMAND) + " --batch {batch}",
                                 "--knob",
                                 "batch=1",
                                 "--slo",
                                 "mean=1s",
                                 "--confirm",
                                 "0",
                                 "--window",
                                 "0.2",
                                 "--window-limit",
                                 "1",
                                 "--study",
                                 scratch("external.sqlite"),
                                 "--quiet"};
  words.insert(words.end(), more.begin(), more.end());
  return run(words);
}

void expect_complaint(const Ran& ran, int exit_code, const std::string& part) {
  EXPECT_EQ(ran.exit_code, exit_code) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr(part));
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
}

/// 8 W, a hundred times a second, on a clock that began with the script.
constexpr const char* kMeter =
    "sh -c 'echo \"# polythrottle-meter boundary=bench error=1%\"; i=0; while :; do echo \"$i.0e-2 8\"; i=$((i+1)); sleep 0.01; done'";

TEST(ExternalMeter, MeasuresATrial) {
  const auto ran = tune({"--external-meter", kMeter, "--json", "-"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const json result = json::parse(ran.out);
  EXPECT_EQ(result["meter"]["name"], "external");
  EXPECT_EQ(result["meter"]["provenance"], "measured");
  EXPECT_THAT(result["meter"]["boundary"].get<std::string>(), HasSubstr("bench"));
  EXPECT_NEAR(result["reference"]["metrics"]["power_watts"].get<double>(), 8.0, 0.8);
}

TEST(ExternalMeter, IsNotTakenWhereAnotherIsNamed) {
  const auto ran = tune({"--external-meter", kMeter, "--meter", "estimate", "--json", "-"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(json::parse(ran.out)["meter"]["provenance"], "estimated");
}

TEST(ExternalMeter, WhatIsWrongWithItIsSaidInOneLine) {
  expect_complaint(tune({"--external-meter", "sh -c 'echo volts 12; sleep 100'"}), 1, "line 1: 'volts 12'");
  expect_complaint(tune({"--external-meter", "sh -c 'echo no such port >&2; exit 4'"}), 1, "exit code 4; its last words: no such port");
  expect_complaint(tune({"--external-meter", "/nonexistent/meter", "--meter", "external"}), 1, "/nonexistent/meter");
  expect_complaint(tune({"--external-meter", "'open"}), 2, "--external-meter");
  expect_complaint(tune({"--external-error", "2"}), 2, "--external-meter 'COMMAND'");
  expect_complaint(tune({"--meter", "external"}), 1, "--external-meter 'COMMAND'");
  expect_complaint(run({"tune", "--device", "sim:jetson-orin", "--model", "bert-base", "--slo", "1.2x", "--external-meter", "./meter"}), 2,
                   "a simulated board has its own");
}

}  // namespace
}  // namespace polythrottle::e2e
