#include "platform/rivals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "host/fake.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Rivals : public ::testing::Test {
 protected:
  /// As procfs shows it: arguments that end in NUL.
  void process(int pid, const std::string& name, const std::vector<std::string>& arguments) {
    const std::string folder = "/proc/" + std::to_string(pid);
    files_.nodes[folder + "/comm"] = name + "\n";
    std::string line;
    for (const auto& word : arguments) line += word + '\0';
    files_.nodes[folder + "/cmdline"] = line;
  }
  std::vector<std::string> names() {
    std::vector<std::string> out;
    for (const auto& rival : rivals(host_)) out.push_back(rival.name);
    return out;
  }

  FakeFiles files_{{{"/proc/version", "Linux"}}};
  FakeClock clock_;
  Host host_{files_, clock_};
};

TEST_F(Rivals, AreNoneOnAQuietMachine) {
  process(1, "systemd", {"/sbin/init"});
  process(2, "kthreadd", {});
  process(7, "bash", {"-bash"});
  EXPECT_THAT(rivals(host_), IsEmpty());
  EXPECT_EQ(rivals_note(rivals(host_)), "");
}

TEST_F(Rivals, AScriptIsFoundBehindItsInterpreterAndALongNameBehindTheKernelsCut) {
  process(812, "tuned", {"/usr/bin/python3.11", "-Es", "/usr/sbin/tuned", "-l", "-P"});
  process(900, "power-profiles-", {"/usr/libexec/power-profiles-daemon"});
  process(901, "auto-cpufreq", {"/opt/auto-cpufreq/venv/bin/python", "/usr/local/bin/auto-cpufreq", "--daemon"});
  process(950, "corectrl_helpe", {"/usr/libexec/corectrl/corectrl_helper"});
  EXPECT_THAT(names(), ElementsAre("tuned", "power-profiles-daemon", "auto-cpufreq", "corectrl"));
  const auto found = rivals(host_);
  EXPECT_EQ(found[0].evidence, "process 812 (/usr/bin/python3.11 /usr/sbin/tuned)");
  EXPECT_EQ(found[0].pause, "systemctl stop tuned");
  EXPECT_EQ(found[0].resume, "systemctl start tuned");
  EXPECT_THAT(rivals_note(found), HasSubstr("tuned, power-profiles-daemon, auto-cpufreq, corectrl;"));
}

TEST_F(Rivals, ANameCutByTheKernelIsEnoughWhereTheCommandLineIsGone) {
  process(900, "power-profiles-", {});
  process(901, "power-profile", {});  // shorter than the cut: another program
  const auto found = rivals(host_);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].evidence, "process 900 (power-profiles-)");
}

TEST_F(Rivals, WhatOnlyMentionsANameIsNone) {
  process(50, "vim", {"/usr/bin/vim", "/etc/tuned/tuned-main.conf"});
  process(51, "bash", {"/bin/bash", "-c", "systemctl stop tuned"});
  process(52, "journalctl", {"journalctl", "-u", "tlp"});
  process(53, "python3", {"/usr/bin/python3", "/home/me/tuned.py"});
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(Rivals, WhatComesAndGoesLeavesAMark) {
  files_.nodes["/run/tlp/last_pwr"] = "0 0\n";
  files_.nodes["/etc/systemd/system/multi-user.target.wants/cpupower.service"] = "[Unit]\n";
  const auto found = rivals(host_);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].name, "tlp");
  EXPECT_EQ(found[0].evidence, "/run/tlp/last_pwr");
  EXPECT_THAT(found[0].pause, HasSubstr("TLP_ENABLE=0"));
  EXPECT_EQ(found[1].name, "cpupower");
  EXPECT_FALSE(found[1].may_interfere);  // it has done its work
  EXPECT_THAT(rivals_note(found), ::testing::Not(HasSubstr("cpupower")));
}

TEST_F(Rivals, AnotherStudyCountsOurselvesAndSimulationsDoNot) {
  process(::getpid(), "polythrottle", {"polythrottle", "tune", "--device", "cpu"});
  files_.nodes["/proc/self/cmdline"] = files_.nodes["/proc/" + std::to_string(::getpid()) + "/cmdline"];
  process(70001, "polythrottle", {"polythrottle", "tune", "--device", "cpu"});  // our watchdog: the same words
  process(70002, "polythrottle", {"polythrottle", "tune", "--device", "sim:jetson-orin"});
  process(70003, "polythrottle", {"polythrottle", "probe"});
  EXPECT_THAT(names(), IsEmpty());
  process(70004, "polythrottle", {"./polythrottle", "tune", "--device=cpu", "--model", "a.onnx"});
  EXPECT_THAT(names(), ElementsAre("polythrottle"));
}

TEST_F(Rivals, JetsonClocksShowsInWhatItSet) {
  const std::string gpu = "/sys/class/devfreq/17000000.ga10b/";
  files_.nodes[gpu + "min_freq"] = "1300500000\n";
  files_.nodes[gpu + "max_freq"] = "1300500000\n";
  files_.nodes["/sys/kernel/debug/bpmp/debug/clk/emc/mrq_rate_locked"] = "0\n";
  EXPECT_THAT(names(), IsEmpty());  // a floor alone may be nvpmodel's
  files_.nodes["/sys/kernel/debug/bpmp/debug/clk/emc/mrq_rate_locked"] = "1\n";
  EXPECT_THAT(names(), ElementsAre("jetson_clocks"));
  files_.nodes[gpu + "min_freq"] = "114750000\n";
  EXPECT_THAT(names(), IsEmpty());
}

}  // namespace
}  // namespace polythrottle
