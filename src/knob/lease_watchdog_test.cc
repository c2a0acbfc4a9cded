#include "knob/lease_watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "host/fake.h"

namespace polythrottle::lease {
namespace {

using ::testing::HasSubstr;

/// A shell in the place of the program; "$0 $1" are "--fd 3".
std::vector<std::string> shell(const std::string& script) { return {"/bin/sh", "-c", script}; }

TEST(WatchdogProcess, HearsWhoWeAreAndThatAllIsWell) {
  const ScratchFolder scratch;
  const std::string heard = (scratch.path() / "heard").string();
  ASSERT_EQ(::mkfifo(heard.c_str(), 0600), 0);
  auto watchdog = Watchdog::start(shell("printf r >&3; { cat <&3; echo $0 $1; } >" + heard));
  ASSERT_TRUE(watchdog) << watchdog.error().text();
  EXPECT_TRUE((*watchdog)->alive());
  watchdog->reset();  // without a word: the end of the file
  std::ostringstream said;
  said << std::ifstream(heard).rdbuf();
  EXPECT_EQ(said.str(), "owner " + std::to_string(::getpid()) + "\n--fd 3\n");
}

TEST(WatchdogProcess, IsWaitedForWhenItIsReleased) {
  const ScratchFolder scratch;
  const std::string heard = (scratch.path() / "heard").string();
  auto watchdog = Watchdog::start(shell("printf r >&3; read one <&3; read two <&3; echo $two >" + heard));
  ASSERT_TRUE(watchdog) << watchdog.error().text();
  (*watchdog)->release();
  EXPECT_FALSE((*watchdog)->alive());
  watchdog->reset();
  EXPECT_EQ(*read_file(heard), "done\n");
}

TEST(WatchdogProcess, OneThatEndsOrSaysSomethingElseIsRefused) {
  for (const char* script : {"true", "exit 3", "printf x >&3; cat <&3", "kill -9 $$"}) {
    const auto watchdog = Watchdog::start(shell(script));
    ASSERT_FALSE(watchdog) << script;
    EXPECT_EQ(watchdog.error().code, Errc::kIo);
    EXPECT_THAT(watchdog.error().what, HasSubstr("start the watchdog /bin/sh: it ended before it was ready"));
  }
  const auto absent = Watchdog::start({"/no/such/program"});
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, Errc::kNotFound);
}

TEST(WatchdogProcess, IsSeenToDie) {
  const auto watchdog = Watchdog::start(shell("printf r >&3; read one <&3"));
  ASSERT_TRUE(watchdog) << watchdog.error().text();
  while ((*watchdog)->alive()) ::sched_yield();
}

}  // namespace
}  // namespace polythrottle::lease
