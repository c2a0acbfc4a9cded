#include "host/injection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "host/fake.h"

namespace polythrottle {
namespace {

using ::testing::HasSubstr;
using ::testing::KilledBySignal;

constexpr const char* kNode = "/sys/node";

std::unique_ptr<Injection> make(const std::string& text) {
  auto injection = Injection::parse(text);
  EXPECT_TRUE(injection) << injection.error().text();
  return injection ? std::move(*injection) : nullptr;
}

std::string content(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

/// The fake machine behind points, and the fake itself to look at.
struct Machine {
  explicit Machine(Injection& injection) {
    auto made = std::make_unique<FakeFiles>(std::map<std::string, std::string>{{kNode, "1\n"}});
    fake = made.get();
    files = injected_files(std::move(made), injection);
  }
  FakeFiles* fake;
  std::unique_ptr<Files> files;
};

TEST(Injection, RefusesWhatItDoesNotKnowAndSaysWhatThereIs) {
  for (const char* text : {"",
                           "kill",
                           "kill:self",
                           "kill:self@",
                           "kill:self@0",
                           "kill:self@-1",
                           "kill:self@1x",
                           "kill:me@3",
                           "kill:@3",
                           "fail:EIO",
                           "fail:EIO@",
                           "fail:EIO@+",
                           "fail:EIO@0+",
                           "fail:EWHAT@3",
                           "fail:5@3",
                           "count",
                           "count:",
                           "stop:self@1",
                           "kill:self@3+",
                           "kill:self@99999999999999999999"}) {
    const auto injection = Injection::parse(text);
    ASSERT_FALSE(injection) << text;
    EXPECT_EQ(injection.error().code, Errc::kInvalid) << text;
    EXPECT_THAT(injection.error().text(), HasSubstr("POLYTHROTTLE_INJECT")) << text;
    EXPECT_THAT(injection.error().hint, HasSubstr("kill:both@N")) << text;
  }
  EXPECT_EQ(Injection::parse("count:/absent/folder/list").error().code, Errc::kNotFound);
}

TEST(Injection, IsTakenOutOfTheEnvironmentSoThatNoOtherProcessHasIt) {
  ASSERT_EQ(::setenv(Injection::kVariable, "kill:self@7", 1), 0);
  const auto taken = Injection::take_from_environment();
  ASSERT_TRUE(taken);
  EXPECT_NE(*taken, nullptr);
  EXPECT_EQ(std::getenv(Injection::kVariable), nullptr);

  ASSERT_EQ(::setenv(Injection::kVariable, "nonsense", 1), 0);
  EXPECT_FALSE(Injection::take_from_environment());
  EXPECT_EQ(std::getenv(Injection::kVariable), nullptr);
}

TEST(Injection, IsNotThereWhereTheVariableIsNotSet) {
  ::unsetenv(Injection::kVariable);
  const auto taken = Injection::take_from_environment();
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, nullptr);
}

TEST(Injection, ListsThePointsOfAllItsDecoratorsUnderOneCount) {
  const std::string list = ::testing::TempDir() + "polythrottle-points-" + std::to_string(::getpid());
  const auto injection = make("count:" + list);
  Machine machine(*injection);
  injection->before("journal begin");
  injection->after("journal begin");
  ASSERT_TRUE(machine.files->write(kNode, "2"));
  ASSERT_TRUE(machine.files->make_folder("/sys/fs/group"));
  ASSERT_TRUE(machine.files->remove_folder("/sys/fs/group"));
  EXPECT_FALSE(machine.files->write("/sys/absent", "2"));  // a refusal is passed on, and is a place like any other
  ASSERT_TRUE(machine.files->read(kNode));
  ASSERT_TRUE(machine.files->writable(kNode));

  EXPECT_EQ(content(list),
            "1 before journal begin\n2 after journal begin\n"
            "3 before write /sys/node\n4 after write /sys/node\n"
            "5 before make folder /sys/fs/group\n6 after make folder /sys/fs/group\n"
            "7 before remove folder /sys/fs/group\n8 after remove folder /sys/fs/group\n"
            "9 before write /sys/absent\n10 after write /sys/absent\n");
  EXPECT_EQ(machine.fake->nodes.at(kNode), "2\n");
  ::unlink(list.c_str());
}

TEST(Injection, FailsTheOneWriteItStandsBefore) {
  const auto injection = make("fail:EBUSY@3");
  Machine machine(*injection);
  ASSERT_TRUE(machine.files->write(kNode, "2"));
  const auto refused = machine.files->write(kNode, "3");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kBusy);
  EXPECT_THAT(refused.error().what, HasSubstr("write /sys/node (injected)"));
  EXPECT_EQ(machine.fake->nodes.at(kNode), "2\n");
  EXPECT_TRUE(machine.files->write(kNode, "4"));
}

TEST(Injection, FailsEveryWriteFromAPlaceOn) {
  const auto injection = make("fail:EIO@3+");
  Machine machine(*injection);
  ASSERT_TRUE(machine.files->write(kNode, "2"));
  EXPECT_FALSE(machine.files->write(kNode, "3"));
  EXPECT_FALSE(machine.files->make_folder("/sys/fs/group"));
  EXPECT_FALSE(machine.files->write(kNode, "4"));
  EXPECT_EQ(machine.fake->nodes.at(kNode), "2\n");
  EXPECT_TRUE(machine.fake->folders.empty());
}

TEST(Injection, FailsNothingWhereThePointStandsAfterAWrite) {
  const auto injection = make("fail:EIO@2");
  Machine machine(*injection);
  EXPECT_TRUE(machine.files->write(kNode, "2"));
  EXPECT_TRUE(machine.files->write(kNode, "3"));
}

/// Writes twice, and ends well if nothing happens. Point 3 stands before the second write, 4 after it.
void write_twice(const std::string& text, const std::string& witness) {
  const auto injection = Injection::parse(text);
  const auto files = injected_files(real_files(), **injection);
  std::ofstream(witness) << "0\n";
  (void)files->write(witness, "1\n");
  (void)files->write(witness, "2\n");
  ::_exit(0);
}

TEST(InjectionDeath, KillsThisProcessBeforeOrAfterAWrite) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const std::string witness = ::testing::TempDir() + "polythrottle-witness";
  EXPECT_EXIT(write_twice("kill:self@3", witness), KilledBySignal(SIGKILL), "");
  EXPECT_EQ(content(witness), "1\n");
  EXPECT_EXIT(write_twice("kill:self@4", witness), KilledBySignal(SIGKILL), "");
  EXPECT_EQ(content(witness), "2\n");
  EXPECT_EXIT(write_twice("kill:both@4", witness), KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(write_twice("kill:self@5", witness), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(write_twice("kill:watchdog@3", witness), ::testing::ExitedWithCode(0), "");  // there is none
  ::unlink(witness.c_str());
}

TEST(Injection, KillsTheWatchdogAndGoesOn) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  const auto injection = make("kill:watchdog@2");
  injection->set_watchdog([child] { return child; });
  EXPECT_EQ(injection->before("write"), 0);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, WNOHANG), 0);  // not at the first point
  injection->after("write");
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

}  // namespace
}  // namespace polythrottle
