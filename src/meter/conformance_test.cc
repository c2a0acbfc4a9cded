// What every meter keeps to, whatever driver found it: on every recorded machine, and with everything going wrong that can.
//
// A new meter gets its faults by one row in `subjects()`: a recorded machine, and the files its energy comes from.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <tuple>

#include "host/fake.h"
#include "meter/window.h"

namespace polythrottle {
namespace {

using ::testing::HasSubstr;

/// The files of a fixture in memory, so that they can move and misbehave.
std::map<std::string, std::string> recorded(const std::string& fixture) {
  const std::filesystem::path root = std::filesystem::path(POLYTHROTTLE_SOURCE_DIR) / "tests/fixtures" / fixture;
  std::map<std::string, std::string> nodes;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    const std::string path = "/" + entry.path().lexically_relative(root).string();
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    nodes[path] = std::string(std::istreambuf_iterator<char>(in), {});
  }
  return nodes;
}

/// A file that the meter's energy comes from.
struct Source {
  std::string path;
  double share = 0.0;     ///< of the power that is drawn: 1, or 0 where the file is no part of the meter's energy
  double counts = 0.0;    ///< a counter: counts per joule. 0: a sensor of power, which stays as it is
  double wraps_at = 0.0;  ///< a counter: counts after which it starts again at 0; 0: not while we look
};

struct Subject {
  const char* driver;
  const char* fixture;
  const char* meter;  ///< its name; several of one driver may be on a machine
  std::vector<Source> sources;
};

constexpr double kIntelRange = 262143328850;
constexpr const char* kZone = "/sys/class/powercap/intel-rapl:";

std::string zone(const std::string& number) { return kZone + number + "/energy_uj"; }
std::string perf(const std::string& event, int cpu) { return "/perf/power/energy-" + event + "/cpu" + std::to_string(cpu); }
constexpr double kPerfCounts = 4294967296.0;  ///< in a joule

const std::vector<Subject>& subjects() {
  static const std::vector<Subject> all{
      {"rapl",
       "x86-intel_pstate-rapl",
       "rapl",
       {{zone("0"), 1, 1e6, kIntelRange},
        {zone("0:0"), 0, 1e6, kIntelRange},
        {zone("0:1"), 0, 1e6, 65712999613},
        {zone("1"), 0, 1e6, kIntelRange}}},
      {"rapl", "x86-server-intel_pstate", "rapl", {{zone("0"), 0.5, 1e6, kIntelRange}, {zone("1"), 0.5, 1e6, kIntelRange}}},
      {"rapl-perf",
       "x86-server-intel_pstate",
       "rapl-perf",
       {{perf("pkg", 0), 0.5, kPerfCounts}, {perf("pkg", 6), 0.5, kPerfCounts}, {perf("ram", 0), 0, kPerfCounts}}},
      {"hwmon", "arm64-cpufreq-table", "hwmon:scmi_sensors:A72_cluster", {{"/sys/class/hwmon/hwmon0/energy1_input", 1, 1e6}}},
      {"hwmon",
       "arm64-cpufreq-table",
       "hwmon:ltc4151:curr1",
       {{"/sys/class/hwmon/hwmon1/in1_input"}, {"/sys/class/hwmon/hwmon1/curr1_input"}}},
      {"hwmon", "x86-server-intel_pstate", "hwmon:ltc4215:power1", {{"/sys/class/hwmon/hwmon1/power1_input"}}},
      {"hwmon", "x86-server-intel_pstate", "hwmon:ina226@1-0041:power1", {{"/sys/class/hwmon/hwmon3/power1_input"}}},
      {"ina3221", "jetson-agx-orin-jp5", "ina3221", {{"/sys/class/hwmon/hwmon3/curr1_input"}}},
      {"ina3221", "jetson-tx2-jp46", "ina3221", {{"/sys/bus/i2c/drivers/ina3221x/0-0041/iio:device1/in_power0_input"}}},
      {"ina3221", "jetson-agx-thor-jp7", "ina3221", {{"/sys/class/hwmon/hwmon3/power1_input"}}},
  };
  return all;
}

const MeterDriver& driver_named(const std::string& name) {
  for (const auto* driver : meter_drivers()) {
    if (driver->name == name) return *driver;
  }
  throw std::runtime_error("no meter driver " + name);
}

/// One meter on one recorded machine, whose counters grow while time passes.
class MeterFaults : public ::testing::TestWithParam<Subject> {
 protected:
  static constexpr double kWatts = 50.0;

  void SetUp() override {
    discovery_ = driver_named(subject_.driver).discover(host_, {});
    for (auto& meter : discovery_.meters) {
      if (meter->info().name == subject_.meter) meter_ = meter.get();
    }
    ASSERT_NE(meter_, nullptr) << (discovery_.absent.empty() ? "" : discovery_.absent[0].why.text());
  }

  void pass(Seconds time) {
    clock_.advance(time);
    for (const auto& source : subject_.sources) {
      if (source.counts <= 0.0) continue;
      double now = count(source) + source.share * kWatts * time.count() * source.counts;
      // Whatever is no part of the energy grows too.
      if (source.share <= 0.0) now += 1e3;
      if (source.wraps_at > 0.0 && now >= source.wraps_at) now -= source.wraps_at;
      set(source, now);
    }
  }
  double count(const Source& source) const { return std::stod(files_.nodes.at(source.path)); }
  void set(const Source& source, double count) { files_.nodes[source.path] = std::to_string(static_cast<long long>(count)) + "\n"; }
  /// Those that make up the meter's energy, counters or not.
  bool counts_itself() const { return subject_.sources.front().counts > 0.0; }

  MeterSample good(const char* when) {
    auto sample = meter_->read();
    EXPECT_TRUE(sample) << when << ": " << sample.error().text();
    return sample.value_or(MeterSample{});
  }
  /// A second that goes well, then `break_it`, a second, a read that must fail with `expected` and name the file.
  void fails(const Source& source, Errc expected, const std::function<void()>& break_it) {
    pass(Seconds(1));
    good("before the fault");
    pass(Seconds(1));
    break_it();
    const auto broken = meter_->read();
    ASSERT_FALSE(broken) << source.path << " gave " << broken->energy.si() << " J without a word";
    EXPECT_EQ(broken.error().code, expected) << broken.error().text();
    EXPECT_THAT(broken.error().what, HasSubstr(source.path));
  }
  /// A fault that passes costs a counter nothing; a sensor has a gap, over which its power is taken to be steady.
  void nothing_is_lost(const Source& source, Errc expected, const std::function<void()>& break_it) {
    const double power = power_now();
    const std::string kept = files_.nodes[source.path];
    const double before = good("at first").energy.si();
    fails(source, expected, break_it);
    files_.nodes[source.path] = kept;
    files_.refuse_read.clear();
    if (source.counts > 0.0) set(source, count(source) + (source.share > 0 ? 2.0 * source.share * kWatts * source.counts : 2e3));
    pass(Seconds(1));
    EXPECT_NEAR(good("after the fault").energy.si() - before, 3.0 * power, 1e-3);
  }
  double power_now() {
    if (counts_itself()) return kWatts;
    const double before = good("a power").energy.si();
    pass(Seconds(1));
    return good("a power").energy.si() - before;
  }

  const Subject subject_ = GetParam();
  FakeFiles files_{recorded(subject_.fixture)};
  FakeClock clock_;
  Host host_{files_, clock_};
  MeterDiscovery discovery_;
  Meter* meter_ = nullptr;
};

TEST_P(MeterFaults, AWrapIsNoLoss) {
  for (const auto& source : subject_.sources) {
    if (source.wraps_at <= 0.0) continue;
    set(source, source.wraps_at - 1e6);
    discovery_.meters.clear();
    SetUp();  // what it began with is near its wrap
    const double before = good("before").energy.si();
    pass(Seconds(1));
    pass(Seconds(1));
    EXPECT_NEAR(good("after the wrap").energy.si() - before, 2 * kWatts, 1e-3) << source.path;
  }
}

TEST_P(MeterFaults, AFreezeIsAnErrorOfACounterAndTheTruthOfASensor) {
  auto window = *Window::open(host_, *meter_, Seconds(0.5));
  if (counts_itself()) {
    clock_.advance(Seconds(60));
    const auto frozen = window->close();
    ASSERT_FALSE(frozen);
    EXPECT_EQ(frozen.error().code, Errc::kCorrupt) << frozen.error().text();
    pass(Seconds(1));
    const double before = good("it moves again").energy.si();
    pass(Seconds(1));
    EXPECT_NEAR(good("and goes on").energy.si() - before, kWatts, 1e-3);
  } else {
    pass(Seconds(2));
    const auto steady = window->close();
    ASSERT_TRUE(steady) << steady.error().text();
    EXPECT_GT(steady->energy, Joules(0));
  }
}

TEST_P(MeterFaults, OneCountedCounterOfSeveralThatStandsStillIsNotLeftOutInSilence) {
  for (const auto& source : subject_.sources) {
    if (source.counts <= 0.0 || source.share <= 0.0) continue;
    const double stands_at = count(source);
    const auto still = [&] { set(source, stands_at); };
    bool told = false;
    good("at first");
    for (int i = 0; i < 100 && !told; ++i) {
      pass(Seconds(1));
      still();
      const auto sample = meter_->read();
      told = !sample;
      if (told) {
        EXPECT_EQ(sample.error().code, Errc::kCorrupt) << sample.error().text();
      }
    }
    EXPECT_TRUE(told) << source.path;
    pass(Seconds(1));
    good("it moves again");
  }
}

TEST_P(MeterFaults, AJumpBackIsCorruptAndItGoesOnFromThere) {
  for (const auto& source : subject_.sources) {
    if (source.counts <= 0.0) continue;
    fails(source, Errc::kCorrupt, [&] { set(source, count(source) * 0.5); });
    pass(Seconds(1));
    const double before = good("after it").energy.si();
    pass(Seconds(1));
    EXPECT_NEAR(good("and on").energy.si() - before, kWatts, 1e-3);
  }
}

TEST_P(MeterFaults, AJumpBeyondBeliefIsCorruptAndItGoesOnFromThere) {
  for (const auto& source : subject_.sources) {
    if (source.counts <= 0.0) continue;
    set(source, 1e9);  // far from its wrap
    discovery_.meters.clear();
    SetUp();
    fails(source, Errc::kCorrupt, [&] { set(source, count(source) + 60e3 * source.counts); });
    pass(Seconds(1));
    const double before = good("after it").energy.si();
    pass(Seconds(1));
    EXPECT_NEAR(good("and on").energy.si() - before, kWatts, 1e-3);
  }
}

TEST_P(MeterFaults, AUnitBehindTheNumberIsCorrupt) {
  for (const auto& source : subject_.sources) {
    nothing_is_lost(source, Errc::kCorrupt, [&] { files_.nodes[source.path] = "12 mJ\n"; });
  }
}

TEST_P(MeterFaults, WordsInsteadOfANumberAreCorrupt) {
  for (const char* text : {"<unknown>\n", "nan\n", "\n", ""}) {
    for (const auto& source : subject_.sources) nothing_is_lost(source, Errc::kCorrupt, [&] { files_.nodes[source.path] = text; });
  }
}

TEST_P(MeterFaults, AFileThatVanishesIsNotFound) {
  for (const auto& source : subject_.sources) {
    nothing_is_lost(source, Errc::kNotFound, [&] { files_.nodes.erase(source.path); });
  }
}

TEST_P(MeterFaults, APermissionThatIsTakenAwayIsPermission) {
  for (const auto& source : subject_.sources) {
    nothing_is_lost(source, Errc::kPermission, [&] { files_.refuse_read[source.path] = EACCES; });
  }
}

TEST_P(MeterFaults, ADeviceThatFailsIsIo) {
  for (const auto& source : subject_.sources) {
    nothing_is_lost(source, Errc::kIo, [&] { files_.refuse_read[source.path] = EIO; });
  }
}

TEST_P(MeterFaults, AWindowTellsTheFirstFailureWithinIt) {
  for (const auto& source : subject_.sources) {
    const std::string kept = files_.nodes[source.path];
    auto window = *Window::open(host_, *meter_, Seconds(0.5));
    files_.refuse_read[source.path] = EACCES;
    pass(Seconds(1));
    files_.refuse_read.clear();
    pass(Seconds(1));
    const auto reading = window->close();
    ASSERT_FALSE(reading);
    EXPECT_EQ(reading.error().code, Errc::kPermission) << reading.error().text();
  }
}

TEST_P(MeterFaults, RailsAreNeverCountedTwice) {
  const auto& rails = meter_->info().rails;
  for (std::size_t i = 0; i < rails.size(); ++i) {
    for (auto around = rails[i].inside; rails[i].counted && around; around = rails[*around].inside) {
      EXPECT_FALSE(rails[*around].counted) << rails[i].name << " lies in " << rails[*around].name;
    }
    EXPECT_EQ(std::count_if(rails.begin(), rails.end(), [&](const Rail& rail) { return rail.name == rails[i].name; }), 1);
  }
  pass(Seconds(2));
  const auto sample = good("rails");
  ASSERT_EQ(sample.rails.size(), rails.size());
  Joules counted;
  for (std::size_t i = 0; i < rails.size(); ++i) {
    if (rails[i].counted) counted += sample.rails[i];
  }
  if (!rails.empty()) {
    EXPECT_NEAR(counted.si(), sample.energy.si(), 1e-6);
  }
}

std::string words(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](unsigned char letter) { return std::isalnum(letter) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Meters, MeterFaults, ::testing::ValuesIn(subjects()),
                         [](const auto& instance) { return words(std::string(instance.param.meter) + "_on_" + instance.param.fixture); });

constexpr const char* kFixtures[] = {"x86-intel_pstate-rapl", "x86-server-intel_pstate", "x86-nvidia-2gpu",    "jetson-tx2-jp46",
                                     "jetson-agx-orin-jp5",   "jetson-agx-thor-jp7",     "arm64-cpufreq-table"};

/// Every driver on every machine.
class MeterConformance : public ::testing::TestWithParam<std::tuple<const MeterDriver*, const char*>> {
 protected:
  const MeterDriver& driver_ = *std::get<0>(GetParam());
  FakeFiles files_{recorded(std::get<1>(GetParam()))};
  FakeClock clock_;
  Host host_{files_, clock_};
};

TEST_P(MeterConformance, SaysWhatItIs) {
  const auto found = driver_.discover(host_, {});
  std::set<std::string> names;
  for (const auto& meter : found.meters) {
    const auto& info = meter->info();
    EXPECT_TRUE(info.name == driver_.name || info.name.starts_with(std::string(driver_.name) + ":")) << info.name;
    EXPECT_TRUE(names.insert(info.name).second) << info.name << " twice";
    EXPECT_FALSE(info.boundary.empty());
    EXPECT_FALSE(info.error.empty());
    EXPECT_GT(info.refresh.count(), 0.0);
    EXPECT_TRUE(info.sampling == Seconds(0) || info.sampling >= info.refresh);
    EXPECT_GE(info.read_cost.count(), 0.0);
    EXPECT_FALSE(info.error_sources.empty());
    const auto sample = meter->read();
    ASSERT_TRUE(sample) << sample.error().text();
    EXPECT_EQ(sample->energy, Joules(0)) << "no time has passed";
    EXPECT_EQ(sample->one_sigma.size(), info.error_sources.size());
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
  if (driver_.name == "external") GTEST_SKIP() << "reads no file of the machine";
  FakeFiles forbidden;
  for (const char* path : {"/sys/class/powercap", "/sys/class/hwmon", "/sys/devices/system/cpu/online", "/proc/stat", "/nvml",
                           "/sys/bus/event_source/devices/power/type"}) {
    forbidden.refuse_read[path] = EACCES;
  }
  Host host{forbidden, clock_};
  const auto found = driver_.discover(host, {});
  EXPECT_TRUE(found.meters.empty());
  for (const auto& absence : found.absent) EXPECT_EQ(absence.why.code, Errc::kPermission) << absence.name;
}

INSTANTIATE_TEST_SUITE_P(Drivers, MeterConformance,
                         ::testing::Combine(::testing::ValuesIn(meter_drivers().begin(), meter_drivers().end()),
                                            ::testing::ValuesIn(kFixtures)),
                         [](const auto& instance) {
                           return words(std::string(std::get<0>(instance.param)->name) + "_on_" + std::get<1>(instance.param));
                         });

}  // namespace
}  // namespace polythrottle
