#include "helper/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>

#include "host/fake_read_only.h"
#include "knob/fake_lease.h"
#include "knob/lease_files.h"
#include "knob/lease_lock.h"

namespace polythrottle {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Json = nlohmann::json;

constexpr long long kOwner = 4242;  // as leave_record has it

class WatchdogTest : public LeaseTest {
 protected:
  /// What becomes of an owner who says this and is gone.
  Result<Watched> watch(const std::string& words) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const lease::Descriptor theirs(ends[1]);
    {
      const lease::Descriptor ours(ends[0]);
      EXPECT_EQ(::send(ours.number(), words.data(), words.size(), 0), static_cast<ssize_t>(words.size()));
    }
    return watch_owner(host, record, theirs.number());
  }
  bool has_record() const { return std::filesystem::exists(record); }
};

TEST_F(WatchdogTest, RestoresWhenTheOwnerEndsWithoutAWord) {
  leave_record();
  const auto watched = watch("owner 4242\n");
  ASSERT_TRUE(watched) << watched.error().text();
  EXPECT_EQ(watched->owner, kOwner);
  EXPECT_TRUE(watched->died);
  EXPECT_EQ(watched->recovery.knobs.size(), 3u);
  EXPECT_EQ(files.nodes["/sys/a"], "3\n");
  EXPECT_EQ(files.nodes["/sys/c1"], "1\n");
  EXPECT_FALSE(has_record());
}

TEST_F(WatchdogTest, DoesNothingWhenTheOwnerSaysThatAllIsWell) {
  leave_record();
  const auto watched = watch("owner 4242\ndone\n");
  ASSERT_TRUE(watched) << watched.error().text();
  EXPECT_FALSE(watched->died);
  EXPECT_THAT(watched->recovery.knobs, IsEmpty());
  EXPECT_THAT(files.writes, Not(Contains(testing::Pair(HasSubstr("/sys/"), testing::_))));
  EXPECT_TRUE(has_record());
}

TEST_F(WatchdogTest, HalfAWordIsNoWord) {
  leave_record();
  EXPECT_TRUE(watch("owner 4242\ndon")->died);
  EXPECT_EQ(files.nodes["/sys/a"], "3\n");
}

TEST_F(WatchdogTest, SaysThatItWatchesOnlyWhenItDoes) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const lease::Descriptor ours(ends[0]), theirs(ends[1]);
  const std::string words = "owner 4242\ndone\n";
  ASSERT_EQ(::send(ours.number(), words.data(), words.size(), 0), static_cast<ssize_t>(words.size()));
  ASSERT_TRUE(watch_owner(host, record, theirs.number()));
  char said[4] = {};
  EXPECT_EQ(::recv(ours.number(), said, sizeof said, MSG_DONTWAIT), 1);
  EXPECT_EQ(said[0], 'r');
}

TEST_F(WatchdogTest, LeavesAloneWhatIsGoneKeptOrAnothers) {
  EXPECT_THAT(watch("owner 4242\n")->recovery.knobs, IsEmpty());
  leave_record();
  EXPECT_THAT(watch("owner 7\n")->recovery.knobs, IsEmpty());
  EXPECT_TRUE(has_record());
  std::filesystem::remove(record);
  leave_record({{"kept", {{"source", "s"}, {"config", "c"}, {"time", 1.7e9}}}});
  EXPECT_THAT(watch("owner 4242\n")->recovery.knobs, IsEmpty());
  EXPECT_TRUE(has_record());
  EXPECT_EQ(files.nodes["/sys/a"], "1\n");
}

TEST_F(WatchdogTest, WaitsForTheLockThatTheLastThreadsOfTheDeadStillHold) {
  leave_record();
  std::optional<lease::Lock> dying = *lease::Lock::take(host, record);
  const auto gone = clock.every(Seconds(0.25), [&] { dying.reset(); });
  const auto watched = watch("owner 4242\n");
  ASSERT_TRUE(watched) << watched.error().text();
  EXPECT_EQ(files.nodes["/sys/a"], "3\n");
  EXPECT_LT(clock.now().time_since_epoch().count(), 0.4);
}

TEST_F(WatchdogTest, DoesNotWaitForEver) {
  leave_record();
  const auto held = lease::Lock::take(host, record);
  const auto watched = watch("owner 4242\n");
  ASSERT_FALSE(watched);
  EXPECT_EQ(watched.error().code, Errc::kBusy);
}

TEST_F(WatchdogTest, AsksToBeSparedWhenMemoryRunsOut) {
  files.nodes["/proc/self/oom_score_adj"] = "200\n";
  ASSERT_TRUE(watch("owner 4242\ndone\n"));
  EXPECT_EQ(files.nodes["/proc/self/oom_score_adj"], "-1000\n");
}

TEST_F(WatchdogTest, LeavesTheControlGroupOfItsOwnersQuota) {
  const std::string group = "/sys/fs/cgroup/cpu/polythrottle-4242", pid = std::to_string(::getpid());
  leave_record(
      {{"knobs", {{{"name", "cpu_quota_ratio"}, {"found", 1.0}, {"asked", 0.5}, {"nodes", {{{"path", group}, {"text", nullptr}}}}}}}});
  files.folders.insert(group);
  files.nodes[group + "/cgroup.procs"] = "12\n" + pid + "\n";
  files.nodes["/sys/fs/cgroup/cpu/cgroup.procs"] = "1\n";
  const auto watched = watch("owner 4242\n");
  ASSERT_TRUE(watched) << watched.error().text();
  EXPECT_EQ(files.nodes["/sys/fs/cgroup/cpu/cgroup.procs"], pid + "\n");
  EXPECT_FALSE(files.folders.contains(group));
  EXPECT_FALSE(has_record());
}

TEST_F(WatchdogTest, ReportsWhatIsRefusedAndLeavesTheRecord) {
  leave_record();
  files.refuse_write["/sys/c0"] = EIO;
  const auto watched = watch("owner 4242\n");
  ASSERT_TRUE(watched) << watched.error().text();
  EXPECT_FALSE(watched->recovery.knobs.at(0).status);
  EXPECT_TRUE(watched->recovery.knobs.at(2).status);
  EXPECT_EQ(files.nodes["/sys/a"], "3\n");
  EXPECT_TRUE(has_record());
}

TEST_F(WatchdogTest, RestoresWhereNoRecordCanBeWritten) {
  leave_record();
  const ReadOnlyFolder disk(scratch.path());
  if (!disk.works()) GTEST_SKIP() << "this process may not mount: run the test as root";
  const auto watched = watch("owner 4242\n");
  ASSERT_TRUE(watched) << watched.error().text();
  EXPECT_EQ(files.nodes["/sys/a"], "3\n");
  EXPECT_FALSE(watched->recovery.record);
}

TEST_F(WatchdogTest, AnOwnerWithoutANameIsAnError) {
  for (const char* words : {"", "hello\n", "owner x\n", "owner -3\n"}) {
    const auto watched = watch(words);
    ASSERT_FALSE(watched) << words;
    EXPECT_EQ(watched.error().code, Errc::kIo);
  }
}

TEST_F(WatchdogTest, AGuardRestoresForTheDeadOnly) {
  EXPECT_FALSE(guard_once(host, record)->died);
  leave_record();
  files.nodes["/proc/4242/stat"] = stat_line(kOwner, 555);
  EXPECT_FALSE(guard_once(host, record)->died);
  EXPECT_EQ(files.nodes["/sys/a"], "1\n");
  files.nodes.erase("/proc/4242/stat");
  {
    const auto busy = lease::Lock::take(host, record);
    EXPECT_FALSE(guard_once(host, record)->died);
  }
  const auto watched = guard_once(host, record);
  ASSERT_TRUE(watched) << watched.error().text();
  EXPECT_TRUE(watched->died);
  EXPECT_EQ(watched->owner, kOwner);
  EXPECT_EQ(files.nodes["/sys/a"], "3\n");
  EXPECT_FALSE(has_record());
}

TEST_F(WatchdogTest, AGuardLeavesAloneWhatIsKeptOrOfAnotherBoot) {
  for (const Json& change : {Json{{"kept", {{"source", "s"}, {"config", "c"}, {"time", 1.7e9}}}}, Json{{"boot_id", "boot-0"}}}) {
    leave_record(change);
    const auto watched = guard_once(host, record);
    ASSERT_TRUE(watched) << watched.error().text();
    EXPECT_FALSE(watched->died);
    EXPECT_TRUE(has_record());
    EXPECT_TRUE(files.writes.empty());
    files.nodes["/sys/a"] = "3\n";
    files.nodes["/sys/c0"] = "3\n";
    files.nodes["/sys/c1"] = "1\n";
    std::filesystem::remove(record);
  }
}

TEST_F(WatchdogTest, AGuardSaysOnceThatARecordIsNoRecord) {
  leave_record();
  std::ofstream(record) << "{}";
  const auto watched = guard_once(host, record);
  ASSERT_FALSE(watched);
  EXPECT_EQ(watched.error().code, Errc::kCorrupt);
  EXPECT_TRUE(guard_once(host, record));
}

}  // namespace
}  // namespace polythrottle
