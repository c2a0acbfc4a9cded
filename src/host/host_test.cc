#include "host/host.h"

#include <gtest/gtest.h>

#include "host/fake.h"

namespace polythrottle {
namespace {

using Nodes = std::map<std::string, std::string>;

TEST(ReadTrimmed, TakesWhiteSpaceOffBothEnds) {
  const FakeFiles files({{"/a", " 12 ab\n"}, {"/b", "\n"}});
  EXPECT_EQ(*read_trimmed(files, "/a"), "12 ab");
  EXPECT_EQ(*read_trimmed(files, "/b"), "");
}

TEST(ReadInteger, TellsBrokenFromAbsent) {
  const FakeFiles files({{"/good", "-42\n"}, {"/unknown", "<unknown>\n"}, {"/empty", ""}, {"/tail", "12 kHz\n"}});
  EXPECT_EQ(*read_integer(files, "/good"), -42);
  EXPECT_EQ(read_integer(files, "/absent").error().code, Errc::kNotFound);
  for (const char* path : {"/unknown", "/empty", "/tail"}) EXPECT_EQ(read_integer(files, path).error().code, Errc::kCorrupt) << path;
  EXPECT_NE(read_integer(files, "/unknown").error().what.find("<unknown>"), std::string::npos);
}

TEST(OnlineCpus, CountsRangesAndFallsBackOnStat) {
  const std::string online = "/sys/devices/system/cpu/online";
  EXPECT_EQ(*online_cpus(FakeFiles(Nodes{{online, "0-1\n"}})), 2);
  EXPECT_EQ(*online_cpus(FakeFiles(Nodes{{online, "0,2-4,7\n"}})), 5);
  EXPECT_EQ(*online_cpus(FakeFiles(Nodes{{"/proc/stat", "cpu  1 2\ncpu0 1\ncpu1 1\ncpu3 0\nintr 5\n"}})), 3);
  for (const char* text : {"", "x", "3-1", "0-", "-1", "0,,1"}) {
    EXPECT_EQ(online_cpus(FakeFiles(Nodes{{online, text}})).error().code, Errc::kCorrupt) << text;
  }
  EXPECT_EQ(online_cpus(FakeFiles()).error().code, Errc::kNotFound);
}

TEST(FakeClock, FiresWhatIsDueAtItsTime) {
  FakeClock clock;
  clock.busy_cpus = 2.0;
  std::vector<double> times;
  auto ticker = clock.every(Seconds(0.25), [&] { times.push_back(clock.now().time_since_epoch().count()); });
  clock.sleep_until(Clock::TimePoint(Seconds(0.6)));
  EXPECT_EQ(times, (std::vector<double>{0.25, 0.5}));
  EXPECT_DOUBLE_EQ(clock.now().time_since_epoch().count(), 0.6);
  EXPECT_DOUBLE_EQ(clock.process_cpu().count(), 1.2);
  ticker.reset();
  clock.advance(Seconds(1));
  EXPECT_EQ(times.size(), 2u);
}

}  // namespace
}  // namespace polythrottle
