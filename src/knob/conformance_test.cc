// What every knob keeps to, whatever driver found it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "host/nvml_stub.h"
#include "knob/fake_cgroup.h"
#include "knob/lease.h"

namespace polythrottle {
namespace {

/// Counts writes on their way to another machine.
class WatchedFiles : public Files {
 public:
  explicit WatchedFiles(Files& inner) : inner_(inner) {}
  Result<std::string> read(const std::string& path) const override { return inner_.read(path); }
  Status write(const std::string& path, const std::string& text) override {
    touched.push_back(path);
    return inner_.write(path, text);
  }
  Result<std::vector<std::string>> list(const std::string& folder) const override { return inner_.list(folder); }
  Status make_folder(const std::string& path) override {
    touched.push_back(path);
    return inner_.make_folder(path);
  }
  Status remove_folder(const std::string& path) override {
    touched.push_back(path);
    return inner_.remove_folder(path);
  }
  Status writable(const std::string& path) const override { return inner_.writable(path); }
  std::vector<std::string> touched;

 private:
  Files& inner_;
};

/// A machine by name: a fixture folder, control groups in memory, or the GPUs of a stand-in library, one of them found locked.
class KnobConformance : public ::testing::TestWithParam<std::string> {
 protected:
  KnobConformance() {
    const std::string& name = GetParam();
    if (name.starts_with("cgroup-v")) {
      auto fake = std::make_unique<FakeFiles>();
      add_fake_cgroups(*fake, name.back() - '0');
      inner_ = std::move(fake);
    } else if (name.starts_with("nvml-")) {
      NvmlMount mount{.library = kNvmlStub, .gpu = name.substr(5), .found_graphics_lock = "500 900", .found_memory_lock = "405 5001"};
      stub_ = std::make_unique<StubMachine>(mount);
      inner_ = std::move(stub_->files);
    } else {
      scratch_ = std::make_unique<ScratchFolder>(std::filesystem::path(POLYTHROTTLE_SOURCE_DIR) / "tests/fixtures" / name);
      inner_ = real_files(scratch_->path().string());
    }
    files_ = std::make_unique<WatchedFiles>(*inner_);
    host_ = std::make_unique<Host>(Host{*files_, clock_});
    for (const auto* driver : knob_drivers()) {
      auto found = driver->discover(*host_);
      for (auto& knob : found.knobs) knobs_.push_back(std::move(knob));
      for (const auto& absence : found.absent) {
        EXPECT_FALSE(absence.name.empty());
        EXPECT_FALSE(absence.why.what.empty()) << absence.name;
      }
    }
  }

  std::unique_ptr<ScratchFolder> scratch_;
  std::unique_ptr<StubMachine> stub_;
  std::unique_ptr<Files> inner_;
  std::unique_ptr<WatchedFiles> files_;
  FakeClock clock_;
  std::unique_ptr<Host> host_;
  std::vector<std::unique_ptr<Knob>> knobs_;
};

TEST_P(KnobConformance, DiscoveryOnlyLooks) {
  EXPECT_FALSE(knobs_.empty());
  EXPECT_TRUE(files_->touched.empty());
}

TEST_P(KnobConformance, LevelsAreDistinctAndNumbersAscend) {
  for (const auto& knob : knobs_) {
    const auto& parameter = knob->parameter();
    const auto& levels = parameter.levels;
    ASSERT_FALSE(levels.empty());
    EXPECT_EQ(std::set<Value>(levels.begin(), levels.end()).size(), levels.size()) << parameter.name;
    if (std::holds_alternative<double>(levels.front())) {
      EXPECT_TRUE(std::is_sorted(levels.begin(), levels.end())) << parameter.name;
    }
    EXPECT_FALSE(parameter.help.empty());
    EXPECT_FALSE(knob->paths().empty()) << "a knob of files says which";
  }
}

TEST_P(KnobConformance, WriteAnswersWhatReadThenGives) {
  for (const auto& knob : knobs_) {
    for (const auto& level : knob->parameter().levels) {
      const auto written = knob->write(level);
      ASSERT_TRUE(written) << written.error().text();
      EXPECT_EQ(*written, level) << knob->parameter().name;
      EXPECT_EQ(*knob->read(), *written);
    }
    const auto paths = knob->paths();
    for (const auto& path : files_->touched) EXPECT_NE(std::find(paths.begin(), paths.end(), path), paths.end()) << path;
    files_->touched.clear();
  }
}

TEST_P(KnobConformance, RefusesOutOfRangeWithoutWriting) {
  for (const auto& knob : knobs_) {
    for (const Value& wrong : {Value(-1.0), Value(12345.678), Value("no such level")}) {
      const auto refused = knob->write(wrong);
      ASSERT_FALSE(refused);
      EXPECT_EQ(refused.error().code, Errc::kOutOfRange);
    }
  }
  EXPECT_TRUE(files_->touched.empty());
}

TEST_P(KnobConformance, AGroupIsOneObjectThatTakesWhatItAllows) {
  for (const auto& knob : knobs_) {
    const KnobGroup* group = knob->group();
    if (group == nullptr) continue;
    Config lowest;
    std::size_t members = 0;
    for (const auto& other : knobs_) {
      if (other->group() != group) continue;
      ++members;
      lowest.set(other->parameter().name, other->parameter().levels.front());
    }
    EXPECT_GE(members, 2u);
    EXPECT_TRUE(group->allows(lowest));
    EXPECT_TRUE(group->allows({}));
  }
}

TEST_P(KnobConformance, TheActualValueIsReadWithoutWriting) {
  for (const auto& knob : knobs_) EXPECT_TRUE(knob->actual()) << knob->parameter().name;
  EXPECT_TRUE(files_->touched.empty());
}

TEST_P(KnobConformance, RestoresExactly) {
  const ScratchFolder own;
  std::vector<Knob*> knobs;
  Config lowest;
  std::vector<std::pair<std::string, Result<std::string>>> before;
  for (const auto& knob : knobs_) {
    knobs.push_back(knob.get());
    lowest.set(knob->parameter().name, knob->parameter().levels.front());
    for (const auto& path : knob->paths()) {
      if (!path.ends_with("cgroup.procs")) before.emplace_back(path, read_trimmed(*files_, path));
    }
  }
  auto lease = Lease::take(*host_, knobs, {.record_path = (own.path() / "lease.json").string()});
  ASSERT_TRUE(lease) << lease.error().text();
  const auto got = (*lease)->apply(lowest);
  ASSERT_TRUE(got) << got.error().text();
  EXPECT_EQ(*got, lowest);
  for (const auto& restored : (*lease)->restore()) EXPECT_TRUE(restored.status) << restored.status.error().text();
  for (const auto& [path, text] : before) {
    const auto now = read_trimmed(*files_, path);
    EXPECT_EQ(now.has_value(), text.has_value()) << path;
    if (now && text) {
      EXPECT_EQ(*now, *text) << path;
    }
  }
}

/// Every fixture, and what needs more than files.
std::vector<std::string> machines() {
  std::vector<std::string> names{"nvml-0", "nvml-1", "cgroup-v1", "cgroup-v2"};
  for (const auto& entry : std::filesystem::directory_iterator(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures")) {
    if (entry.is_directory()) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

INSTANTIATE_TEST_SUITE_P(Machines, KnobConformance, ::testing::ValuesIn(machines()), [](const auto& machine) {
  std::string name = machine.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
});

}  // namespace
}  // namespace polythrottle
