// What an earlier run left.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "host/fake_read_only.h"
#include "knob/fake_lease.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

class RecoverTest : public LeaseTest {};

TEST_F(RecoverTest, WritesBackWhatAKilledRunMoved) {
  leave_record();
  Knob* const knobs[] = {&a, &b};
  const auto report = recover(host, knobs, record);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_THAT(files.writes, ElementsAre(std::pair("/sys/c0", "3"), std::pair("/sys/c1", "1"), std::pair("/sys/a", "3")));
  ASSERT_EQ(report->knobs.size(), 3u);
  EXPECT_EQ(report->knobs.at(0).now, Value("3, 1"));  // no knob c now: the text of its nodes
  EXPECT_FALSE(report->knobs.at(1).moved);
  EXPECT_EQ(report->knobs.at(1).now, Value(2.0));
  EXPECT_FALSE(std::filesystem::exists(record));
  EXPECT_TRUE(recover(host, knobs, record)->knobs.empty());
}

TEST_F(RecoverTest, AnotherBootReportsAndWritesNothing) {
  leave_record({{"boot_id", "boot-0"}});
  files.nodes["/proc/4242/stat"] = stat_line(4242, 555);  // a number used again
  const auto report = recover(host, {}, record);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_TRUE(files.writes.empty());
  ASSERT_EQ(report->knobs.size(), 3u);
  EXPECT_TRUE(report->knobs.at(2).moved);
  EXPECT_FALSE(report->knobs.at(2).written);
  EXPECT_EQ(report->knobs.at(2).found, Value(3.0));
  EXPECT_EQ(report->knobs.at(2).now, Value("1"));
  EXPECT_FALSE(report->knobs.at(2).same);
  EXPECT_TRUE(report->knobs.at(1).same);
  EXPECT_FALSE(std::filesystem::exists(record));
  EXPECT_TRUE(std::filesystem::exists(record + ".previous-boot"));
}

TEST_F(RecoverTest, ComparesNodeByNodeAfterAReboot) {
  leave_record({{"boot_id", "boot-0"}});
  files.nodes["/sys/a"] = "3\n";                            // as found
  files.nodes["/sys/c0"] = files.nodes["/sys/c1"] = "3\n";  // the knob reads the 3 that was found, its second node held 1
  Knob* const knobs[] = {&a, &c};
  const auto report = recover(host, knobs, record);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->knobs.at(0).now, report->knobs.at(0).found);
  EXPECT_FALSE(report->knobs.at(0).same);
  EXPECT_TRUE(report->knobs.at(2).same);
}

TEST_F(RecoverTest, UndoesWhatIsKeptOnlyWhenAskedTo) {
  leave_record({{"kept", {{"source", "b4.sqlite"}, {"config", "a=1 c=2"}, {"time", 1.7e9}}}});
  // Its owner may live on: it has let go.
  files.nodes["/proc/4242/stat"] = stat_line(4242, 555);
  const auto refused = recover(host, {}, record);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kBusy);
  EXPECT_THAT(refused.error().what, HasSubstr("a=1 c=2 of b4.sqlite, kept since "));
  EXPECT_TRUE(files.writes.empty());
  const auto undone = recover(host, {}, record, {.undo_kept = true});
  ASSERT_TRUE(undone) << undone.error().text();
  EXPECT_EQ(files.nodes["/sys/a"], "3\n");
  EXPECT_FALSE(std::filesystem::exists(record));
}

TEST_F(RecoverTest, WhatWasKeptIsOverAfterAReboot) {
  leave_record({{"boot_id", "boot-0"}, {"kept", {{"source", "b4.sqlite"}, {"config", "a=1"}, {"time", 1.7e9}}}});
  EXPECT_FALSE((*look_at_record(host, record))->this_boot);
  EXPECT_TRUE(recover(host, {}, record));
  EXPECT_TRUE(files.writes.empty());
  EXPECT_TRUE(Lease::take(host, {&a}, {.record_path = record}));
}

TEST_F(RecoverTest, LookingSaysWhoseRecordItIsAndTouchesNothing) {
  EXPECT_EQ(*look_at_record(host, record), std::nullopt);
  leave_record({{"notes", {{"power_mode", "0 MAXN"}}}, {"command", "polythrottle tune"}});
  const std::string before = read_record().dump();
  const auto state = *look_at_record(host, record);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->pid, 4242);
  EXPECT_EQ(state->command, "polythrottle tune");
  EXPECT_EQ(state->notes.at("power_mode"), "0 MAXN");
  EXPECT_THAT(state->moved, ElementsAre("a", "c"));
  EXPECT_TRUE(state->this_boot);
  EXPECT_FALSE(state->owned || state->kept);
  files.nodes["/proc/4242/stat"] = stat_line(4242, 555);
  EXPECT_TRUE((*look_at_record(host, record))->owned);
  EXPECT_EQ(read_record().dump(), before);
  EXPECT_TRUE(files.writes.empty());
}

TEST_F(RecoverTest, GoesOnPastAReadOnlyNodeAndOneThatVanished) {
  leave_record();
  files.refuse_write["/sys/c0"] = EROFS;
  files.nodes.erase("/sys/c1");
  const auto report = recover(host, {}, record);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_THAT(report->knobs.at(0).status.error().what, HasSubstr("/sys/c0: Read-only file system"));
  EXPECT_EQ(files.nodes["/sys/a"], "3\n");
  EXPECT_TRUE(std::filesystem::exists(record));
}

TEST_F(RecoverTest, NeedsNoDiskThatTakesWrites) {
  leave_record();
  {
    const ReadOnlyFolder disk(scratch.path());
    if (!disk.works()) GTEST_SKIP() << "this process may not mount: run the test as root";
    const auto recovery = recover(host, {}, record);
    ASSERT_TRUE(recovery) << recovery.error().text();
    for (const auto& restored : recovery->knobs) EXPECT_TRUE(restored.status) << restored.status.error().text();
    EXPECT_EQ(files.nodes["/sys/a"], "3\n");
    EXPECT_FALSE(recovery->whole());
    ASSERT_FALSE(recovery->record);
    EXPECT_THAT(recovery->record.error().what, HasSubstr("the machine is as it was found, but the record " + record + " stays: "));
    EXPECT_THAT(recovery->record.error().what, HasSubstr("Read-only file system"));
    EXPECT_TRUE(std::filesystem::exists(record));
    files.writes.clear();
    ASSERT_TRUE(recover(host, {}, record));
    EXPECT_FALSE(files.writes.empty());
  }
  EXPECT_TRUE(recover(host, {}, record)->whole());
  EXPECT_FALSE(std::filesystem::exists(record));
}

TEST_F(RecoverTest, ARecordThatOthersMayWriteToIsPutAside) {
  leave_record();
  std::filesystem::permissions(record, std::filesystem::perms::others_write, std::filesystem::perm_options::add);
  const auto report = recover(host, {}, record);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, Errc::kCorrupt);
  EXPECT_THAT(report.error().what, HasSubstr("others may write to it"));
  EXPECT_TRUE(std::filesystem::exists(record + ".aside-1"));
  EXPECT_TRUE(files.writes.empty());
}

TEST_F(RecoverTest, ALinkInThePlaceOfTheRecordIsPutAside) {
  leave_record();
  std::filesystem::rename(record, record + ".real");
  std::filesystem::create_symlink(record + ".real", record);
  EXPECT_EQ(recover(host, {}, record).error().code, Errc::kCorrupt);
  EXPECT_TRUE(std::filesystem::is_symlink(record + ".aside-1"));
  EXPECT_TRUE(files.writes.empty());
}

TEST_F(RecoverTest, ALinkInThePlaceOfTheFolderIsNotUsed) {
  leave_record();
  std::filesystem::rename(scratch.path() / "deep", scratch.path() / "elsewhere");
  std::filesystem::create_directory_symlink(scratch.path() / "elsewhere", scratch.path() / "deep");
  EXPECT_EQ(recover(host, {}, record).error().code, Errc::kInvalid);
  EXPECT_EQ(Lease::take(host, {&a}, {.record_path = record}).error().code, Errc::kInvalid);
  EXPECT_TRUE(files.writes.empty());
}

TEST_F(RecoverTest, AFolderThatOthersMayWriteToIsNotUsed) {
  leave_record();
  std::filesystem::permissions(scratch.path() / "deep", std::filesystem::perms::all);
  EXPECT_EQ(recover(host, {}, record).error().code, Errc::kPermission);
  EXPECT_EQ(Lease::take(host, {&a}, {.record_path = record}).error().code, Errc::kPermission);
  EXPECT_TRUE(files.writes.empty());
}

TEST_F(RecoverTest, LeavesALivingOwnerAloneButNotARecycledNumberOrAZombie) {
  leave_record();
  files.nodes["/proc/4242/stat"] = stat_line(4242, 555);
  const auto busy = recover(host, {}, record);
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().code, Errc::kBusy);
  EXPECT_THAT(busy.error().what, HasSubstr("4242"));
  EXPECT_TRUE(files.writes.empty());
  files.nodes["/proc/4242/stat"] = stat_line(4242, 556);
  EXPECT_TRUE(recover(host, {}, record));
  leave_record();
  files.nodes["/proc/4242/stat"] = stat_line(4242, 555, 'Z');
  EXPECT_TRUE(recover(host, {}, record));
}

TEST_F(RecoverTest, ACorruptRecordIsPutAsideUnread) {
  const std::string evil = R"({"schema":1,"boot_id":"boot-1","pid":1,"pid_start":0,"started":0,"knobs":[
      {"name":"a","found":1,"asked":2,"nodes":[{"path":"/etc/passwd","text":"x"}]}]})";
  std::filesystem::create_directories(scratch.path() / "deep");
  int count = 0;
  for (const std::string& text : {std::string("{\"schema\":1,"), std::string("[]"), std::string("{\"schema\":9}"), std::string(), evil}) {
    std::ofstream(record) << text;
    const auto report = recover(host, {}, record);
    ASSERT_FALSE(report) << text;
    EXPECT_EQ(report.error().code, Errc::kCorrupt);
    const std::string aside = record + ".aside-" + std::to_string(++count);
    EXPECT_THAT(report.error().hint, HasSubstr(aside));
    std::ostringstream kept;
    kept << std::ifstream(aside).rdbuf();
    EXPECT_EQ(kept.str(), text);
    EXPECT_FALSE(std::filesystem::exists(record));
  }
  EXPECT_TRUE(files.writes.empty());
}

}  // namespace
}  // namespace polythrottle
