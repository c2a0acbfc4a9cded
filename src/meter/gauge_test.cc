#include <gtest/gtest.h>

#include "host/fake.h"
#include "meter/meter.h"

namespace polythrottle {
namespace {

TEST(Gauges, GiveTheHottestSaneZoneAndTheResidentSet) {
  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  const std::string zones = "/sys/class/thermal/thermal_zone";
  files.nodes = {{zones + "0/temp", "27800\n"},
                 {zones + "1/temp", "-274000\n"},
                 {zones + "2/temp", "61500\n"},
                 {zones + "3/temp", "2147483\n"},
                 {"/sys/class/thermal/cooling_device0/temp", "99000\n"},
                 {"/proc/self/status", "Name:\tx\nVmHWM:\t 9999 kB\nVmRSS:\t    2048 kB\n"}};
  files.refuse_read[zones + "2/type"] = EIO;
  const auto gauges = discover_gauges(host);
  ASSERT_EQ(gauges.size(), 2u);
  EXPECT_EQ(gauges[0]->name(), "temperature_celsius");
  EXPECT_DOUBLE_EQ(*gauges[0]->read(), 61.5);
  EXPECT_EQ(gauges[1]->name(), "memory_bytes");
  EXPECT_DOUBLE_EQ(*gauges[1]->read(), 2048.0 * 1024.0);
  files.refuse_read[zones + "2/temp"] = EAGAIN;  // asleep
  EXPECT_DOUBLE_EQ(*gauges[0]->read(), 27.8);
}

TEST(Gauges, AreLeftOutWhereNothingIsToRead) {
  FakeFiles files(
      std::map<std::string, std::string>{{"/sys/class/thermal/thermal_zone0/temp", "-274000\n"}, {"/proc/self/status", "Name:\tx\n"}});
  FakeClock clock;
  Host host{files, clock};
  EXPECT_TRUE(discover_gauges(host).empty());
}

TEST(ThrottleEvents, AddUpTheOverCurrentCountersSinceBoot) {
  const auto files = real_files(POLYTHROTTLE_SOURCE_DIR "/tests/fixtures/jetson-agx-orin-jp5");
  FakeClock clock;
  Host host{*files, clock};
  bool seen = false;
  for (const auto& gauge : discover_gauges(host)) {
    EXPECT_EQ(gauge->counts(), gauge->name() == "throttle_events");
    if (!gauge->counts()) continue;
    seen = true;
    EXPECT_EQ(*gauge->read(), 3.0);
  }
  EXPECT_TRUE(seen);
}

}  // namespace
}  // namespace polythrottle
