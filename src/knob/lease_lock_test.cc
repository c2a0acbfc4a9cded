#include "knob/lease_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <optional>

#include "host/fake.h"

namespace polythrottle::lease {
namespace {

using ::testing::HasSubstr;

class LeaseLock : public ::testing::Test {
 protected:
  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  ScratchFolder scratch;
  std::string record = (scratch.path() / "lease.json").string();
};

TEST_F(LeaseLock, IsRefusedAtOnceWhileSomebodyHoldsTheMachine) {
  const auto first = Lock::take(host, record);
  ASSERT_TRUE(first);
  const auto second = Lock::take(host, record);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kBusy);
  EXPECT_THAT(second.error().what, HasSubstr("process " + std::to_string(::getpid()) + " holds it since "));
  EXPECT_EQ(clock.now().time_since_epoch().count(), 0.0);
}

TEST_F(LeaseLock, IsWaitedForWhileSomebodyGivesTheMachineBack) {
  std::optional<Lock> first = *Lock::take(host, record, true);
  const auto leaves = clock.every(Seconds(0.7), [&] { first.reset(); });
  EXPECT_TRUE(Lock::take(host, record));
  EXPECT_NEAR(clock.now().time_since_epoch().count(), 0.7, 0.01);
}

TEST_F(LeaseLock, IsNotWaitedForForEver) {
  const auto first = Lock::take(host, record, true);
  const auto second = Lock::take(host, record);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().what, HasSubstr("has been giving it back since "));
}

TEST_F(LeaseLock, LeavesAnEmptyFileBehind) {
  { const auto lock = Lock::take(host, record); }
  EXPECT_EQ(*read_file(record + ".lock"), "");
  EXPECT_TRUE(Lock::take(host, record));
}

/// flock(2) asks for no right to write: whoever can open the file can hold the machine for ever.
TEST_F(LeaseLock, NobodyElseMayOpenTheFile) {
  using std::filesystem::perms;
  constexpr perms kOwners = perms::owner_read | perms::owner_write;
  { const auto lock = Lock::take(host, record); }
  EXPECT_EQ(std::filesystem::status(record + ".lock").permissions(), kOwners);
  std::filesystem::permissions(record + ".lock", kOwners | perms::group_read | perms::others_read);  // as earlier versions made it
  const auto lock = Lock::take(host, record);
  EXPECT_EQ(std::filesystem::status(record + ".lock").permissions(), kOwners);
}

/// No file may grow: what a full disk answers, for this process alone.
class NoSpace {
 public:
  NoSpace() {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit none{0, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &none);
  }
  ~NoSpace() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = std::signal(SIGXFSZ, SIG_IGN);
};

TEST_F(LeaseLock, HoldsWithoutRoomForItsHoldersName) {
  { const auto made = Lock::take(host, record); }
  const NoSpace no_space;
  const auto lock = Lock::take(host, record, true);
  ASSERT_TRUE(lock) << lock.error().text();
  EXPECT_EQ(*read_file(record + ".lock"), "");
  EXPECT_EQ(Lock::take(host, record, true).error().code, Errc::kBusy);
}

TEST_F(LeaseLock, ALinkInItsPlaceIsRefused) {
  std::filesystem::create_symlink(scratch.path() / "elsewhere", record + ".lock");
  EXPECT_FALSE(Lock::take(host, record));
  EXPECT_FALSE(std::filesystem::exists(scratch.path() / "elsewhere"));
}

}  // namespace
}  // namespace polythrottle::lease
