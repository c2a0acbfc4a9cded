#include "knob/lease.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <random>

#include "host/fake_read_only.h"
#include "knob/fake_lease.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

TEST_F(LeaseTest, RecordsWhatWasFoundBeforeTheFirstWrite) {
  bool on_disk = false;
  files.on_write = [&](const std::string& path, const std::string&) {
    if (path == "/sys/a") on_disk = read_record()["knobs"][0]["asked"] == 1.0;
  };
  const auto lease = take({&a, &c});
  EXPECT_TRUE(files.writes.empty());
  EXPECT_EQ(lease->found(), (Config{{"a", 3.0}, {"c", 3.0}}));
  const Json json = read_record();
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["boot_id"], "boot-1");
  EXPECT_EQ(json["pid"], ::getpid());
  EXPECT_EQ(json["pid_start"], 555);
  EXPECT_EQ(json["knobs"][0]["asked"], nullptr);
  EXPECT_EQ(json["knobs"][1]["nodes"], Json::parse(R"([{"path":"/sys/c0","text":"3\n"},{"path":"/sys/c1","text":"1\n"}])"));
  ASSERT_TRUE(lease->apply({{"a", 1.0}}));
  EXPECT_TRUE(on_disk);
}

TEST_F(LeaseTest, RestoresInReverseOnlyWhatWasMovedAndEveryNodeExactly) {
  auto lease = take({&a, &b, &c, &memory});
  EXPECT_EQ(*lease->apply({{"c", 2.0}, {"a", 1.0}, {"batch", 8.0}, {"memory", 8.0}}),
            (Config{{"a", 1.0}, {"b", 2.0}, {"c", 2.0}, {"memory", 8.0}}));
  // In the order of the knobs, not of the configuration.
  EXPECT_THAT(files.writes, ElementsAre(std::pair("/sys/a", "1"), std::pair("/sys/c0", "2"), std::pair("/sys/c1", "2")));
  files.writes.clear();
  const auto report = lease->restore();
  EXPECT_THAT(files.writes, ElementsAre(std::pair("/sys/c0", "3"), std::pair("/sys/c1", "1"), std::pair("/sys/a", "3")));
  EXPECT_EQ(memory.value, 7.0);
  ASSERT_EQ(report.size(), 4u);
  EXPECT_EQ(report[0].knob, "memory");
  EXPECT_EQ(report[1].knob, "c");
  EXPECT_EQ(report[1].now, Value(3.0));
  EXPECT_TRUE(report[1].moved && report[1].written && report[1].status);
  EXPECT_FALSE(report[2].moved);
  EXPECT_FALSE(std::filesystem::exists(record));
  files.writes.clear();
  EXPECT_EQ(lease->restore().size(), 4u);
  EXPECT_TRUE(files.writes.empty());
  EXPECT_EQ(lease->apply({{"a", 1.0}}).error().code, Errc::kInvalid);
}

TEST_F(LeaseTest, WaitsForWhatComesIntoForceBehindItsWrite) {
  files.lie.insert("/sys/a");  // as cpufreq does: the write is taken, the limit follows
  const auto later = clock.every(Seconds(0.1), [&] { files.nodes["/sys/a"] = "1\n"; });
  const auto lease = take({&a, &b});
  const auto got = lease->apply({{"a", 1.0}});
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(got->get("a"), Value(1.0));
}

TEST_F(LeaseTest, DoesNotWaitForEverForWhatNeverComes) {
  files.lie.insert("/sys/a");
  const auto lease = take({&a, &b});
  const auto began = clock.now();
  const auto got = lease->apply({{"a", 1.0}});
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(got->get("a"), Value(3.0));
  EXPECT_LT((clock.now() - began).count(), 2.0);
}

TEST_F(LeaseTest, DestroyingItRestores) {
  ASSERT_TRUE(take({&a})->apply({{"a", 1.0}}));
  EXPECT_EQ(files.nodes["/sys/a"], "3\n");
  EXPECT_FALSE(std::filesystem::exists(record));
}

TEST_F(LeaseTest, LeavesAloneWhatIsAlreadySo) {
  const auto lease = take({&a});
  ASSERT_TRUE(lease->apply({{"a", 1.0}}));
  ASSERT_TRUE(lease->apply({{"a", 1.0}}));
  EXPECT_EQ(files.writes.size(), 1u);
  files.nodes["/sys/a"] = "2\n";  // a rival
  ASSERT_TRUE(lease->apply({{"a", 1.0}}));
  EXPECT_EQ(files.writes.size(), 2u);
}

TEST_F(LeaseTest, WithoutKnobsNothingIsWritten) {
  const auto lease = take({});
  EXPECT_TRUE(lease->found().empty());
  EXPECT_TRUE(lease->restore().empty());
  EXPECT_FALSE(std::filesystem::exists(scratch.path() / "deep"));
}

TEST_F(LeaseTest, ARefusedWriteStopsTheApplyAndIsStillRestored) {
  auto lease = take({&a, &b});
  files.refuse_write["/sys/b"] = EINVAL;
  const auto refused = lease->apply({{"a", 1.0}, {"b", 1.0}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kInvalid);
  EXPECT_THAT(refused.error().what, HasSubstr("/sys/b"));
  files.refuse_write.clear();
  lease->restore();
  EXPECT_EQ(files.nodes["/sys/a"], "3\n");
}

TEST_F(LeaseTest, ARefusedRestoreGoesOnAndKeepsTheRecord) {
  auto lease = take({&a, &b, &c});
  ASSERT_TRUE(lease->apply({{"a", 1.0}, {"b", 1.0}, {"c", 2.0}}));
  files.refuse_write["/sys/c0"] = EACCES;
  auto report = lease->restore();
  EXPECT_EQ(report[0].status.error().code, Errc::kPermission);
  EXPECT_EQ(report[0].now, Value(2.0));
  EXPECT_EQ(files.nodes["/sys/c1"], "1\n");
  EXPECT_EQ(files.nodes["/sys/b"], "2\n");
  EXPECT_EQ(files.nodes["/sys/a"], "3\n");
  EXPECT_TRUE(std::filesystem::exists(record));
  // The next run finds it, and brings back the rest.
  lease.reset();
  EXPECT_EQ(Lease::take(host, {&a}, {.record_path = record}).error().code, Errc::kCorrupt);
  files.refuse_write.clear();
  const auto recovered = recover(host, {}, record);
  ASSERT_TRUE(recovered) << recovered.error().text();
  EXPECT_EQ(files.nodes["/sys/c0"], "3\n");
  EXPECT_FALSE(std::filesystem::exists(record));
}

TEST_F(LeaseTest, ANodeThatLiesIsReported) {
  auto lease = take({&a});
  files.lie.insert("/sys/a");
  EXPECT_EQ(*lease->apply({{"a", 1.0}}), (Config{{"a", 3.0}}));
  files.nodes["/sys/a"] = "2\n";
  const auto report = lease->restore();
  ASSERT_FALSE(report[0].status);
  EXPECT_EQ(report[0].status.error().code, Errc::kIo);
  EXPECT_THAT(report[0].status.error().what, HasSubstr("reads 2"));
  EXPECT_EQ(report[0].now, Value(2.0));
  EXPECT_TRUE(std::filesystem::exists(record));
  files.lie.clear();
  EXPECT_TRUE(lease->restore()[0].status);
  EXPECT_FALSE(std::filesystem::exists(record));
}

TEST_F(LeaseTest, HasPatienceWithFirmwareThatFollowsLater) {
  auto lease = take({&a});
  ASSERT_TRUE(lease->apply({{"a", 1.0}}));
  files.lie.insert("/sys/a");
  const auto later = clock.every(Seconds(0.3), [this] { files.nodes["/sys/a"] = "3\n"; });
  EXPECT_TRUE(lease->restore()[0].status);
  EXPECT_LT(clock.now().time_since_epoch().count(), 0.4);
}

TEST_F(LeaseTest, OnlyOneAtATime) {
  const auto lease = take({&a});
  const auto second = Lease::take(host, {&b}, {.record_path = record});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kBusy);
  EXPECT_THAT(second.error().what, HasSubstr(std::to_string(::getpid())));
  EXPECT_EQ(recover(host, {}, record).error().code, Errc::kBusy);
}

TEST_F(LeaseTest, NeverOverwritesARecord) {
  leave_record();
  const Json before = read_record();
  const auto lease = Lease::take(host, {&a}, {.record_path = record});
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().code, Errc::kCorrupt);
  EXPECT_EQ(read_record(), before);
  EXPECT_TRUE(files.writes.empty());
}

TEST_F(LeaseTest, AKnobThatCannotBeReadLeavesNoRecord) {
  files.refuse_read["/sys/b"] = EIO;
  EXPECT_EQ(Lease::take(host, {&a, &b}, {.record_path = record}).error().code, Errc::kIo);
  EXPECT_FALSE(std::filesystem::exists(record));
  EXPECT_TRUE(Lease::take(host, {&a}, {.record_path = record}));
}

TEST_F(LeaseTest, AnUnwritableFolderMeansNothingIsTouched) {
  std::ofstream(scratch.path() / "deep") << "a file in the way";
  const auto lease = Lease::take(host, {&a}, {.record_path = record});
  ASSERT_FALSE(lease);
  EXPECT_TRUE(files.writes.empty());
}

TEST_F(LeaseTest, ARecordThatCannotBeRenewedStopsBeforeTheKnobMoves) {
  auto lease = take({&a});
  std::filesystem::create_directory(record + ".new");
  EXPECT_FALSE(lease->apply({{"a", 1.0}}));
  EXPECT_TRUE(files.writes.empty());
}

/// Else every setting of a search would count as one that the machine refuses.
TEST_F(LeaseTest, ADiskThatTakesNoRecordIsNoRefusalOfAKnob) {
  auto lease = take({&a});
  const ReadOnlyFolder disk(scratch.path());
  if (!disk.works()) GTEST_SKIP() << "this process may not mount: run the test as root";
  const auto applied = lease->apply({{"a", 1.0}});
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().code, Errc::kIo);
  EXPECT_THAT(applied.error().what, HasSubstr("Read-only file system"));
  EXPECT_TRUE(files.writes.empty());
}

/// Two steps on the way to what was found, as knobs whose floor must be out of the way first have them.
class StepKnob : public FileKnob {
 public:
  using FileKnob::FileKnob;
  Result<std::vector<FoundNode>> found_nodes() override {
    TRY(auto nodes, FileKnob::found_nodes());
    nodes.insert(nodes.begin(), {nodes.front().path, "1"});
    return nodes;
  }
};

/// A level that can be set while a switch is on.
class TwoNodes : public FileKnob {
 public:
  explicit TwoNodes(FakeFiles& files) : FileKnob(files, "two", {"/sys/a"}) { files.nodes["/sys/switch"] = "0\n"; }
  Result<std::vector<FoundNode>> found_nodes() override {
    return std::vector<FoundNode>{{"/sys/switch", "1"}, {"/sys/a", "3\n"}, {"/sys/switch", "0\n"}};
  }
};

TEST_F(LeaseTest, AStepOnTheWayNeedNotHold) {
  StepKnob steps{files, "steps", {"/sys/a"}};
  auto lease = take({&steps});
  ASSERT_TRUE(lease->apply({{"steps", 2.0}}));
  files.writes.clear();
  // Somebody else asks for a floor of 2.
  files.keep["/sys/a"] = [](const std::string& text) { return std::max(text, std::string("2")); };
  const auto restored = lease->restore();
  EXPECT_TRUE(restored[0].status) << restored[0].status.error().text();
  EXPECT_THAT(files.writes, ElementsAre(std::pair("/sys/a", "1"), std::pair("/sys/a", "3")));
  EXPECT_EQ(clock.now().time_since_epoch().count(), 0.0);
}

TEST_F(LeaseTest, AStepOnTheWayMayBeRefusedWhereTheEndIsRight) {
  TwoNodes two{files};
  auto lease = take({&two});
  ASSERT_TRUE(lease->apply({{"two", 2.0}}));
  // The switch takes no writes until the level is back.
  files.refuse_write["/sys/switch"] = EINVAL;
  files.on_write = [&](const std::string& path, const std::string&) {
    if (path == "/sys/a") files.refuse_write.clear();
  };
  const auto restored = lease->restore();
  EXPECT_TRUE(restored[0].status) << restored[0].status.error().text();
  EXPECT_EQ(files.nodes["/sys/switch"], "0\n");
}

TEST_F(LeaseTest, AStepOnTheWayThatWasRefusedIsToldWhereTheEndIsWrong) {
  TwoNodes two{files};
  auto lease = take({&two});
  ASSERT_TRUE(lease->apply({{"two", 2.0}}));
  files.keep["/sys/a"] = [](const std::string&) { return std::string("2"); };
  files.refuse_write["/sys/switch"] = EINVAL;
  files.on_write = [&](const std::string& path, const std::string&) {
    files.refuse_write.clear();
    if (path == "/sys/switch") files.refuse_write[path] = EINVAL;
  };
  const auto restored = lease->restore();
  ASSERT_FALSE(restored[0].status);
  EXPECT_THAT(restored[0].status.error().what, HasSubstr("write /sys/switch: "));
}

TEST_F(LeaseTest, HasPatienceOnceForAKnob) {
  auto lease = take({&c});
  ASSERT_TRUE(lease->apply({{"c", 2.0}}));
  files.lie = {"/sys/c0", "/sys/c1"};
  EXPECT_FALSE(lease->restore()[0].status);
  EXPECT_LT(clock.now().time_since_epoch().count(), 2.1);  // and once more when the rest is back
}

TEST_F(LeaseTest, WhatIsRefusedIsTriedAgainWhenTheRestIsBack) {
  auto lease = take({&a, &b});
  ASSERT_TRUE(lease->apply({{"a", 1.0}, {"b", 1.0}}));
  // b comes first, and takes its old value only after a has its own.
  files.keep["/sys/b"] = [this](const std::string& text) { return files.nodes["/sys/a"] == "3\n" ? text : std::string("1"); };
  for (const auto& restored : lease->restore()) EXPECT_TRUE(restored.status) << restored.status.error().text();
  EXPECT_EQ(files.nodes["/sys/b"], "2\n");
  EXPECT_FALSE(std::filesystem::exists(record));
}

TEST_F(LeaseTest, WhateverWasAppliedAndRefusedTheEndIsAsFound) {
  std::mt19937 random(7);
  const auto level = [&] { return static_cast<double>(1 + random() % 3); };
  for (int i = 0; i < 100; ++i) {
    const auto before = files.nodes;
    auto lease = take({&a, &b, &c, &memory});
    for (auto steps = random() % 6; steps > 0; --steps) {
      files.refuse_write.clear();
      if (random() % 3 == 0) files.refuse_write["/sys/c1"] = EIO;
      if (random() % 3 == 0) files.refuse_write["/sys/b"] = EBUSY;
      Config config;
      for (const char* name : {"a", "b", "c"}) {
        if (random() % 2 == 0) config.set(name, level());
      }
      if (random() % 2 == 0) config.set("memory", 8.0);
      (void)lease->apply(config);
      if (random() % 4 == 0) (void)lease->restore();
    }
    files.refuse_write.clear();
    for (const auto& restored : lease->restore()) EXPECT_TRUE(restored.status && restored.same);
    EXPECT_EQ(files.nodes, before);
    EXPECT_EQ(memory.value, 7.0);
    EXPECT_FALSE(std::filesystem::exists(record));
  }
}

TEST_F(LeaseTest, KeepingLeavesInPlaceWhatOutlivesTheProcess) {
  auto lease = take({&a, &b, &memory});
  ASSERT_TRUE(lease->apply({{"a", 1.0}, {"memory", 8.0}}));
  ASSERT_TRUE(lease->keep({.source = "b4.sqlite", .config = "a=1\nb", .time = 1.7e9}));
  EXPECT_EQ(memory.value, 7.0);
  EXPECT_EQ(files.nodes["/sys/a"], "1\n");
  const Json json = read_record();
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["kept"], (Json{{"source", "b4.sqlite"}, {"config", "a=1 b"}, {"time", 1.7e9}}));
  EXPECT_EQ(json["knobs"][0]["asked"], 1.0);
  EXPECT_EQ(json["knobs"][1]["asked"], nullptr);
  EXPECT_EQ(json["knobs"][2]["asked"], nullptr);
  files.writes.clear();
  EXPECT_TRUE(lease->restore().empty());
  EXPECT_EQ(lease->apply({{"a", 2.0}}).error().code, Errc::kInvalid);
  EXPECT_EQ(lease->keep({}).error().code, Errc::kInvalid);
  lease.reset();
  EXPECT_TRUE(files.writes.empty());
  const auto next = Lease::take(host, {&a}, {.record_path = record});
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, Errc::kBusy);
  EXPECT_THAT(next.error().text(), HasSubstr("of b4.sqlite, kept since "));
  EXPECT_THAT(next.error().text(), HasSubstr("'polythrottle restore' undoes it"));
}

TEST_F(LeaseTest, WhereNothingCanBeKeptTheLeaseGoesOn) {
  auto lease = take({&a, &memory});
  EXPECT_EQ(lease->keep({}).error().code, Errc::kInvalid);
  ASSERT_TRUE(lease->apply({{"memory", 8.0}}));
  EXPECT_EQ(lease->keep({}).error().code, Errc::kInvalid);
  ASSERT_TRUE(lease->apply({{"a", 1.0}}));
  std::filesystem::create_directory(record + ".new");  // the record cannot be written
  EXPECT_FALSE(lease->keep({}));
  lease.reset();
  EXPECT_EQ(files.nodes["/sys/a"], "3\n");
}

TEST_F(LeaseTest, WhoComesSecondIsToldByNameAndTime) {
  files.nodes["/proc/self/cmdline"] = std::string("/usr/bin/polythrottle\0tune\0--model\0a\tb\0", 39);
  const auto lease = take({&a});
  const auto second = Lease::take(host, {&b}, {.record_path = record});
  EXPECT_THAT(second.error().what, ::testing::MatchesRegex("take the machine: process " + std::to_string(::getpid()) +
                                                           " \\(polythrottle tune --model a b\\) holds it since [0-9:]+"));
  EXPECT_EQ(read_record()["command"], "polythrottle tune --model a b");
}

TEST_F(LeaseTest, ANodeOutsideOfTheMachineIsRefusedBeforeAnythingIsWritten) {
  files.nodes["/etc/passwd"] = "1\n";
  FileKnob evil{files, "evil", {"/etc/passwd"}};
  EXPECT_EQ(Lease::take(host, {&a, &evil}, {.record_path = record}).error().code, Errc::kInvalid);
  EXPECT_FALSE(std::filesystem::exists(record));
}

TEST_F(LeaseTest, WithoutItsWatchdogNothingIsTaken) {
  const auto lease = Lease::take(host, {&a}, {.record_path = record, .watchdog = {"/bin/false"}});
  ASSERT_FALSE(lease);
  EXPECT_THAT(lease.error().what, HasSubstr("start the watchdog /bin/false: it ended before it was ready"));
  EXPECT_FALSE(std::filesystem::exists(record));
  EXPECT_FALSE(Lease::take(host, {&a}, {.record_path = record, .watchdog = {"/no/such/program"}}));
  EXPECT_FALSE(take({&a})->watched());
}

TEST(DefaultRecordPath, IsOfTheMachine) {
  EXPECT_EQ(default_record_path("/fixtures/tx2"), "/fixtures/tx2/var/lib/polythrottle/lease.json");
  if (::geteuid() == 0) {
    EXPECT_EQ(default_record_path(), "/var/lib/polythrottle/lease.json");
  }
}

TEST(DefaultRecordPath, IsAbsolute) { EXPECT_THAT(default_record_path(), ::testing::EndsWith("/lease.json")); }

}  // namespace
}  // namespace polythrottle
