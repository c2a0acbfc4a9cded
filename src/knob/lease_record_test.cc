#include "knob/lease_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace polythrottle {
namespace {

const std::string kPlain =
    R"({"schema":1,"boot_id":"b","pid":7,"pid_start":9,"started":1.5,"knobs":[)"
    R"({"name":"a","found":1,"asked":null,"nodes":[{"path":"/sys/a","text":"1\n"},{"path":"/sys/g","text":null}]}]})";

std::string with(const std::string& old, const std::string& fresh) {
  std::string text = kPlain;
  const auto at = text.find(old);
  EXPECT_NE(at, std::string::npos) << old;
  return text.replace(at, old.size(), fresh);
}

TEST(LeaseRecord, ReadsWhatTheFirstVersionsWrote) {
  const auto record = parse_record(kPlain);
  ASSERT_TRUE(record) << record.error().text();
  EXPECT_EQ(record->pid, 7);
  EXPECT_EQ(record->knobs.at(0).found, Value(1.0));
  EXPECT_EQ(record->knobs.at(0).nodes.at(0).text, "1\n");
  EXPECT_EQ(record->knobs.at(0).nodes.at(1).text, std::nullopt);
  EXPECT_FALSE(record->kept);
}

TEST(LeaseRecord, ComesBackAsItWasWritten) {
  std::mt19937_64 random(11);
  const auto word = [&] {
    std::string text;
    for (auto left = random() % 12; left > 0; --left) text += static_cast<char>(' ' + random() % 95);
    return text;
  };
  for (int i = 0; i < 500; ++i) {
    LeaseRecord record{.boot_id = word(),
                       .pid = static_cast<long long>(random() >> 1),
                       .pid_start = static_cast<long long>(random() >> 1),
                       .started = static_cast<double>(random() % 2'000'000'000) / 8.0,
                       .command = word(),
                       .notes = {},
                       .kept = {},
                       .knobs = {}};
    if (random() % 2 == 0) record.notes[word()] = word();
    if (random() % 2 == 0) record.kept = KeptWords{word(), word(), 12.5};
    for (std::size_t k = 0; k < random() % 4; ++k) {
      RecordEntry entry{
          .name = std::to_string(k) + word(), .found = Value(1e9 / static_cast<double>(1 + random() % 7)), .asked = {}, .nodes = {}};
      if (random() % 2 == 0) entry.found = Value(word());
      if (random() % 2 == 0) entry.asked = Value(word());
      if (random() % 2 == 0) entry.nodes.push_back({"/sys/x" + std::to_string(random()), word() + "\n"});
      if (random() % 2 == 0) entry.nodes.push_back({"/nvml/0/lock", std::nullopt});
      record.knobs.push_back(std::move(entry));
    }
    const std::string text = record_text(record);
    const auto again = parse_record(text);
    ASSERT_TRUE(again) << text;
    EXPECT_EQ(record_text(*again), text);
    EXPECT_EQ(again->notes, record.notes);
    EXPECT_EQ(again->knobs.size(), record.knobs.size());
  }
}

TEST(LeaseRecord, WhatPeopleWroteStaysOnOneLine) {
  const LeaseRecord record{.command = "a\nb\x1b[31m", .notes = {{"n\t", "v\r"}}, .kept = KeptWords{"s\n", "c\n", 0.0}};
  const auto again = parse_record(record_text(record));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->command, "a b [31m");
  EXPECT_EQ(again->kept->source, "s ");
}

TEST(LeaseRecord, RefusesWhatThisProgramDoesNotWrite) {
  for (const auto& text :
       {std::string(), std::string("null"), std::string("[]"), with("\"schema\":1", "\"schema\":0"), with("\"schema\":1", "\"schema\":1.0"),
        with("\"pid\":7", "\"pid\":1e300"), with("\"pid\":7", "\"pid\":18446744073709551615"), with("\"pid\":7", "\"pid\":\"7\""),
        with("\"found\":1", "\"found\":null"), with("\"found\":1", "\"found\":1e999"), with("\"asked\":null", "\"asked\":{}"),
        with("\"name\":\"a\"", "\"name\":\"a\\u001b[2J\""), with("/sys/a", "/etc/passwd"), with("\"text\":null", "\"text\":3"),
        with("\"started\":1.5", "\"started\":1.5,\"kept\":{}"), with("\"started\":1.5", "\"started\":1.5,\"notes\":[]"),
        with("\"knobs\":[", "\"knobs\":[{\"name\":\"a\",\"found\":1,\"asked\":null,\"nodes\":[]},")}) {
    const auto record = parse_record(text);
    ASSERT_FALSE(record) << text;
    EXPECT_EQ(record.error().code, Errc::kCorrupt);
  }
}

TEST(LeaseRecord, SaysThatANewerProgramWroteIt) {
  const auto record = parse_record(with("\"schema\":1", "\"schema\":2"));
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, Errc::kUnsupported);
  EXPECT_THAT(record.error().what, ::testing::HasSubstr("schema 2"));
}

TEST(MachinePath, IsWhereSettingsLieAndNothingElse) {
  for (const char* path : {"/sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq", "/sys/class/devfreq/17000000.gp10b/min_freq",
                           "/sys/kernel/debug/bpmp/debug/clk/emc/rate", "/sys/kernel/nvpmodel_clk_cap/emc",
                           "/sys/fs/cgroup/cpu/polythrottle-7", "/nvml/GPU-1/locked_clocks", "/sys/a..b/c"}) {
    EXPECT_TRUE(is_machine_path(path)) << path;
  }
  for (const char* path :
       {"", "/", "/sys", "/sys/", "/etc/passwd", "sys/a", "/sysx/a", "/proc/sys/kernel/core_pattern", "/sys/kernel/uevent_helper",
        "/sys/../etc/passwd", "/sys/a/../../etc", "/sys/a/..", "/sys/./kernel/uevent_helper", "/sys//kernel/uevent_helper",
        "/nvml/../etc/passwd", "/nvml", "/sys/a\n", "/sys/a/"}) {
    EXPECT_FALSE(is_machine_path(path)) << path;
  }
}

}  // namespace
}  // namespace polythrottle
