// Trials that size themselves on the simulated board: what counts, and what does not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/simulation/machine.h"
#include "study/one_trial.h"
#include "study/sizing.h"
#include "workload/model.h"

namespace polythrottle {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

/// EfficientNet B0 on the board.
class BoardEngine final : public Engine {
 public:
  explicit BoardEngine(simulation::Machine& machine) : machine_(machine) {}
  const ModelInfo& model() const override { return info_; }
  Status prepare(std::int64_t) override { return {}; }
  Status run() override {
    TRY(const Seconds latency, machine_.run_batch("efficientnet-b0", simulation::Precision::kFp16, 1));
    (void)latency;
    return {};
  }

 private:
  simulation::Machine& machine_;
  ModelInfo info_;
};
std::unique_ptr<Workload> work_on(simulation::Machine& machine) {
  const auto open = [&machine](int, std::uint64_t) -> Result<std::unique_ptr<Engine>> { return std::make_unique<BoardEngine>(machine); };
  return model_workload(machine.host().clock, open, {.batches = {1}, .threads = {1}, .instances = {1}}).value();
}

/// The board's true energy, and on top of it a heater that is on for a while. Written down by the test, not by a sensor.
class TrueMeter final : public Meter {
 public:
  TrueMeter(simulation::Machine& machine, double heater_watts, Seconds heater_time)
      : machine_(machine), watts_(heater_watts), time_(heater_time), start_(machine.host().clock.now()) {
    info_ = {.name = "true", .refresh = Seconds(1e-3)};
  }
  const MeterInfo& info() const override { return info_; }
  Result<MeterSample> read() override {
    const auto at = machine_.host().clock.now();
    const auto joules = machine_.energy();
    return MeterSample{
        .at = at, .energy = Joules(joules.gpu + joules.cpu + joules.memory + joules.other + watts_ * std::min(at - start_, time_).count())};
  }

 private:
  simulation::Machine& machine_;
  double watts_;
  Seconds time_;
  Clock::TimePoint start_;
  MeterInfo info_;
};

class SizedTrial : public testing::Test {
 protected:
  Outcome run(double heater_watts, double heater_seconds, const Plan& plan, std::uint64_t seed = 3) {
    auto machine = simulation::Machine::make("jetson-orin", {.seed = seed}).value();
    Host host = machine->host();
    Device device{.name = "sim", .host = host, .space = {}, .reference = {}};
    device.workload = work_on(*machine);
    device.energy_meter = std::make_unique<TrueMeter>(*machine, heater_watts, Seconds(heater_seconds));
    OneTrial trial(device, nullptr, plan, {});
    const auto began = host.clock.now();
    Outcome outcome = trial.run({Advice::Kind::kReference, {}, "", {}}, seed, {}, nullptr);
    took_ = host.clock.now() - began;
    return outcome;
  }
  static Plan sizing() {
    Plan plan;
    plan.energy_error = 0.01;
    plan.settle_limit = Seconds(10);
    return plan;
  }
  static double value(const Outcome& outcome, std::string_view metric) { return outcome.metrics.at(std::string(metric)).value; }
  Seconds took_{0};
};

TEST_F(SizedTrial, NothingBeforeTheSteadyWindowIsCounted) {
  const Outcome quiet = run(0, 0, sizing());
  const Outcome heated = run(20.0, 0.8, sizing());  // 20 W more for the first 0.8 s
  ASSERT_EQ(heated.state, TrialState::kCompleted);
  EXPECT_NEAR(value(heated, kEnergy) / value(quiet, kEnergy), 1.0, 0.03);
  EXPECT_GT(value(heated, kWarmUpTime), 0.79);
  EXPECT_GT(value(heated, kTrialEnergy), 15.9 + value(heated, kPower) * value(heated, kWindowTime));  // but it is in what the search cost
  Plan fixed;
  EXPECT_GT(value(run(20.0, 0.8, fixed), kEnergy) / value(quiet, kEnergy), 1.2);  // as a window of fixed length would have it
}

TEST_F(SizedTrial, ASteadyLoadTakesNoMoreThanTwoShortestWindows) {
  const Outcome outcome = run(0, 0, sizing());
  EXPECT_GE(value(outcome, kWindowTime), 1.0 - 1e-9);
  EXPECT_LE(value(outcome, kWindowTime), 2.15);
  EXPECT_LT(took_.count(), 2.5);
  EXPECT_THAT(outcome.notes, Not(Contains(HasSubstr("steady"))));
}

TEST_F(SizedTrial, ALoadThatDoesNotComeToRestIsMeasuredAndSaidToMove) {
  // Power rises by a watt a second, for ever.
  Plan plan = sizing();
  plan.settle_limit = Seconds(3);
  class Rising final : public Meter {
   public:
    Rising(Clock& clock) : clock_(clock) { info_ = {.name = "rising", .refresh = Seconds(1e-3)}; }
    const MeterInfo& info() const override { return info_; }
    Result<MeterSample> read() override {
      const double t = clock_.now().time_since_epoch().count();
      return MeterSample{.at = clock_.now(), .energy = Joules(10.0 * t + 0.5 * t * t)};
    }

   private:
    Clock& clock_;
    MeterInfo info_;
  };
  auto machine = simulation::Machine::make("jetson-orin", {.seed = 1}).value();
  Host host = machine->host();
  Device device{.name = "sim", .host = host, .space = {}, .reference = {}};
  device.workload = work_on(*machine);
  device.energy_meter = std::make_unique<Rising>(host.clock);
  const Outcome outcome = OneTrial(device, nullptr, plan, {}).run({Advice::Kind::kReference, {}, "", {}}, 1, {}, nullptr);
  EXPECT_EQ(outcome.state, TrialState::kCompleted);  // it is not void for that
  EXPECT_THAT(outcome.notes, Contains(AllOf(HasSubstr(kNotSteady), HasSubstr("power still rose by "), HasSubstr(" a minute"))));
  EXPECT_LE(value(outcome, kWindowTime), plan.window_limit.count() + 0.1);
}

TEST_F(SizedTrial, TheSameSeedGivesTheSameTrial) {
  const Outcome a = run(5.0, 0.7, sizing()), b = run(5.0, 0.7, sizing());
  EXPECT_EQ(a.metrics, b.metrics);
}

}  // namespace
}  // namespace polythrottle
