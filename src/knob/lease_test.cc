#include "knob/lease.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "host/fake.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

/// Some nodes that hold one number, all moved together.
class FileKnob : public Knob {
 public:
  FileKnob(Files& files, std::string name, std::vector<std::string> paths) : files_(files), paths_(std::move(paths)) {
    parameter_ = {.name = std::move(name), .unit = "", .role = Role::kOther, .levels = {1.0, 2.0, 3.0}, .help = {}};
  }
  const Parameter& parameter() const override { return parameter_; }
  Result<Value> read() override {
    TRY(const long long number, read_integer(files_, paths_.front()));
    return Value(static_cast<double>(number));
  }
  Result<Value> write(const Value& wanted) override {
    for (const auto& path : paths_) TRY_STATUS(files_.write(path, to_text(wanted)));
    return read();
  }
  std::vector<std::string> paths() const override { return paths_; }
  Result<std::vector<FoundNode>> found_nodes() override {
    std::vector<FoundNode> nodes;
    for (const auto& path : paths_) {
      TRY(std::string text, files_.read(path));
      nodes.push_back({path, text});
    }
    return nodes;
  }

 private:
  Files& files_;
  std::vector<std::string> paths_;
  Parameter parameter_;
};

/// A setting that is no file.
class MemoryKnob : public Knob {
 public:
  const Parameter& parameter() const override { return parameter_; }
  Result<Value> read() override { return Value(value); }
  Result<Value> write(const Value& wanted) override {
    value = std::get<double>(wanted);
    return read();
  }
  std::vector<std::string> paths() const override { return {}; }
  double value = 7.0;

 private:
  Parameter parameter_{.name = "memory", .unit = "", .role = Role::kOther, .levels = {7.0, 8.0}, .help = {}};
};

class LeaseTest : public ::testing::Test {
 protected:
  LeaseTest() {
    files.nodes = {{"/sys/a", "3\n"},
                   {"/sys/b", "2\n"},
                   {"/sys/c0", "3\n"},
                   {"/sys/c1", "1\n"},
                   {"/proc/sys/kernel/random/boot_id", "boot-1\n"},
                   {"/proc/" + std::to_string(::getpid()) + "/stat", stat_line(::getpid(), 555)}};
  }
  static std::string stat_line(long long pid, long long start, char state = 'R') {
    std::string line = std::to_string(pid) + " (a (strange) name) " + state;
    for (int field = 4; field <= 21; ++field) line += " 0";
    return line + " " + std::to_string(start) + " 0 0\n";
  }
  std::unique_ptr<Lease> take(std::vector<Knob*> knobs) {
    auto lease = Lease::take(host, std::move(knobs), {.record_path = record});
    EXPECT_TRUE(lease) << lease.error().text();
    return std::move(*lease);
  }
  Json read_record() const {
    std::ifstream stream(record);
    return Json::parse(stream);
  }
  /// A record as a killed run leaves it.
  void leave_record(const Json& changes = Json::object()) {
    {
      const auto lease = take({&a, &b, &c});
      ASSERT_TRUE(lease->apply({{"a", 1.0}, {"c", 2.0}}));
      std::filesystem::copy_file(record, record + ".kept");
    }
    files.nodes["/sys/a"] = "1\n";
    files.nodes["/sys/c0"] = files.nodes["/sys/c1"] = "2\n";
    files.writes.clear();
    std::filesystem::rename(record + ".kept", record);
    Json json = read_record();
    json["pid"] = 4242;
    json.update(changes);
    std::ofstream(record) << json;
  }

  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  ScratchFolder scratch;
  std::string record = (scratch.path() / "deep" / "lease.json").string();
  FileKnob a{files, "a", {"/sys/a"}};
  FileKnob b{files, "b", {"/sys/b"}};
  FileKnob c{files, "c", {"/sys/c0", "/sys/c1"}};
  MemoryKnob memory;
};

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

TEST_F(LeaseTest, RecoverWritesBackWhatAKilledRunMoved) {
  leave_record();
  Knob* const knobs[] = {&a, &b};
  const auto report = recover(host, knobs, record);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_THAT(files.writes, ElementsAre(std::pair("/sys/c0", "3"), std::pair("/sys/c1", "1"), std::pair("/sys/a", "3")));
  ASSERT_EQ(report->size(), 3u);
  EXPECT_EQ(report->at(0).now, Value("3, 1"));  // no knob c now: the text of its nodes
  EXPECT_FALSE(report->at(1).moved);
  EXPECT_EQ(report->at(1).now, Value(2.0));
  EXPECT_FALSE(std::filesystem::exists(record));
  EXPECT_TRUE(recover(host, knobs, record)->empty());
}

TEST_F(LeaseTest, RecoverOfAnotherBootReportsAndWritesNothing) {
  leave_record({{"boot_id", "boot-0"}});
  files.nodes["/proc/4242/stat"] = stat_line(4242, 555);  // a number used again
  const auto report = recover(host, {}, record);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_TRUE(files.writes.empty());
  ASSERT_EQ(report->size(), 3u);
  EXPECT_TRUE(report->at(2).moved);
  EXPECT_FALSE(report->at(2).written);
  EXPECT_EQ(report->at(2).found, Value(3.0));
  EXPECT_EQ(report->at(2).now, Value("1"));
  EXPECT_FALSE(std::filesystem::exists(record));
}

TEST_F(LeaseTest, RecoverLeavesALivingOwnerAloneButNotARecycledNumberOrAZombie) {
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

TEST_F(LeaseTest, ACorruptRecordIsPutAsideUnread) {
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

TEST(DefaultRecordPath, IsAbsolute) { EXPECT_THAT(default_record_path(), ::testing::EndsWith("/lease.json")); }

}  // namespace
}  // namespace polythrottle
