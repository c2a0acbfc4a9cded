// Settings that do not do what they say, and others who change them, on a GPU of files in memory.
#include "study/one_trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "knob/fake_devfreq.h"

namespace polythrottle {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Hz = FakeDevfreq::Hz;

constexpr const char* kFolder = "/sys/class/devfreq/17000000.gp10b";
const std::vector<Hz> kTable{100'000'000, 200'000'000, 300'000'000, 400'000'000};

/// Batches of 10 ms after a second of warm-up.
class SteadyWork final : public Workload {
 public:
  explicit SteadyWork(Clock& clock) : clock_(clock) {}
  std::span<const Parameter> parameters() const override { return {}; }
  Status configure(const Config&) override { return {}; }
  Status warm_up(std::stop_token) override {
    clock_.sleep_until(clock_.now() + Seconds(1.0));
    return {};
  }
  Result<Work> run(const Budget& budget, std::stop_token) override {
    Work work;
    work.began = clock_.now();
    while (clock_.now() < work.began + budget.at_least) {
      clock_.sleep_until(clock_.now() + Seconds(0.01));
      work.completions.push_back({clock_.now(), Seconds(0.01), 1});
      ++work.inferences;
    }
    work.ended = clock_.now();
    return work;
  }

 private:
  Clock& clock_;
};

/// The GPU's governor runs at the ceiling unless a test says otherwise. A trial lasts from the second at which it begins for two seconds.
class TrialOnAGpu : public ::testing::Test {
 protected:
  TrialOnAGpu() {
    files_.nodes["/proc/sys/kernel/random/boot_id"] = "boot-1\n";
    for (const auto* driver : knob_drivers()) {
      if (driver->name == "gpu_devfreq") device_.knobs = driver->discover(host_).knobs;
    }
    std::vector<Knob*> knobs;
    for (const auto& knob : device_.knobs) knobs.push_back(knob.get());
    lease_ = Lease::take(host_, knobs, {(scratch_.path() / "lease.json").string()}).value();
    device_.workload = std::make_unique<SteadyWork>(clock_);
    device_.suspects = [this] { return suspects_; };
    trial_ = std::make_unique<OneTrial>(device_, lease_.get(), plan_, stop_.get_token());
    hardware_ = clock_.every(Seconds(0.01), [this] { runs_at(clock_now_ ? clock_now_() : limit("max_freq")); });
  }

  Hz limit(const std::string& node) { return read_integer(files_, std::string(kFolder) + "/" + node).value_or(0); }
  void runs_at(Hz hertz) {
    if (files_.nodes.contains(kClock)) files_.nodes[kClock] = std::to_string(hertz) + "\n";
  }
  /// The kernel holds the GPU down to this, because of heat.
  void hot(Hz hertz) {
    files_.nodes[kCooling + "/type"] = "devfreq-17000000.gp10b\n";
    files_.nodes[kCooling + "/cur_state"] = "2\n";
    files_.hold_down(hertz);
  }
  void cool() {
    files_.nodes[kCooling + "/cur_state"] = "0\n";
    files_.hold_down(0);
  }
  double now() const { return clock_.now().time_since_epoch().count(); }

  /// One trial at this floor and ceiling; the history grows by it.
  const Trial& run(Hz floor, Hz ceiling) {
    Trial trial;
    trial.asked = {{"gpu_min_hz", static_cast<double>(floor)}, {"gpu_max_hz", static_cast<double>(ceiling)}};
    trial.advice = {Advice::Kind::kTry, trial.asked, "", {}};
    began_ = now();
    trial.outcome = trial_->run(trial.advice, 1, history_, nullptr);
    trial.state = trial.outcome.state;
    history_.push_back(trial);
    return history_.back();
  }
  /// Is the trial in progress this old?
  bool since(double seconds) const { return now() >= began_ + seconds; }

  const std::string kCooling = "/sys/class/thermal/cooling_device3";
  const std::string kClock = std::string(kFolder) + "/cur_freq";
  FakeDevfreq files_{DevfreqKernel::kQos, kFolder, kTable};
  FakeClock clock_;
  Host host_{files_, clock_};
  ScratchFolder scratch_;
  Device device_{.host = host_, .space = {}, .reference = {}};
  std::vector<std::string> suspects_;
  Plan plan_;
  std::stop_source stop_;
  std::unique_ptr<Lease> lease_;
  std::unique_ptr<OneTrial> trial_;
  std::function<Hz()> clock_now_;
  std::vector<Trial> history_;
  double began_ = 0.0;
  std::unique_ptr<Ticker> hardware_;
};

TEST_F(TrialOnAGpu, AClockThatObeysIsProvedAndKept) {
  const Trial& trial = run(kTable[0], kTable[1]);
  EXPECT_EQ(trial.state, TrialState::kCompleted);
  EXPECT_EQ(proof_of(trial), Proof::kProved);
  EXPECT_THAT(unproved_text(trial), IsEmpty());
  EXPECT_EQ(trial.metrics().at(std::string(kGpuClockSeen)).value, 200e6);
  EXPECT_GT(*trial.metrics().at(std::string(kGpuClockSeen)).samples, 15U);  // of the window's second, every 50 ms
}

TEST_F(TrialOnAGpu, ALoadThatDoesNotNeedItsCeilingContradictsNothing) {
  clock_now_ = [] { return kTable[0]; };
  const Trial& trial = run(kTable[0], kTable[3]);
  EXPECT_EQ(trial.state, TrialState::kCompleted);
  EXPECT_EQ(proof_of(trial), Proof::kNotContradicted);
}

TEST_F(TrialOnAGpu, AKnobThatLiesIsRefusedByItsReadBack) {
  files_.lie.insert(std::string(kFolder) + "/max_freq");
  const Trial& trial = run(kTable[0], kTable[1]);
  EXPECT_EQ(trial.state, TrialState::kRefused);
  EXPECT_THAT(trial.outcome.note, HasSubstr("the machine reports"));
}

TEST_F(TrialOnAGpu, ALimitThatHeatHoldsDownIsVoidAndComesBack) {
  hot(kTable[1]);
  const Trial& trial = run(kTable[0], kTable[3]);
  EXPECT_EQ(trial.state, TrialState::kVoid);
  EXPECT_THAT(trial.outcome.note, HasSubstr("the machine reports gpu_min_hz=100000000 gpu_max_hz=200000000"));
  EXPECT_THAT(trial.outcome.note, HasSubstr(": held down by heat (devfreq-17000000.gp10b)"));
  EXPECT_EQ(trial.outcome.got.number("gpu_max_hz"), 200e6);
  cool();
  EXPECT_EQ(run(kTable[0], kTable[3]).state, TrialState::kCompleted);
}

TEST_F(TrialOnAGpu, AHotMachineIsGivenTimeToCool) {
  hot(kTable[1]);
  const auto relief = clock_.every(Seconds(10), [this] { cool(); });
  const Trial& trial = run(kTable[0], kTable[3]);
  EXPECT_EQ(trial.state, TrialState::kCompleted) << trial.outcome.note;
  EXPECT_EQ(proof_of(trial), Proof::kProved);
  EXPECT_NEAR(now() - began_, 12.0, 0.1);
  EXPECT_LT(trial.metrics().at(std::string(kActuation)).value, 2.0);  // waiting is no actuation
}

TEST_F(TrialOnAGpu, AnInterruptedWaitForCoolingEndsTheTrial) {
  hot(kTable[1]);
  const auto interrupt = clock_.every(Seconds(5), [this] { stop_.request_stop(); });
  EXPECT_EQ(run(kTable[0], kTable[3]).outcome.note, kInterruptedNote);
  EXPECT_NEAR(now() - began_, 5.0, 1.1);
}

TEST_F(TrialOnAGpu, HeatTakesTheFloorDownWithTheCeiling) {
  hot(kTable[1]);
  EXPECT_THAT(run(kTable[3], kTable[3]).outcome.note, HasSubstr("held down by heat"));
}

TEST_F(TrialOnAGpu, HeatExcusesNoLimitThatReadsBackHigher) {
  hot(kTable[3]);
  files_.lie.insert(std::string(kFolder) + "/max_freq");  // stays at the highest
  EXPECT_EQ(run(kTable[0], kTable[1]).state, TrialState::kRefused);
}

TEST_F(TrialOnAGpu, ALimitThatHeatLowersInTheMiddleIsNotBlamedOnARival) {
  suspects_ = {"tuned"};
  const auto heat = clock_.every(Seconds(1.5), [this] { hot(kTable[1]); });
  const Trial& trial = run(kTable[0], kTable[3]);
  EXPECT_EQ(trial.state, TrialState::kVoid);
  EXPECT_EQ(trial.outcome.note, "the machine went down to gpu_max_hz=200 MHz meanwhile: held down by heat (devfreq-17000000.gp10b)");
}

TEST_F(TrialOnAGpu, AValueThatTheKnobHeldInAnotherConfigurationIsNotRefused) {
  ASSERT_EQ(run(kTable[0], kTable[3]).state, TrialState::kCompleted);
  ASSERT_EQ(run(kTable[1], kTable[2]).state, TrialState::kCompleted);
  files_.hold_down(kTable[2]);  // by something that shows nowhere
  EXPECT_EQ(run(kTable[1], kTable[3]).state, TrialState::kVoid);
}

TEST_F(TrialOnAGpu, ALimitThatTheClockDoesNotFollowIsRefused) {
  clock_now_ = [] { return kTable[3]; };
  const Trial& trial = run(kTable[0], kTable[1]);
  EXPECT_EQ(trial.state, TrialState::kRefused);
  EXPECT_EQ(trial.outcome.note, "asked for gpu_max_hz=200 MHz, it reads back so, but the GPU ran at 400 MHz under load");
  EXPECT_EQ(trial.metrics().at(std::string(kGpuClockSeen)).value, 400e6);
  EXPECT_FALSE(trial.metrics().contains(kLatencyMean));  // what was measured belongs to no setting
}

TEST_F(TrialOnAGpu, ALimitThatTheClockFollowedBeforeMakesTheTrialVoid) {
  suspects_ = {"nvpmodel"};
  ASSERT_EQ(run(kTable[0], kTable[1]).state, TrialState::kCompleted);
  clock_now_ = [] { return kTable[3]; };
  const Trial& trial = run(kTable[0], kTable[1]);
  EXPECT_EQ(trial.state, TrialState::kVoid);
  EXPECT_THAT(trial.outcome.note, HasSubstr("ran at 400 MHz under load (running here: nvpmodel)"));
}

TEST_F(TrialOnAGpu, AFloorThatTheClockStaysBelowIsRefused) {
  clock_now_ = [] { return kTable[0]; };
  const Trial& trial = run(kTable[1], kTable[3]);
  EXPECT_EQ(trial.state, TrialState::kRefused);
  EXPECT_THAT(trial.outcome.note, HasSubstr("asked for gpu_min_hz=200 MHz, it reads back so, but the GPU ran at 100 MHz under load"));
}

TEST_F(TrialOnAGpu, APinnedClockThatIsHeldDownInTheMiddleIsThrottledHenceVoid) {
  clock_now_ = [this] { return since(1.4) ? kTable[1] : kTable[3]; };
  const Trial& trial = run(kTable[3], kTable[3]);
  EXPECT_EQ(trial.state, TrialState::kVoid);
  EXPECT_THAT(trial.outcome.note, HasSubstr("asked for gpu_max_hz=400 MHz, it reads back so, but the GPU ran at 200 MHz under load (heat"));
}

TEST_F(TrialOnAGpu, AClockThatRestsWhileTheWorkloadLoadsIsNotHeldAgainstItsSetting) {
  clock_now_ = [this] { return since(0.9) ? kTable[3] : kTable[0]; };
  const Trial& trial = run(kTable[3], kTable[3]);
  EXPECT_EQ(trial.state, TrialState::kCompleted) << trial.outcome.note;
  EXPECT_EQ(proof_of(trial), Proof::kProved);
  EXPECT_EQ(trial.metrics().at(std::string(kGpuClockSeen)).value, 400e6);
}

TEST_F(TrialOnAGpu, ARivalWhileTheWorkloadLoadsIsNoticed) {
  const auto rival = clock_.every(Seconds(0.1), [this] { files_.set(kTable[0], since(0.3) && !since(0.7) ? kTable[0] : kTable[1]); });
  EXPECT_EQ(run(kTable[0], kTable[1]).outcome.note, "somebody else set gpu_max_hz=100 MHz meanwhile");
}

TEST_F(TrialOnAGpu, APinnedClockThatIsNeverReachedIsRefused) {
  clock_now_ = [] { return kTable[1]; };
  EXPECT_EQ(run(kTable[3], kTable[3]).state, TrialState::kRefused);
}

TEST_F(TrialOnAGpu, ARivalWhoChangesASettingAndChangesItBackIsNoticed) {
  suspects_ = {"tuned", "tlp"};
  const auto rival = clock_.every(Seconds(0.1), [this] { files_.set(kTable[0], since(1.2) && !since(1.7) ? kTable[0] : kTable[1]); });
  const Trial& trial = run(kTable[0], kTable[1]);
  EXPECT_EQ(limit("max_freq"), kTable[1]);  // all is well again
  EXPECT_EQ(trial.state, TrialState::kVoid);
  EXPECT_EQ(trial.outcome.note, "somebody else set gpu_max_hz=100 MHz meanwhile (running here: tuned, tlp)");
  EXPECT_EQ(trial.outcome.got.number("gpu_max_hz"), 100e6);
  EXPECT_FALSE(trial.metrics().contains(kLatencyMean));
}

TEST_F(TrialOnAGpu, ARivalAtTheVeryEndIsNoticedToo) {
  const auto rival = clock_.every(Seconds(1.995), [this] { files_.set(kTable[0], kTable[2]); });
  const Trial& trial = run(kTable[0], kTable[1]);
  EXPECT_EQ(trial.state, TrialState::kVoid);
  EXPECT_EQ(trial.outcome.note, "somebody else set gpu_max_hz=300 MHz meanwhile");
}

TEST_F(TrialOnAGpu, ASettingWhoseNodeVanishesInMidRunMakesTheTrialVoid) {
  const auto fault = clock_.every(Seconds(1.5), [this] { files_.nodes.erase(std::string(kFolder) + "/max_freq"); });
  const Trial& trial = run(kTable[0], kTable[1]);
  EXPECT_EQ(trial.state, TrialState::kVoid);
  EXPECT_THAT(trial.outcome.note, HasSubstr("read " + std::string(kFolder) + "/max_freq"));
}

TEST_F(TrialOnAGpu, AClockFileThatVanishesLeavesTheTrialStandingNotProved) {
  const auto fault = clock_.every(Seconds(0.3), [this] { files_.nodes.erase(kClock); });
  const Trial& trial = run(kTable[0], kTable[1]);
  EXPECT_EQ(trial.state, TrialState::kCompleted);
  EXPECT_EQ(proof_of(trial), Proof::kUnseen);
  EXPECT_THAT(unproved_text(trial), HasSubstr("gpu_max_hz: "));
  EXPECT_TRUE(trial.metrics().contains(kLatencyMean));
}

TEST_F(TrialOnAGpu, AClockThatSleepsAllAlongIsNotWaitedFor) {
  clock_now_ = [] { return Hz{0}; };  // rail-gated
  const Trial& trial = run(kTable[0], kTable[1]);
  EXPECT_EQ(trial.state, TrialState::kCompleted);
  EXPECT_NEAR(now() - began_, 2.0, 0.1);
  EXPECT_EQ(unproved_text(trial), "gpu_max_hz: no clock is shown for it, asleep or not readable here");
  EXPECT_FALSE(trial.metrics().contains(kGpuClockSeen));
}

TEST_F(TrialOnAGpu, AnUnseenClockIsNoEvidenceThatASettingEverHeld) {
  clock_now_ = [] { return Hz{0}; };
  ASSERT_EQ(run(kTable[0], kTable[1]).state, TrialState::kCompleted);
  clock_now_ = [] { return kTable[3]; };
  EXPECT_EQ(run(kTable[0], kTable[1]).state, TrialState::kRefused);
}

TEST_F(TrialOnAGpu, CountsTheWritesOfAConfigurationAndTheirTime) {
  files_.write_takes = Seconds(0.002);
  const Trial& first = run(kTable[0], kTable[1]);
  const Estimate& write = first.metrics().at(std::string(kWrite));
  EXPECT_EQ(*write.samples, 2U);  // floor to the bottom, ceiling; the floor is at the bottom already
  EXPECT_NEAR(write.value, 0.002, 1e-12);
  EXPECT_TRUE(first.metrics().contains(kActuation));
  const Trial& again = run(kTable[0], kTable[1]);
  EXPECT_FALSE(again.metrics().contains(kWrite));  // nothing had to change
  EXPECT_FALSE(again.metrics().contains(kActuation));
}

TEST_F(TrialOnAGpu, WhatWasSetForARefusedTrialIsCountedToo) {
  files_.lie.insert(std::string(kFolder) + "/max_freq");
  EXPECT_TRUE(run(kTable[0], kTable[1]).metrics().contains(kWrite));
}

}  // namespace
}  // namespace polythrottle
