#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/fake.h"
#include "knob/lease.h"

namespace polythrottle {
namespace knob_driver {
extern const KnobDriver cpu_power_limit;
}
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string zone(const std::string& name) { return "/sys/class/powercap/" + name + "/"; }

class PowerLimit : public ::testing::Test {
 protected:
  PowerLimit() {
    files.nodes["/proc/sys/kernel/random/boot_id"] = "boot-1\n";
    add("intel-rapl:0", "package-0", "100250000", "100000000");
  }
  void add(const std::string& at, const std::string& name, const std::string& limit, const std::string& most) {
    files.nodes[zone(at) + "name"] = name + "\n";
    files.nodes[zone(at) + "enabled"] = "1\n";
    files.nodes[zone(at) + "constraint_0_name"] = "short_term\n";
    files.nodes[zone(at) + "constraint_0_power_limit_uw"] = "200000000\n";
    files.nodes[zone(at) + "constraint_1_name"] = "long_term\n";
    files.nodes[zone(at) + "constraint_1_power_limit_uw"] = limit + "\n";
    files.nodes[zone(at) + "constraint_1_max_power_uw"] = most + "\n";
  }
  static std::string limit(const std::string& at) { return zone(at) + "constraint_1_power_limit_uw"; }
  Knob& probe() {
    found = knob_driver::cpu_power_limit.discover(host);
    EXPECT_EQ(found.knobs.size(), 1u) << (found.absent.empty() ? "" : found.absent[0].why.text());
    return *found.knobs.at(0);
  }
  Error absence() {
    found = knob_driver::cpu_power_limit.discover(host);
    EXPECT_TRUE(found.knobs.empty());
    return found.absent.at(0).why;
  }
  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  KnobDiscovery found;
};

TEST_F(PowerLimit, OffersWholeWattsFromAQuarterToTheHighest) {
  EXPECT_TRUE(knob_driver::cpu_power_limit.by_request);
  Knob& knob = probe();
  EXPECT_EQ(knob.parameter().role, Role::kPowerCap);
  const auto& levels = knob.parameter().levels;
  EXPECT_THAT(levels, ElementsAre(Value(25.0), Value(30.0), Value(35.0), Value(40.0), Value(45.0), Value(50.0), Value(55.0), Value(60.0),
                                  Value(65.0), Value(70.0), Value(75.0), Value(80.0), Value(85.0), Value(90.0), Value(95.0), Value(100.0)));
  for (const auto& level : levels) EXPECT_EQ(*knob.write(level), level);
  EXPECT_EQ(files.nodes[limit("intel-rapl:0")], "100000000\n");
  EXPECT_EQ(files.nodes[zone("intel-rapl:0") + "constraint_0_power_limit_uw"], "200000000\n");
}

TEST_F(PowerLimit, WithoutADeclaredHighestTheLimitFoundIsIt) {
  files.nodes[zone("intel-rapl:0") + "constraint_1_max_power_uw"] = "0\n";
  files.nodes[limit("intel-rapl:0")] = "6500000\n";
  EXPECT_THAT(probe().parameter().levels, ElementsAre(Value(2.0), Value(3.0), Value(4.0), Value(5.0), Value(6.0)));
  files.nodes.erase(zone("intel-rapl:0") + "constraint_1_max_power_uw");
  EXPECT_EQ(probe().parameter().levels.size(), 5u);
  files.nodes[limit("intel-rapl:0")] = "0\n";
  EXPECT_EQ(absence().code, Errc::kUnsupported);
}

TEST_F(PowerLimit, ALevelCutToTheHardwaresStepIsThatLevel) {
  Knob& knob = probe();
  files.keep[limit("intel-rapl:0")] = [](const std::string& text) { return std::to_string(std::stoll(text) - 61'000); };
  EXPECT_EQ(*knob.write(Value(50.0)), Value(50.0));
  files.keep[limit("intel-rapl:0")] = [](const std::string& text) { return std::to_string(std::stoll(text) - 1'000'000); };
  EXPECT_EQ(*knob.write(Value(50.0)), Value(49.0)) << "what the hardware made of it";
}

TEST_F(PowerLimit, PackagesMoveTogetherAndComeBackExactly) {
  add("intel-rapl:1", "package-1", "80062500", "90000000");
  add("intel-rapl:2", "psys", "150000000", "200000000");
  add("intel-rapl-mmio:0", "package-0", "90000000", "100000000");
  Knob& knob = probe();
  EXPECT_THAT(knob.paths(), ElementsAre(limit("intel-rapl:0"), limit("intel-rapl:1")));
  const ScratchFolder scratch;
  auto lease = *Lease::take(host, {&knob}, {.record_path = (scratch.path() / "lease.json").string()});
  EXPECT_EQ(lease->found().number("cpu_power_limit_watts"), 100.25);
  EXPECT_EQ(*lease->apply({{"cpu_power_limit_watts", 95.0}}), (Config{{"cpu_power_limit_watts", 95.0}}));
  EXPECT_EQ(files.nodes[limit("intel-rapl:1")], "90000000\n") << "no package above its own highest";
  ASSERT_TRUE(lease->apply({{"cpu_power_limit_watts", 25.0}}));
  EXPECT_TRUE(lease->restore().front().status);
  EXPECT_EQ(files.nodes[limit("intel-rapl:0")], "100250000\n");
  EXPECT_EQ(files.nodes[limit("intel-rapl:1")], "80062500\n");
  EXPECT_EQ(files.nodes[limit("intel-rapl-mmio:0")], "90000000\n");
}

TEST_F(PowerLimit, ALockOfTheFirmwareIsNamed) {
  Knob& knob = probe();
  files.refuse_write[limit("intel-rapl:0")] = EACCES;
  const auto refused = knob.write(Value(50.0));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kPermission);
  EXPECT_THAT(refused.error().hint, HasSubstr("locked by BIOS"));
}

TEST_F(PowerLimit, TellsAbsentForbiddenUnlimitedAndOff) {
  files.refuse_write[limit("intel-rapl:0")] = EACCES;
  EXPECT_EQ(absence().code, Errc::kPermission);
  EXPECT_THAT(absence().hint, HasSubstr("root"));
  files.refuse_write.clear();
  files.nodes[zone("intel-rapl:0") + "enabled"] = "0\n";
  EXPECT_EQ(absence().code, Errc::kUnsupported);
  EXPECT_THAT(absence().hint, HasSubstr("echo 1"));
  FakeFiles amd({{zone("intel-rapl:0") + "name", "package-0\n"}, {zone("intel-rapl:0") + "energy_uj", "1\n"}});
  Host limitless{amd, clock};
  const auto why = knob_driver::cpu_power_limit.discover(limitless).absent.at(0).why;
  EXPECT_EQ(why.code, Errc::kUnsupported);
  EXPECT_THAT(why.hint, HasSubstr("AMD"));
  FakeFiles nothing;
  Host empty{nothing, clock};
  EXPECT_EQ(knob_driver::cpu_power_limit.discover(empty).absent.at(0).why.code, Errc::kNotFound);
}

}  // namespace
}  // namespace polythrottle
