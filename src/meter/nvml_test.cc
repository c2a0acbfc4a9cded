// The NVML meter on GPUs whose true energy is known, and on sensors that fail.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "host/fake.h"
#include "meter/gpu_cross_check.h"
#include "meter/window.h"

namespace polythrottle {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const MeterDriver& driver() {
  for (const auto* each : meter_drivers()) {
    if (each->name == "nvml") return *each;
  }
  std::abort();
}

/// A GPU whose nodes follow a power over time, as the driver would show it.
class Gpu : public Files {
 public:
  explicit Gpu(FakeClock& clock) : clock_(clock) {
    const std::string folder = "/nvml/GPU-x/";
    for (const auto& [name, text] : std::map<std::string, std::string>{
             {"index", "0"}, {"name", "NVIDIA L4"}, {"architecture", "ada"}, {"energy_mj", ""}, {"power_instant_mw", ""}}) {
      nodes.nodes[folder + name] = text + "\n";
    }
  }

  FakeFiles nodes;
  std::function<double(double)> watts = [](double) { return 50.0; };  ///< the truth
  double refresh = 0.1;                                               ///< of counter and power
  double phase = 0.0;                                                 ///< of their refresh
  double counter_scale = 1.0;                                         ///< what the counter says of the truth
  double counted_before = 1e6;                                        ///< J, when time began
  double power_scale = 1.0;

  /// J drawn since time began, as of the last refresh of which this is a part.
  double energy(double until) const {
    while (integrated_to_ + 1e-4 <= until) {
      energy_ += watts(integrated_to_ + 0.5e-4) * 1e-4;
      integrated_to_ += 1e-4;
    }
    return energy_ - watts(until) * (integrated_to_ - until);
  }

  Result<std::string> read(const std::string& path) const override {
    TRY(std::string text, nodes.read(path));
    const double now = clock_.now().time_since_epoch().count();
    const double updated = std::max(0.0, std::floor((now - phase) / refresh) * refresh + phase);
    if (path.ends_with("/energy_mj") && text == "\n") {
      if (updated > snapshot_at_) {
        snapshot_ = energy(updated);
        snapshot_at_ = updated;
      }
      return std::to_string(std::llround(1e3 * (counted_before + counter_scale * snapshot_))) + "\n";
    }
    if (path.ends_with("_mw") && text == "\n") {
      // A change that is not seen would not be a refresh: the last digit moves.
      const double jitter = 0.001 * std::fmod(std::floor(updated / refresh), 2.0);
      return std::to_string(std::llround(1e3 * (power_scale * watts(updated) + jitter))) + "\n";
    }
    return text;
  }
  Status write(const std::string& path, const std::string& text) override { return nodes.write(path, text); }
  Result<std::vector<std::string>> list(const std::string& folder) const override { return nodes.list(folder); }
  Status make_folder(const std::string& path) override { return nodes.make_folder(path); }
  Status remove_folder(const std::string& path) override { return nodes.remove_folder(path); }
  Status writable(const std::string& path) const override { return nodes.writable(path); }

 private:
  FakeClock& clock_;
  mutable double energy_ = 0.0, integrated_to_ = 0.0;
  mutable double snapshot_ = 0.0, snapshot_at_ = -1.0;
};

class NvmlMeter : public ::testing::Test {
 protected:
  std::string& node(const std::string& name) { return gpu_.nodes.nodes["/nvml/GPU-x/" + name]; }
  void lack(const std::string& name) { gpu_.nodes.nodes.erase("/nvml/GPU-x/" + name); }
  std::unique_ptr<Meter> make() {
    auto found = driver().discover(host_, {});
    EXPECT_EQ(found.meters.size(), 1u) << (found.absent.empty() ? "" : found.absent[0].why.text());
    return found.meters.empty() ? nullptr : std::move(found.meters[0]);
  }
  Error why_absent() {
    auto found = driver().discover(host_, {});
    EXPECT_TRUE(found.meters.empty());
    return found.absent.empty() ? Error{} : found.absent[0].why;
  }

  FakeClock clock_;
  Gpu gpu_{clock_};
  Host host_{gpu_, clock_};
};

TEST_F(NvmlMeter, CountsFromZeroAndSaysWhatItCovers) {
  const auto meter = make();
  EXPECT_THAT(meter->info().boundary, HasSubstr("GPU 0 (NVIDIA L4)"));
  EXPECT_TRUE(meter->info().gpu_alone);
  EXPECT_EQ(meter->info().sampling, Seconds(0)) << "a counter needs no sampling";
  ASSERT_EQ(meter->info().rails.size(), 1u);
  EXPECT_EQ(meter->info().rails[0].name, "GPU 0");
  ASSERT_TRUE(meter->prepare());
  EXPECT_NEAR(meter->info().refresh.count(), 0.1, 0.006) << "measured";
  ASSERT_EQ(meter->info().remarks.size(), 1u);
  EXPECT_THAT(meter->info().remarks[0], HasSubstr("cross-checked"));
  const auto first = *meter->read();
  clock_.advance(Seconds(10));
  const auto last = *meter->read();
  EXPECT_NEAR((last.energy - first.energy).si(), 500.0, 5.1);
  EXPECT_NEAR(last.edge.si(), 50.0 * 0.1 / std::sqrt(12.0), 0.15);
  EXPECT_EQ(last.sampling_variance, 0.0);
  EXPECT_THAT(last.rails, ElementsAre(last.energy));
  EXPECT_NEAR(last.one_sigma.at(0).si(), 0.05 * last.energy.si(), 1e-9);
}

TEST_F(NvmlMeter, MeasuresTheRefreshOfTheCounter) {
  gpu_.refresh = 0.02;
  const auto meter = make();
  EXPECT_EQ(meter->info().refresh, Seconds(0.1)) << "not known before somebody looked";
  ASSERT_TRUE(meter->prepare());
  EXPECT_NEAR(meter->info().refresh.count(), 0.02, 0.006);
}

TEST_F(NvmlMeter, IntegratesPowerWhereTheCounterDisagrees) {
  gpu_.counter_scale = 187.4 / 326.9;
  const auto meter = make();
  ASSERT_TRUE(meter->prepare());
  ASSERT_EQ(meter->info().remarks.size(), 1u);
  EXPECT_THAT(meter->info().remarks[0], HasSubstr("by the energy counter"));
  EXPECT_THAT(meter->info().remarks[0], HasSubstr("by integrated power"));
  EXPECT_THAT(meter->info().remarks[0], HasSubstr("more than 20 %"));
  EXPECT_GE(meter->info().sampling, Seconds(0.09));
  const auto first = *meter->read();
  for (int i = 0; i < 100; ++i) {
    clock_.advance(Seconds(0.1));
    ASSERT_TRUE(meter->read());
  }
  EXPECT_NEAR((meter->read()->energy - first.energy).si(), 500.0, 1.0);
}

TEST_F(NvmlMeter, ADifferenceWithinTheToleranceIsStatedAndTheCounterUsed) {
  gpu_.counter_scale = 0.9;
  const auto meter = make();
  ASSERT_TRUE(meter->prepare());
  EXPECT_EQ(meter->info().sampling, Seconds(0));
  EXPECT_THAT(meter->info().remarks.at(0), HasSubstr("cross-checked"));
}

TEST_F(NvmlMeter, IntegratesPowerWhereThereIsNoCounter) {
  gpu_.nodes.refuse_read["/nvml/GPU-x/energy_mj"] = EOPNOTSUPP;  // what is not there
  lack("energy_mj");
  gpu_.nodes.refuse_read.clear();
  const auto meter = make();
  EXPECT_THAT(meter->info().remarks.at(0), HasSubstr("no energy counter"));
  ASSERT_TRUE(meter->prepare());
  EXPECT_NEAR(meter->info().sampling.count(), 0.1, 0.006) << "not above the sensor's own rate";
  const auto first = *meter->read();
  clock_.advance(Seconds(0.1));
  EXPECT_NEAR((meter->read()->energy - first.energy).si(), 5.0, 0.01);
}

TEST_F(NvmlMeter, SaysThatAnAverageOfASecondComesLate) {
  lack("energy_mj");
  lack("power_instant_mw");
  node("power_mw") = "\n";
  gpu_.watts = [](double t) { return t < 5.0 ? 50.0 : 150.0; };
  const auto meter = make();
  EXPECT_THAT(meter->info().error, HasSubstr("means of 1 s"));
  ASSERT_TRUE(meter->prepare());
  clock_.sleep_until(Clock::TimePoint(Seconds(4.9)));
  const auto steady = *meter->read();
  EXPECT_LT(steady.edge.si(), 0.01);
  clock_.advance(Seconds(0.2));
  const auto risen = *meter->read();
  EXPECT_NEAR(risen.edge.si(), 50.0, 1.0) << "100 W more, half a second late";
}

TEST_F(NvmlMeter, UsesTheAverageOfTheFieldWhereThatIsAllThereIs) {
  lack("energy_mj");
  lack("power_instant_mw");
  node("power_average_mw") = "\n";
  EXPECT_TRUE(make());
}

TEST_F(NvmlMeter, NeitherCounterNorPowerIsAbsenceAndNeverZeroJoules) {
  lack("energy_mj");
  lack("power_instant_mw");
  const Error why = why_absent();
  EXPECT_EQ(why.code, Errc::kUnsupported);
  EXPECT_THAT(why.what, HasSubstr("neither"));
  EXPECT_THAT(why.hint, HasSubstr("--external-meter"));
}

TEST_F(NvmlMeter, RefusesMigSinceEveryInstanceShowsTheWholeCard) {
  node("mig_mode") = "1\n";
  const Error why = why_absent();
  EXPECT_EQ(why.code, Errc::kUnsupported);
  EXPECT_THAT(why.text(), HasSubstr("MIG"));
  EXPECT_THAT(why.hint, HasSubstr("nvidia-smi -mig 0"));
}

TEST_F(NvmlMeter, LeavesAJetsonToItsRails) {
  gpu_.nodes.nodes["/proc/device-tree/compatible"] = std::string("nvidia,p3701\0nvidia,tegra234", 28);
  const Error why = why_absent();
  EXPECT_EQ(why.code, Errc::kUnsupported);
  EXPECT_THAT(why.hint, HasSubstr("ina3221"));
}

TEST_F(NvmlMeter, APermissionThatIsMissingIsSaidAsThat) {
  for (const char* name : {"energy_mj", "power_instant_mw"}) gpu_.nodes.refuse_read[std::string("/nvml/GPU-x/") + name] = EACCES;
  EXPECT_EQ(why_absent().code, Errc::kPermission);
  EXPECT_FALSE(why_absent().hint.empty());
}

TEST_F(NvmlMeter, ACounterThatWentBackIsSaidOnceAndCountingGoesOn) {
  const auto meter = make();
  ASSERT_TRUE(meter->prepare());
  clock_.advance(Seconds(1));
  gpu_.counted_before = 0.0;  // the driver was loaded anew
  const auto before = meter->read();
  ASSERT_FALSE(before);
  EXPECT_EQ(before.error().code, Errc::kCorrupt);
  EXPECT_THAT(before.error().text(), HasSubstr("driver was loaded anew"));
  const auto first = *meter->read();
  clock_.advance(Seconds(2));
  EXPECT_NEAR((meter->read()->energy - first.energy).si(), 100.0, 5.1);
}

TEST_F(NvmlMeter, ACounterThatJumpsOrChangesItsUnitIsCorrupt) {
  for (const double factor : {1000.0, 1.5, 1e-3}) {
    const auto meter = make();
    ASSERT_TRUE(meter->prepare());
    const double usual = gpu_.counted_before;
    gpu_.counted_before *= factor;
    clock_.advance(Seconds(1));
    const auto jumped = meter->read();
    ASSERT_FALSE(jumped) << factor;
    EXPECT_EQ(jumped.error().code, Errc::kCorrupt);
    gpu_.counted_before = usual;
  }
}

TEST_F(NvmlMeter, ACounterThatStandsStillFailsTheWindow) {
  const auto meter = make();
  ASSERT_TRUE(meter->prepare());
  auto window = *Window::open(host_, *meter, Seconds(0.5));
  node("energy_mj") = "1000050000\n";
  clock_.advance(Seconds(3));
  const auto reading = window->close();
  ASSERT_FALSE(reading);
  EXPECT_EQ(reading.error().code, Errc::kCorrupt);
}

TEST_F(NvmlMeter, ACounterThatNeverMovedIsNotUsed) {
  node("energy_mj") = "1000050000\n";
  const auto meter = make();
  ASSERT_TRUE(meter->prepare());
  EXPECT_THAT(meter->info().remarks.at(0), HasSubstr("hardly moved"));
  EXPECT_GT(meter->info().sampling, Seconds(0));
  clock_.advance(Seconds(1));
  EXPECT_GT(meter->read()->energy.si(), 40.0);

  lack("power_instant_mw");
  const auto blind = make();
  const auto prepared = blind->prepare();
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().code, Errc::kCorrupt);
}

TEST_F(NvmlMeter, PowerOfNothingOrOfAPowerPlantIsCorrupt) {
  lack("energy_mj");
  const auto meter = make();
  ASSERT_TRUE(meter->prepare());
  for (const char* text : {"0\n", "4294967295\n", "-1\n", "N/A\n", "\n\n"}) {
    node("power_instant_mw") = text;
    const auto read = meter->read();
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, Errc::kCorrupt) << text;
  }
}

TEST_F(NvmlMeter, WhatIsLostInMidRunIsToldApart) {
  const auto meter = make();
  ASSERT_TRUE(meter->prepare());
  for (const auto& [number, code] :
       {std::pair{EACCES, Errc::kPermission}, {EIO, Errc::kIo}, {ENOENT, Errc::kNotFound}, {EAGAIN, Errc::kBusy}}) {
    gpu_.nodes.refuse_read["/nvml/GPU-x/energy_mj"] = number;
    const auto read = meter->read();
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, code);
    EXPECT_THAT(read.error().what, HasSubstr("energy_mj"));
  }
}

TEST_F(NvmlMeter, StatesWhatASensorThatLooksAwayMayMiss) {
  node("name") = "NVIDIA A100-PCIE-40GB\n";
  node("architecture") = "ampere\n";
  const auto meter = make();
  EXPECT_THAT(meter->info().error, HasSubstr("75 % of the time"));
  ASSERT_TRUE(meter->prepare());
  gpu_.watts = [](double t) { return std::fmod(t, 6.0) < 3.0 ? 100.0 : 300.0; };
  for (int i = 0; i < 20; ++i) {
    clock_.advance(Seconds(2));
    ASSERT_TRUE(meter->read());
  }
  EXPECT_GT(std::sqrt(meter->read()->sampling_variance), 100.0) << "of 8 kJ";

  node("name") = "NVIDIA A10\n";
  EXPECT_THAT(make()->info().error, ::testing::Not(HasSubstr("of the time"))) << "GA102";
}

/// By whichever way it measures, the truth lies within the error of a window that it states itself.
TEST_F(NvmlMeter, TheTruthLiesWithinItsErrorAsOftenAsItSays) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  for (const bool by_counter : {true, false}) {
    gpu_.counter_scale = by_counter ? 1.0 : 0.5;
    const auto meter = make();
    ASSERT_TRUE(meter->prepare());
    int inside = 0;
    constexpr int kWindows = 1000;
    for (int i = 0; i < kWindows; ++i) {
      gpu_.phase = 0.1 * uniform(random);
      clock_.advance(Seconds(0.15 + 0.1 * uniform(random)));
      ASSERT_TRUE(meter->read());
      const double began = clock_.now().time_since_epoch().count();
      auto window = *Window::open(host_, *meter, Seconds(0.25));
      clock_.advance(Seconds(0.3 + 2.0 * uniform(random)));
      const double ended = clock_.now().time_since_epoch().count();
      const auto reading = window->close();
      ASSERT_TRUE(reading) << reading.error().text();
      const double truth = 50.0 * (ended - began);
      inside += std::abs(reading->energy.si() - truth) <= 1.96 * reading->own_error.si() + 1e-3 ? 1 : 0;
    }
    EXPECT_GE(inside, 930) << by_counter;
    if (by_counter) {
      EXPECT_LE(inside, 985) << "too wide is a failure too; the difference of two uniform ages ends before a normal one";
    }
  }
}

TEST(GpuCrossCheck, FindsTheRefreshAndBothEnergies) {
  std::vector<GpuLook> looks;
  for (int i = 0; i < 200; ++i) {
    const double at = 0.005 * i;
    looks.push_back({Clock::TimePoint(Seconds(at)), 20.0 * 0.1 * std::floor(at / 0.1 + 1e-9), 20.0 + (i / 4 % 2)});
  }
  const auto check = cross_check(looks);
  EXPECT_NEAR(check.counter_refresh->count(), 0.1, 1e-9);
  EXPECT_NEAR(check.power_refresh->count(), 0.02, 1e-9);
  EXPECT_NEAR(check.compared.count(), 0.8, 1e-9);
  EXPECT_NEAR(check.by_counter.si(), 16.0, 1e-9);
  EXPECT_NEAR(check.by_power.si(), 16.4, 0.05);
  EXPECT_TRUE(check.agree());
}

TEST(GpuCrossCheck, ComparesNothingWithoutChangesOrPower) {
  EXPECT_EQ(cross_check({}).compared, Seconds(0));
  std::vector<GpuLook> looks(100, GpuLook{{}, 5.0, 20.0});
  EXPECT_FALSE(cross_check(looks).counter_refresh);
  EXPECT_EQ(cross_check(looks).compared, Seconds(0));
  for (std::size_t i = 0; i < looks.size(); ++i) {
    looks[i].at = Clock::TimePoint(Seconds(0.01 * static_cast<double>(i)));
    looks[i].counter = static_cast<double>(i / 10);
    looks[i].watts.reset();
  }
  EXPECT_TRUE(cross_check(looks).counter_refresh);
  EXPECT_EQ(cross_check(looks).compared, Seconds(0));
  EXPECT_EQ(cross_check(looks).mean_watts, 0.0);
}

}  // namespace
}  // namespace polythrottle
