// 'apply' on a recorded machine: what it sets stays until 'restore', and what does not fit is refused before anything is written.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "e2e/program.h"
#include "host/fake.h"

namespace polythrottle::e2e {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr char kGpuMax[] = "/sys/class/devfreq/17000000.gp10b/max_freq";

/// Without the end of line, which a kernel's file always has and a recorded one loses when it is written.
std::string line(const fs::path& file) {
  std::string text = read(file);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

/// Every file of the machine itself: our own record is not part of it.
std::map<std::string, std::string> content(const fs::path& root) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const std::string path = entry.path().string().substr(root.string().size());
    if (entry.is_regular_file() && !entry.is_symlink() && !path.starts_with("/var/lib/polythrottle")) out[path] = line(entry.path());
  }
  return out;
}

class Apply : public testing::Test {
 protected:
  Ran on_it(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--sysroot", machine_.path().string()});
    return run(arguments);
  }
  static std::string profile(const Json& changes = Json::object()) {
    Json document{{"schema", 1},
                  {"kind", "polythrottle profile"},
                  {"machine", {{"board", "quill"}}},
                  {"settings", {{"cpu_hz", 1113600000}, {"gpu_max_hz", 624750000}}},
                  {"program", {{"batch", 4}}}};
    document.update(changes);
    const std::string path = scratch("profile.json");
    write(path, document.dump());
    return path;
  }
  std::string gpu_max() const { return line(machine_.path().string() + kGpuMax); }
  void expect_refused(const Ran& ran, int exit_code, const std::string& words) const {
    EXPECT_EQ(ran.exit_code, exit_code) << ran.err;
    EXPECT_NE(ran.err.find(words), std::string::npos) << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_TRUE(content(machine_.path()) == before_);
    EXPECT_FALSE(fs::exists(machine_.path() / "var/lib/polythrottle/lease.json"));
  }

  const ScratchFolder machine_{POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/jetson-tx2-jp46"};
  const std::map<std::string, std::string> before_ = content(machine_.path());
};

TEST_F(Apply, SetsAndKeepsUntilRestore) {
  const auto applied = on_it({"apply", profile()});
  ASSERT_EQ(applied.exit_code, 0) << applied.err;
  EXPECT_NE(applied.out.find("Start your program with batch=4"), std::string::npos) << applied.out;
  EXPECT_EQ(gpu_max(), "624750000");
  const auto restored = on_it({"restore"});
  EXPECT_EQ(restored.exit_code, 0) << restored.err;
  EXPECT_TRUE(content(machine_.path()) == before_);
  EXPECT_EQ(on_it({"restore"}).exit_code, 0);
}

TEST_F(Apply, ASecondOneUndoesTheFirstSoThatRestoreBringsBackTheOwners) {
  ASSERT_EQ(on_it({"apply", profile()}).exit_code, 0);
  const auto second = on_it({"apply", profile({{"settings", {{"gpu_max_hz", 318750000}}}})});
  ASSERT_EQ(second.exit_code, 0) << second.err;
  EXPECT_NE(second.err.find("Undone: "), std::string::npos) << second.err;
  EXPECT_EQ(gpu_max(), "318750000");
  ASSERT_EQ(on_it({"restore"}).exit_code, 0);
  EXPECT_TRUE(content(machine_.path()) == before_);
}

TEST_F(Apply, TakesTheNearestLevelAndSaysSo) {
  const auto ran = on_it({"apply", profile({{"settings", {{"gpu_max_hz", 625000000}}}})});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_NE(ran.err.find("gpu_max_hz: 625MHz is no level here; the nearest, 624.8MHz, is taken."), std::string::npos) << ran.err;
  EXPECT_EQ(gpu_max(), "624750000");
}

TEST_F(Apply, RefusesWhatDoesNotFitBeforeItWrites) {
  expect_refused(on_it({"apply", profile({{"machine", {{"board", "Jetson AGX Orin"}}}})}), 1, "another machine");
  expect_refused(on_it({"apply", profile({{"settings", {{"gpu_max_hz", 700000000}}}})}), 1, "gpu_max_hz cannot be 700MHz here");
  expect_refused(on_it({"apply", profile({{"settings", {{"npu_hz", 1}}}})}), 1, "no knob 'npu_hz'");
  expect_refused(on_it({"apply", profile({{"settings", {{"gpu_max_hz", 318750000}, {"gpu_min_hz", 624750000}}}})}), 1,
                 "do not go together");
  expect_refused(on_it({"apply", profile({{"settings", Json::object()}})}), 1, "nothing to set");
  expect_refused(on_it({"apply", profile({{"kind", "another"}})}), 1, "no profile");
  expect_refused(on_it({"apply", profile({{"schema", 2}})}), 1, "schema 2");
  expect_refused(on_it({"apply", scratch("absent.json")}), 1, "absent.json");
  expect_refused(on_it({"apply", profile(), "--slo", "1.2x"}), 2, "--slo");
  expect_refused(on_it({"apply"}), 2, "STUDY");
}

TEST_F(Apply, DryRunSaysWhatItWouldWrite) {
  const auto ran = on_it({"apply", profile(), "--dry-run"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_NE(ran.out.find("gpu_max_hz would be set to 624.8MHz"), std::string::npos) << ran.out;
  EXPECT_TRUE(content(machine_.path()) == before_);
}

TEST(Export, RefusesAStudyWhoseSettingsAreNoMachines) {
  const std::string study = scratch("export.sqlite");
  ASSERT_EQ(run({"tune", "--device", "recorded:" + small_table() + "#net", "--slo", "2x", "--study", study, "--quiet"}).exit_code, 0);
  const auto ran = run({"export", study});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_NE(ran.err.find("no settings of a machine"), std::string::npos) << ran.err;
  EXPECT_EQ(run({"export", study, "--format", "yaml"}).exit_code, 2);
}

}  // namespace
}  // namespace polythrottle::e2e
