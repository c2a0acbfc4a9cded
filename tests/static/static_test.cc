// The static program, on its own CPU or an emulated one, beside the program built here. tests/static/run says which and runs this.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "e2e/program.h"

namespace polythrottle::e2e {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

class Static : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(std::getenv("POLYTHROTTLE_UNDER_TEST"), nullptr) << "run tests/static/run"; }

  /// The same with the program built here.
  static Ran run_here(const Words& arguments) {
    const std::string under_test = std::getenv("POLYTHROTTLE_UNDER_TEST");
    unsetenv("POLYTHROTTLE_UNDER_TEST");
    auto ran = run(arguments);
    setenv("POLYTHROTTLE_UNDER_TEST", under_test.c_str(), 1);
    return ran;
  }
};

/// Equal, numbers up to the last digits, in which two C libraries or two CPUs may differ; members of `but` (clocks, folders) not looked at.
void expect_same(const json& got, const json& wanted, const std::string& at, const std::vector<std::string>& but) {
  if (wanted.is_number() && got.is_number()) {
    const double a = got, b = wanted;
    EXPECT_LE(std::fabs(a - b), 1e-9 * std::max(std::fabs(a), std::fabs(b))) << at;
    return;
  }
  if (!wanted.is_structured() || got.type() != wanted.type()) {
    EXPECT_EQ(got, wanted) << at;
    return;
  }
  ASSERT_EQ(got.size(), wanted.size()) << at << "\n" << got << "\n" << wanted;
  for (const auto& [key, value] : wanted.items()) {
    if (std::find(but.begin(), but.end(), key) != but.end()) continue;
    const json other = wanted.is_object() ? got.value(key, json()) : got[static_cast<std::size_t>(std::stoul(key))];
    expect_same(other, value, at + "/" + key, but);
  }
}

TEST_F(Static, TunesARecordedTableToTheSameAnswer) {
  for (const char* optimizer : {"polythrottle", "eic", "grid"}) {
    const Words words{
        "tune",   "--device", "recorded:" + small_table() + "#net", "--slo", "2x", "--seed", "7", "--optimizer", optimizer, "--quiet",
        "--json", "-"};
    const auto got = run(words), wanted = run_here(words);
    ASSERT_EQ(got.exit_code, 0) << got.err;
    ASSERT_EQ(wanted.exit_code, 0) << wanted.err;
    expect_same(json::parse(got.out), json::parse(wanted.out), optimizer, {"study", "started", "seconds"});
  }
}

/// A help text calls the program as it was called.
std::string without_program(const std::string& help) {
  const auto usage = help.find("Usage: ");
  return usage == std::string::npos ? help : help.substr(0, usage) + help.substr(help.find(' ', usage + 7));
}

TEST_F(Static, SaysTheSameHelp) {
  for (const char* command : {"", "tune", "probe", "restore", "show"}) {
    Words words{"--help"};
    if (*command != '\0') words.insert(words.begin(), command);
    const auto got = run(words), wanted = run_here(words);
    EXPECT_EQ(got.exit_code, 0);
    EXPECT_EQ(without_program(got.out), without_program(wanted.out));
  }
}

TEST_F(Static, SaysThatThereIsNoOnnxRuntimeAndWhatToDo) {
  EXPECT_NE(run({"probe"}).out.find("this static build has no ONNX Runtime in it\n    use --command, or the dynamic build"),
            std::string::npos);
  const auto ran = run({"tune", "--device", "cpu", "--model", "net.onnx", "--slo", "2x"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.err, "polythrottle: this static build has no ONNX Runtime in it; use --command, or the dynamic build\n");
}

}  // namespace
}  // namespace polythrottle::e2e
