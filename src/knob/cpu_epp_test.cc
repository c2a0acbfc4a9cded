#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/fake.h"
#include "knob/lease.h"

namespace polythrottle {
namespace knob_driver {
extern const KnobDriver cpu_epp;
}
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string folder(int policy) { return "/sys/devices/system/cpu/cpufreq/policy" + std::to_string(policy) + "/"; }
std::string preference(int policy) { return folder(policy) + "energy_performance_preference"; }

class Epp : public ::testing::Test {
 protected:
  Epp() {
    for (const int policy : {0, 1}) {
      files.nodes[folder(policy) + "scaling_driver"] = "intel_pstate\n";
      files.nodes[folder(policy) + "scaling_governor"] = "powersave\n";
      files.nodes[folder(policy) + "energy_performance_available_preferences"] =
          "default performance balance_performance balance_power power \n";
      files.nodes[preference(policy)] = "balance_performance\n";
    }
    files.nodes["/proc/sys/kernel/random/boot_id"] = "boot-1\n";
  }
  Knob& probe() {
    found = knob_driver::cpu_epp.discover(host);
    EXPECT_EQ(found.knobs.size(), 1u) << (found.absent.empty() ? "" : found.absent[0].why.text());
    return *found.knobs.at(0);
  }
  Error absence() {
    found = knob_driver::cpu_epp.discover(host);
    EXPECT_TRUE(found.knobs.empty());
    return found.absent.at(0).why;
  }
  FakeFiles files;
  FakeClock clock;
  Host host{files, clock};
  KnobDiscovery found;
};

TEST_F(Epp, OrdersTheNamesItKnowsAndLeavesOutTheDefault) {
  EXPECT_TRUE(knob_driver::cpu_epp.by_request);
  Knob& knob = probe();
  EXPECT_THAT(knob.parameter().levels,
              ElementsAre(Value("power"), Value("balance_power"), Value("balance_performance"), Value("performance")));
  EXPECT_EQ(knob.parameter().role, Role::kOther);
  EXPECT_EQ(*knob.read(), Value("balance_performance"));
  EXPECT_EQ(*knob.write(Value("power")), Value("power"));
  EXPECT_EQ(files.nodes[preference(1)], "power\n");
  EXPECT_EQ(knob.write(Value("default")).error().code, Errc::kOutOfRange);
  EXPECT_EQ(knob.write(Value(0.0)).error().code, Errc::kOutOfRange);
}

TEST_F(Epp, NamesItDoesNotKnowHaveNoOrder) {
  for (const int policy : {0, 1}) files.nodes[folder(policy) + "energy_performance_available_preferences"] = "performance turbo power\n";
  Knob& knob = probe();
  EXPECT_EQ(knob.parameter().role, Role::kCategory);
  EXPECT_EQ(knob.parameter().levels.size(), 3u);
}

TEST_F(Epp, OffersWhatAllPoliciesKnow) {
  files.nodes[folder(1) + "energy_performance_available_preferences"] = "default performance power\n";
  EXPECT_THAT(probe().parameter().levels, ElementsAre(Value("power"), Value("performance")));
  files.nodes[folder(1) + "energy_performance_available_preferences"] = "default\n";
  EXPECT_EQ(absence().code, Errc::kUnsupported);
}

TEST_F(Epp, PoliciesThatDifferAndNumbersAreReadAndGivenBackAsTheyWere) {
  files.nodes[preference(0)] = "87\n";  // set by hand, without a name
  files.nodes[preference(1)] = "power\n";
  Knob& knob = probe();
  EXPECT_EQ(*knob.read(), Value("87, power"));
  const ScratchFolder scratch;
  auto lease = *Lease::take(host, {&knob}, {.record_path = (scratch.path() / "lease.json").string()});
  EXPECT_EQ(*lease->apply({{"cpu_epp", Value("performance")}}), (Config{{"cpu_epp", Value("performance")}}));
  files.nodes[preference(1)] = "balance_power\n";  // a rival: seen, though the other policy still holds ours
  EXPECT_EQ(lease->now()->get("cpu_epp"), Value("performance, balance_power"));
  EXPECT_TRUE(lease->restore().front().status);
  EXPECT_EQ(files.nodes[preference(0)], "87\n");
  EXPECT_EQ(files.nodes[preference(1)], "power\n");
}

TEST_F(Epp, TheGovernorPerformanceHasItsOwn) {
  for (const char* driver : {"intel_pstate", "amd-pstate-epp"}) {
    files.nodes[folder(1) + "scaling_driver"] = std::string(driver) + "\n";
    files.nodes[folder(1) + "scaling_governor"] = "performance\n";
    const Error why = absence();
    EXPECT_EQ(why.code, Errc::kUnsupported);
    EXPECT_THAT(why.what, HasSubstr("governor performance"));
    EXPECT_THAT(why.hint, HasSubstr("powersave"));
  }
  files.nodes[folder(1) + "scaling_driver"] = "intel_cpufreq\n";  // passive: there the governor is not the driver's
  EXPECT_EQ(probe().parameter().levels.size(), 4u);
}

TEST_F(Epp, AGovernorChangedInMidStudyIsNamedInTheRefusal) {
  Knob& knob = probe();
  files.refuse_write[preference(0)] = EBUSY;
  const auto refused = knob.write(Value("power"));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().hint, HasSubstr("governor performance"));
}

TEST_F(Epp, TellsAbsentForbiddenAndOffline) {
  files.refuse_write[preference(0)] = EACCES;
  EXPECT_EQ(absence().code, Errc::kPermission);
  EXPECT_THAT(absence().hint, HasSubstr("root"));
  files.refuse_write.clear();
  files.refuse_read[preference(1)] = EBUSY;
  EXPECT_THAT(probe().paths(), ElementsAre(preference(0)));
  files.refuse_read.clear();
  files.nodes.erase(preference(1));
  EXPECT_EQ(absence().code, Errc::kNotFound);
  FakeFiles nothing;
  Host empty{nothing, clock};
  EXPECT_EQ(knob_driver::cpu_epp.discover(empty).absent.at(0).why.code, Errc::kNotFound);
}

}  // namespace
}  // namespace polythrottle
