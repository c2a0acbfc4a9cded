// What probe says of the power modes of a Jetson when they are not as nvpmodel left them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "e2e/program.h"

namespace polythrottle::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kStatus = "/var/lib/nvpmodel/status";
constexpr const char* kMaxFreq = "/sys/devices/platform/17000000.gpu/devfreq/17000000.gpu/max_freq";

/// An Orin Nano in a folder of its own; its power mode, 25W, caps the GPU at 918 MHz.
class PowerModes : public testing::Test {
 protected:
  PowerModes() {
    std::filesystem::copy(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/jetson-orin-nano-jp62", root,
                          std::filesystem::copy_options::recursive | std::filesystem::copy_options::copy_symlinks);
  }
  std::string probe() const {
    const auto ran = run({"--sysroot", root, "probe"});
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    return ran.out;
  }
  void put(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
    write(root + path, text);
  }
  const std::string root = scratch(testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(PowerModes, ACeilingThatWasLoweredOrRaisedSinceIsSaid) {
  EXPECT_THAT(probe(), Not(HasSubstr("something else has changed it")));
  put(kMaxFreq, "612000000\n");
  EXPECT_THAT(probe(), HasSubstr("gpu_max_hz is at 612MHz, though this mode allows 918MHz"));
  put(kMaxFreq, "1020000000\n");
  const std::string raised = probe();
  EXPECT_THAT(raised, HasSubstr("gpu_max_hz is at 1020MHz, though this mode caps it at 918MHz"));
  EXPECT_THAT(raised, HasSubstr("gpu_max_hz  8 levels"));  // the machine runs there already
}

TEST_F(PowerModes, TheModeSetLastDecidesAndOneThatIsNotListedIsSaid) {
  put(kStatus, "pmode:0003\n");
  const std::string lowest = probe();
  EXPECT_THAT(lowest, HasSubstr("  *  3  7W"));
  EXPECT_THAT(lowest, HasSubstr("in force, as written by nvpmodel"));
  EXPECT_THAT(lowest, HasSubstr("though this mode caps it at 408MHz"));
  put(kStatus, "pmode:0009\n");
  const std::string unknown = probe();
  EXPECT_THAT(unknown, HasSubstr("mode 9 is in force as written by nvpmodel, and is none of these"));
  EXPECT_THAT(unknown, HasSubstr("gpu_max_hz  8 levels"));
}

TEST_F(PowerModes, AFileWithoutModesIsAnAbsenceWithAReason) {
  put("/etc/nvpmodel.conf", "nothing\n");
  EXPECT_THAT(probe(), HasSubstr("absent (corrupt): read the power modes: there is no POWER_MODEL section in /etc/nvpmodel.conf"));
}

}  // namespace
}  // namespace polythrottle::e2e
