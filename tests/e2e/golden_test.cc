// The program's words on recorded machines, compared with files; tools/update_golden.sh rewrites them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "e2e/program.h"

namespace polythrottle::e2e {
namespace {

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, ProbeSaysWhatThisMachineOffers) {
  const std::string root = POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/" + GetParam();
  const auto ran = run({"--sysroot", root, "probe"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  // Which engines are installed is of the machine that runs the test, not of the fixture.
  const std::string got = ran.out.substr(0, ran.out.find("\nEngines\n"));
  const std::string path = POLYTHROTTLE_SOURCE_DIR "/tests/golden/probe-" + GetParam() + ".txt";
  if (std::getenv("UPDATE_GOLDEN") != nullptr) write(path, got);
  EXPECT_EQ(got, read(path)) << "tools/update_golden.sh accepts the new text";
}

/// Those that are machines.
std::vector<std::string> fixtures() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures")) {
    if (std::filesystem::exists(entry.path() / "sys")) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Golden, testing::ValuesIn(fixtures()), [](const auto& each) {
  std::string name = each.param;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
});

}  // namespace
}  // namespace polythrottle::e2e
