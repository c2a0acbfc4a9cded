// What every meter keeps to, whatever driver found it.

#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

#include "host/fake.h"
#include "meter/window.h"

namespace polythrottle {
namespace {

constexpr const char* kFixtures[] = {"x86-intel_pstate-rapl", "jetson-tx2-jp46", "jetson-agx-orin-jp5", "jetson-agx-thor-jp7"};

/// Every driver on every machine.
class MeterConformance : public ::testing::TestWithParam<std::tuple<const MeterDriver*, const char*>> {
 protected:
  MeterConformance()
      : driver_(*std::get<0>(GetParam())),
        scratch_(std::filesystem::path(POLYTHROTTLE_SOURCE_DIR) / "tests/fixtures" / std::get<1>(GetParam())),
        files_(real_files(scratch_.path().string())) {}

  /// What the hardware would do meanwhile: energy at 50 W where it is counted, and a busy process. Sensors of power stay as they are.
  void pass(Seconds time) {
    clock_.advance(time);
    if (driver_.name != "rapl") return;
    const std::string path = "/sys/class/powercap/intel-rapl:0/energy_uj";
    const long long range = *read_integer(*files_, "/sys/class/powercap/intel-rapl:0/max_energy_range_uj");
    const long long now = *read_integer(*files_, path) + static_cast<long long>(50e6 * time.count());
    ASSERT_TRUE(files_->write(path, std::to_string(now % range) + "\n"));
  }

  const MeterDriver& driver_;
  ScratchFolder scratch_;
  std::unique_ptr<Files> files_;
  FakeClock clock_;
  Host host_{*files_, clock_};
};

TEST_P(MeterConformance, NeverDecreasesAndSurvivesAWrap) {
  clock_.busy_cpus = 1.0;
  const auto found = driver_.discover(host_, {});
  if (found.meters.empty()) GTEST_SKIP() << driver_.name << " finds nothing on the fixture";
  for (const auto& meter : found.meters) {
    auto last = meter->read();
    ASSERT_TRUE(last) << last.error().text();
    EXPECT_GE(last->energy, Joules(0));
    for (int i = 0; i < 100; ++i) {  // 50 kJ: past the wrap of the fixture
      pass(Seconds(10));
      auto now = meter->read();
      ASSERT_TRUE(now) << now.error().text();
      EXPECT_GT(now->energy, last->energy);
      EXPECT_GT(now->at, last->at);
      EXPECT_EQ(now->one_sigma.size(), meter->info().error_sources.size());
      last = std::move(now);
    }
  }
}

TEST_P(MeterConformance, SaysWhatItIs) {
  const auto found = driver_.discover(host_, {});
  for (const auto& meter : found.meters) {
    const auto& info = meter->info();
    EXPECT_EQ(info.name, driver_.name);
    EXPECT_FALSE(info.boundary.empty());
    EXPECT_FALSE(info.error.empty());
    EXPECT_GT(info.refresh.count(), 0.0);
    EXPECT_TRUE(info.sampling == Seconds(0) || info.sampling >= info.refresh);
    EXPECT_GE(info.read_cost.count(), 0.0);
    EXPECT_FALSE(info.error_sources.empty());
  }
}

TEST_P(MeterConformance, AnEmptyMachineIsAbsenceAndNotPermission) {
  FakeFiles nothing;
  Host host{nothing, clock_};
  const auto found = driver_.discover(host, {});
  EXPECT_TRUE(found.meters.empty());
  ASSERT_EQ(found.absent.size(), 1u);
  EXPECT_EQ(found.absent[0].why.code, Errc::kNotFound);
}

TEST_P(MeterConformance, SaysPermissionApartFromAbsence) {
  FakeFiles forbidden;
  for (const char* path : {"/sys/class/powercap", "/sys/class/hwmon", "/sys/devices/system/cpu/online", "/proc/stat"})
    forbidden.refuse_read[path] = EACCES;
  Host host{forbidden, clock_};
  const auto found = driver_.discover(host, {});
  EXPECT_TRUE(found.meters.empty());
  for (const auto& absence : found.absent) EXPECT_EQ(absence.why.code, Errc::kPermission) << absence.name;
}

TEST_P(MeterConformance, AWindowOverItGivesPlausiblePower) {
  clock_.busy_cpus = 1.0;
  const auto found = driver_.discover(host_, {});
  for (const auto& meter : found.meters) {
    auto window = *Window::open(host_, *meter, Seconds(100));
    pass(Seconds(2));
    const auto reading = window->close();
    ASSERT_TRUE(reading) << reading.error().text();
    const double watts = (reading->energy / reading->elapsed).si();
    EXPECT_GT(watts, 1.0);
    EXPECT_LT(watts, 60.0);
  }
}

INSTANTIATE_TEST_SUITE_P(Drivers, MeterConformance,
                         ::testing::Combine(::testing::ValuesIn(meter_drivers().begin(), meter_drivers().end()),
                                            ::testing::ValuesIn(kFixtures)),
                         [](const auto& instance) {
                           std::string name = std::string(std::get<0>(instance.param)->name) + "_on_" + std::get<1>(instance.param);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace polythrottle
