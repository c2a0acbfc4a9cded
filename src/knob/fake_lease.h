#pragma once
// Knobs without hardware, and a machine that has them: for tests of the lease.

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "host/fake.h"
#include "knob/knob.h"
#include "knob/lease.h"

namespace polythrottle {

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

/// A machine with three knobs in files and one in memory, and a place for the record.
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
  nlohmann::json read_record() const {
    std::ifstream stream(record);
    return nlohmann::json::parse(stream);
  }
  /// A record as a killed run leaves it.
  void leave_record(const nlohmann::json& changes = nlohmann::json::object()) {
    {
      const auto lease = take({&a, &b, &c});
      ASSERT_TRUE(lease->apply({{"a", 1.0}, {"c", 2.0}}));
      std::filesystem::copy_file(record, record + ".kept");
    }
    files.nodes["/sys/a"] = "1\n";
    files.nodes["/sys/c0"] = files.nodes["/sys/c1"] = "2\n";
    files.writes.clear();
    std::filesystem::rename(record + ".kept", record);
    nlohmann::json json = read_record();
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

}  // namespace polythrottle
