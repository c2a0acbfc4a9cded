#include "host/perf_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "host/fake.h"

namespace polythrottle {
namespace {

using ::testing::HasSubstr;

const std::string kSource = "/sys/bus/event_source/devices/power";
const std::string kPackage = "/perf/power/energy-pkg/cpu0";

class PerfFilesTest : public ::testing::Test {
 protected:
  PerfFilesTest()
      : base({{kSource + "/type", "23\n"}, {kSource + "/events/energy-pkg", "event=0x02\n"}, {kSource + "/format/event", "config:0-7\n"}}) {
    EXPECT_EQ(::pipe(ends), 0);
  }
  ~PerfFilesTest() override { ::close(ends[1]); }

  /// Each number is what one read of the event answers.
  void counts(std::initializer_list<std::uint64_t> numbers) {
    for (const std::uint64_t number : numbers) EXPECT_EQ(::write(ends[1], &number, sizeof number), static_cast<ssize_t>(sizeof number));
  }
  std::unique_ptr<Files> mounted() {
    return perf_files(base, {.open_event = [this](std::uint32_t type, std::uint64_t config, int cpu) {
                        opened.push_back({type, config, static_cast<std::uint64_t>(cpu)});
                        errno = refusal;
                        return refusal == 0 ? ends[0] : -1;
                      }});
  }

  FakeFiles base;
  int ends[2] = {-1, -1};
  int refusal = 0;
  std::vector<std::array<std::uint64_t, 3>> opened;
};

TEST_F(PerfFilesTest, OpensAnEventOnceAndReadsItsCount) {
  const auto files = mounted();
  counts({5, 18446744073709551615ULL});
  EXPECT_EQ(*files->read(kPackage), "5\n");
  EXPECT_EQ(*files->read(kPackage), "18446744073709551615\n");
  EXPECT_THAT(opened, ::testing::ElementsAre(std::array<std::uint64_t, 3>{23, 2, 0}));
}

TEST_F(PerfFilesTest, PlacesTheTermsOfAnEventByTheirFormats) {
  base.nodes[kSource + "/events/energy-pkg"] = "event=0x3,umask=17,flag\n";
  base.nodes[kSource + "/format/umask"] = "config:8-15\n";
  base.nodes[kSource + "/format/flag"] = "config:21\n";
  const auto files = mounted();
  counts({1});
  ASSERT_TRUE(files->read("/perf/power/energy-pkg/cpu12"));
  EXPECT_EQ(opened.at(0)[1], 0x3U | 17U << 8 | 1U << 21);
  EXPECT_EQ(opened.at(0)[2], 12U);
}

TEST_F(PerfFilesTest, RefusesWhatItCannotPlace) {
  const auto files = mounted();
  base.nodes[kSource + "/format/event"] = "config1:0-7\n";
  EXPECT_EQ(files->read(kPackage).error().code, Errc::kUnsupported);
  base.nodes[kSource + "/format/event"] = "config:0-64\n";
  EXPECT_EQ(files->read(kPackage).error().code, Errc::kUnsupported);
  base.nodes[kSource + "/format/event"] = "config:0-7\n";
  base.nodes[kSource + "/events/energy-pkg"] = "event=0x100\n";
  EXPECT_EQ(files->read(kPackage).error().code, Errc::kCorrupt);
  base.nodes[kSource + "/events/energy-pkg"] = "event=?\n";
  EXPECT_EQ(files->read(kPackage).error().code, Errc::kUnsupported);
  EXPECT_TRUE(opened.empty());
}

TEST_F(PerfFilesTest, SaysPermissionAbsenceAndAKernelWithoutThemApart) {
  base.nodes["/proc/sys/kernel/perf_event_paranoid"] = "2\n";
  const auto files = mounted();
  refusal = EACCES;
  const Error forbidden = files->read(kPackage).error();
  EXPECT_EQ(forbidden.code, Errc::kPermission);
  EXPECT_THAT(forbidden.what, HasSubstr(kPackage));
  EXPECT_THAT(forbidden.hint, HasSubstr("CAP_PERFMON"));
  EXPECT_THAT(forbidden.hint, HasSubstr("it is 2"));
  refusal = ENOENT;
  EXPECT_EQ(files->read(kPackage).error().code, Errc::kNotFound);
  refusal = ENOSYS;
  EXPECT_EQ(files->read(kPackage).error().code, Errc::kUnsupported);
  EXPECT_EQ(files->read("/perf/power/energy-psys/cpu0").error().code, Errc::kNotFound);
  EXPECT_EQ(files->read("/perf/uncore/x/cpu0").error().code, Errc::kNotFound);
  for (const char* path :
       {"/perf", "/perf/power", "/perf/power/energy-pkg", "/perf/power/energy-pkg/cpu", "/perf/power/energy-pkg/cpu-1"}) {
    EXPECT_EQ(files->read(path).error().code, Errc::kNotFound) << path;
  }
  refusal = 0;
  counts({7});
  EXPECT_EQ(*files->read(kPackage), "7\n");
}

TEST_F(PerfFilesTest, AnEventThatTheKernelCouldNotKeepIsAnError) {
  const auto files = mounted();
  counts({7});
  ASSERT_TRUE(files->read(kPackage));
  ::close(ends[1]);  // from here on it answers 0 bytes
  ends[1] = ::dup(0);
  EXPECT_EQ(files->read(kPackage).error().code, Errc::kIo);
}

TEST_F(PerfFilesTest, CanOnlyBeRead) {
  const auto files = mounted();
  EXPECT_EQ(files->write(kPackage, "0").error().code, Errc::kPermission);
  EXPECT_EQ(files->writable(kPackage).error().code, Errc::kPermission);
  EXPECT_EQ(files->make_folder("/perf/x").error().code, Errc::kPermission);
  EXPECT_EQ(files->list("/perf/power").error().code, Errc::kUnsupported);
  EXPECT_TRUE(base.writes.empty());
}

TEST_F(PerfFilesTest, HandsEverythingElseOnAndLeavesARecordedMachineAlone) {
  EXPECT_EQ(*mounted()->read(kSource + "/type"), "23\n");
  base.nodes["/performance"] = "1\n";
  EXPECT_EQ(*mounted()->read("/performance"), "1\n");
  base.nodes[kPackage] = "123\n";
  EXPECT_EQ(*mounted()->read(kPackage), "123\n");
  base.nodes.erase(kPackage);
  EXPECT_EQ(perf_files(base, {.open = false})->read(kPackage).error().code, Errc::kNotFound);
  EXPECT_TRUE(opened.empty());
  ::close(ends[0]);
}

TEST(PerfFilesOfThisMachine, CountSomethingThatGrows) {
  const auto disk = real_files();
  const auto files = perf_files(*disk);
  const std::string path = "/perf/msr/tsc/cpu0";
  const auto first = read_integer(*files, path);
  if (!first) GTEST_SKIP() << "this machine's time stamp counter through perf: " << first.error().text();
  const auto second = read_integer(*files, path);
  ASSERT_TRUE(second) << second.error().text();
  EXPECT_GT(*second, *first);
}

}  // namespace
}  // namespace polythrottle
