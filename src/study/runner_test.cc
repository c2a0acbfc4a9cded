#include "study/runner.h"

#include <gtest/gtest.h>

#include "host/fake.h"
#include "study/baseline.h"

namespace polythrottle {
namespace {

Parameter batch_knob() { return {"batch", "", Role::kBatch, {1.0, 2.0, 4.0}, ""}; }

/// Draws `watts` for ever.
class SteadyMeter final : public Meter {
 public:
  SteadyMeter(const Clock& clock, double watts) : clock_(clock), watts_(watts) {
    info_.name = "steady";
    info_.error_sources = {"gain"};
  }
  const MeterInfo& info() const override { return info_; }
  Result<MeterSample> read() override {
    const auto at = clock_.now();
    const Joules energy(watts_ * (at - Clock::TimePoint{}).count());
    return MeterSample{at, energy, {energy * 0.05}};
  }

 private:
  const Clock& clock_;
  double watts_;
  MeterInfo info_;
};

/// A batch takes 10 ms plus 1 ms per item; warm-up is ten times as slow.
class VirtualWork final : public Workload {
 public:
  explicit VirtualWork(Clock& clock) : clock_(clock) {}
  std::span<const Parameter> parameters() const override { return parameters_; }
  Status configure(const Config& config) override {
    batch_ = *config.number("batch");
    if (batch_ == refused_) return fail(Errc::kOutOfRange, "no memory for that");
    return {};
  }
  Status warm_up(std::stop_token) override {
    ++warmed_;
    if (batch_ == refused_warm_) return fail(Errc::kUnsupported, "no kernel for that");
    clock_.sleep_until(clock_.now() + Seconds(1.0));
    return {};
  }
  Result<Work> run(const Budget& budget, std::stop_token) override {
    Work work;
    work.began = clock_.now();
    seen_limit_ = budget.limit.has_value();
    while (clock_.now() < work.began + budget.at_least || work.completions.size() < budget.samples) {
      const auto from = clock_.now();
      clock_.sleep_until(from + Seconds(0.010 + 0.001 * batch_));
      work.completions.push_back({clock_.now(), clock_.now() - from, static_cast<std::size_t>(batch_)});
      work.inferences += static_cast<std::size_t>(batch_);
    }
    work.ended = clock_.now();
    return work;
  }
  void finish() override {
    ++finished_;
    clock_.sleep_until(clock_.now() + Seconds(0.5));
  }
  int warmed_ = 0;
  double refused_ = 0.0, refused_warm_ = 0.0;
  int finished_ = 0;
  bool seen_limit_ = false;

 private:
  Clock& clock_;
  std::vector<Parameter> parameters_{batch_knob()};
  double batch_ = 1.0;
};

/// Gives the advice it was made with, one after the other, and then stops; recommends what it was told to.
class Scripted final : public Optimizer {
 public:
  explicit Scripted(std::vector<Advice> advice) : advice_(std::move(advice)) {}
  Result<Advice> ask(const Problem& problem, std::span<const Trial>) override {
    search_ = problem.search;
    if (next_ < advice_.size()) return advice_[next_++];
    return Advice{Advice::Kind::kStop, {}, "enough", 0.002};
  }
  std::optional<Recommendation> recommend(const Problem& problem, std::span<const Trial> history) override {
    return recommended_ ? recommended_ : Optimizer::recommend(problem, history);
  }
  std::optional<Recommendation> recommended_;
  SearchOptions search_;

 private:
  std::vector<Advice> advice_;
  std::size_t next_ = 0;
};

Advice advice(Advice::Kind kind, double batch) { return {kind, Config{{"batch", batch}}, "as written", {}}; }

class RunStudy : public testing::Test {
 protected:
  RunStudy() {
    auto work = std::make_unique<VirtualWork>(clock_);
    work_ = work.get();
    device_.workload = std::move(work);
    device_.energy_meter = std::make_unique<SteadyMeter>(clock_, 11.0);
    plan_.limits.push_back(parse_slo("1.2x").value());
    plan_.confirm_rounds = 0;
  }

  Result<StudyEnd> run() {
    const auto optimizer = make_optimizer("grid").value();
    return run(*optimizer);
  }
  Result<StudyEnd> run(Optimizer& optimizer) { return run_study(device_, *journal_, nullptr, optimizer, plan_, {}, stop_.get_token()); }
  std::vector<Advice::Kind> kinds() const {
    std::vector<Advice::Kind> out;
    const auto history = journal_->history().value();
    for (const auto& trial : history) out.push_back(trial.advice.kind);
    return out;
  }

  FakeFiles files_;
  FakeClock clock_;
  Host host_{files_, clock_};
  Device device_{.host = host_, .space = Space::product({batch_knob()}).value(), .reference = Config{{"batch", 1.0}}};
  VirtualWork* work_ = nullptr;
  std::unique_ptr<Journal> journal_ = memory_journal();
  Plan plan_;
  std::stop_source stop_;
};

TEST_F(RunStudy, MeasuresEverySettingAndCountsNothingBeforeTheWindow) {
  const auto end = run().value();
  EXPECT_EQ(end.reason, StopReason::kExhausted);
  const auto history = journal_->history().value();
  ASSERT_EQ(history.size(), 3U);
  EXPECT_EQ(history[0].advice.kind, Advice::Kind::kReference);
  for (const auto& trial : history) {
    const double batch = *trial.asked.number("batch");
    // 11 W for 10 ms and 1 ms per item: the second of warm-up is not in it, nor the half it takes to finish.
    EXPECT_NEAR(trial.metrics().at(std::string(kEnergy)).value, 11.0 * (0.010 + 0.001 * batch) / batch, 1e-9);
    EXPECT_NEAR(trial.metrics().at(std::string(kLatencyMean)).value, 0.010 + 0.001 * batch, 1e-9);
    EXPECT_NEAR(trial.metrics().at(std::string(kPower)).value, 11.0, 1e-9);
    EXPECT_NEAR(trial.metrics().at(std::string(kEnergy)).shared.at(0).relative, 0.05, 1e-9);
    // But in what the search cost, it is.
    EXPECT_GT(trial.metrics().at(std::string(kTrialEnergy)).value, 11.0 * 1.9);
  }
  EXPECT_EQ(work_->warmed_, 3);
  EXPECT_EQ(work_->finished_, 3);
}

TEST_F(RunStudy, ASettingThatIsRefusedIsARefusedTrialAndTheStudyGoesOn) {
  work_->refused_ = 2.0;
  ASSERT_TRUE(run());
  const auto history = journal_->history().value();
  EXPECT_EQ(history[1].state, TrialState::kRefused);
  EXPECT_EQ(history[2].state, TrialState::kCompleted);
}

TEST_F(RunStudy, AWorkloadMayRefuseASettingOnceItRuns) {
  work_->refused_warm_ = 2.0;
  ASSERT_TRUE(run());
  const auto history = journal_->history().value();
  EXPECT_EQ(history[1].state, TrialState::kRefused);
  EXPECT_EQ(history[1].outcome.note, "no kernel for that");
  EXPECT_EQ(history[2].state, TrialState::kCompleted);
  EXPECT_EQ(work_->finished_, 3);
}

TEST_F(RunStudy, AReferenceThatCannotBeMeasuredEndsTheStudyWithTheReason) {
  work_->refused_ = 1.0;
  const auto end = run();
  ASSERT_FALSE(end);
  EXPECT_NE(end.error().what.find("no memory for that"), std::string::npos);
}

TEST_F(RunStudy, OnlyExplorationMayBeCutShortByTheSlo) {
  plan_.budget = 1;
  ASSERT_TRUE(run());
  EXPECT_FALSE(work_->seen_limit_);
  plan_.budget = 2;
  ASSERT_TRUE(run());
  EXPECT_TRUE(work_->seen_limit_);
}

TEST_F(RunStudy, ConfirmsInAlternation) {
  plan_.limits = {parse_slo("2x").value()};
  plan_.confirm_rounds = 2;
  ASSERT_TRUE(run());
  const auto history = journal_->history().value();
  ASSERT_EQ(history.size(), 7U);
  for (std::size_t i = 3; i < 7; ++i) {
    EXPECT_EQ(history[i].advice.kind, Advice::Kind::kConfirm);
    EXPECT_EQ(history[i].asked, (Config{{"batch", i % 2 == 1 ? 1.0 : 4.0}}));
  }
}

TEST_F(RunStudy, GoesOnWhereTheJournalEndsAndTriesALostTrialAgain) {
  plan_.budget = 2;
  ASSERT_TRUE(run());
  ASSERT_TRUE(journal_->begin({Advice::Kind::kTry, Config{{"batch", 4.0}}, "", {}}, 0, 0.0));  // and then we died
  plan_.budget = 3;
  ASSERT_TRUE(run());
  const auto history = journal_->history().value();
  ASSERT_EQ(history.size(), 4U);
  EXPECT_EQ(history[2].state, TrialState::kLost);
  EXPECT_EQ(history[3].state, TrialState::kCompleted);
  EXPECT_EQ(history[3].asked, history[2].asked);
}

TEST_F(RunStudy, ASecondLookIsFreeAndIsNoRoundOfConfirmation) {
  plan_.limits = {parse_slo("2x").value()};
  plan_.confirm_rounds = 1;
  plan_.budget = 2;
  Scripted optimizer({advice(Advice::Kind::kTry, 4.0), advice(Advice::Kind::kVerify, 4.0)});
  const auto end = run(optimizer).value();
  EXPECT_EQ(end.reason, StopReason::kOptimizer);
  EXPECT_EQ(end.text, "enough");
  EXPECT_EQ(end.expected_gain, 0.002);
  using enum Advice::Kind;
  EXPECT_EQ(kinds(), (std::vector{kReference, kTry, kVerify, kConfirm, kConfirm}));
}

TEST_F(RunStudy, AnOptimizerThatDoubtsForEverIsStopped) {
  plan_.budget = 3;
  Scripted optimizer(std::vector<Advice>(50, advice(Advice::Kind::kVerify, 1.0)));
  const auto end = run(optimizer).value();
  EXPECT_EQ(end.reason, StopReason::kBudget);
  EXPECT_EQ(end.text, "3 second looks, as many as the budget has trials");
  EXPECT_EQ(kinds().size(), 1U + 3U);
}

TEST_F(RunStudy, EndsWithWhatTheOptimizerRecommends) {
  plan_.limits = {parse_slo("2x").value()};
  plan_.confirm_rounds = 1;
  Scripted optimizer({advice(Advice::Kind::kTry, 2.0), advice(Advice::Kind::kTry, 4.0)});
  optimizer.recommended_ = Recommendation{Config{{"batch", 2.0}}, 0.9, true};  // batch 4 was measured to be better
  const auto end = run(optimizer).value();
  EXPECT_EQ(end.choice->config, (Config{{"batch", 2.0}}));
  EXPECT_EQ(end.choice->probability_met, 0.9);
  const auto history = journal_->history().value();
  ASSERT_EQ(history.size(), 5U);
  EXPECT_EQ(history.back().asked, (Config{{"batch", 2.0}}));  // and that is what was confirmed
}

TEST_F(RunStudy, NeverEndsWithASettingThatNobodyMeasured) {
  plan_.limits = {parse_slo("2x").value()};
  Scripted optimizer({advice(Advice::Kind::kTry, 2.0)});
  optimizer.recommended_ = Recommendation{Config{{"batch", 4.0}}, 0.9, true};
  EXPECT_EQ(run(optimizer).value().choice->config, (Config{{"batch", 2.0}}));
}

TEST_F(RunStudy, AnInterruptedStudyHasAChoiceToo) {
  plan_.limits = {parse_slo("2x").value()};
  plan_.budget = 2;
  ASSERT_TRUE(run());
  stop_.request_stop();
  const auto end = run().value();
  EXPECT_EQ(end.reason, StopReason::kInterrupted);
  EXPECT_EQ(end.choice->config, (Config{{"batch", 2.0}}));
}

TEST_F(RunStudy, EndsAfterAsManyViolationsAsAreAllowedAndStillConfirms) {
  plan_.limits = {parse_slo("1.15x").value()};  // batch 2 takes 12/11 of the reference, batch 4 14/11
  plan_.confirm_rounds = 1;
  plan_.max_violations = 1;
  Scripted optimizer({advice(Advice::Kind::kTry, 2.0), advice(Advice::Kind::kTry, 4.0), advice(Advice::Kind::kTry, 4.0)});
  const auto end = run(optimizer).value();
  EXPECT_EQ(end.reason, StopReason::kViolations);
  EXPECT_EQ(end.text, "1 trial of the search broke a limit, as many as --max-violations allows");
  using enum Advice::Kind;
  EXPECT_EQ(kinds(), (std::vector{kReference, kTry, kTry, kConfirm, kConfirm}));
  EXPECT_EQ(end.choice->config, (Config{{"batch", 2.0}}));
}

TEST_F(RunStudy, ViolationsOfEarlierRunsCountAndThoseOfSecondLooksDoNot) {
  plan_.limits = {parse_slo("1.15x").value()};
  plan_.max_violations = 2;
  Scripted once({advice(Advice::Kind::kTry, 4.0), advice(Advice::Kind::kVerify, 4.0), advice(Advice::Kind::kVerify, 4.0)});
  EXPECT_EQ(run(once).value().reason, StopReason::kOptimizer);
  plan_.max_violations = 1;
  Scripted again({advice(Advice::Kind::kTry, 2.0)});
  EXPECT_EQ(run(again).value().reason, StopReason::kViolations);
  EXPECT_EQ(kinds().size(), 4U);
}

TEST_F(RunStudy, HandsTheOptimizerHowItIsToSearch) {
  plan_.search.explore = Explore::kBold;
  plan_.search.min_gain = 0.02;
  plan_.search.horizon_inferences = 1e6;
  Scripted optimizer({});
  ASSERT_TRUE(run(optimizer));
  EXPECT_EQ(optimizer.search_.explore, Explore::kBold);
  EXPECT_EQ(optimizer.search_.min_gain, 0.02);
  EXPECT_EQ(optimizer.search_.horizon_inferences, 1e6);
}

TEST_F(RunStudy, AFaultThatIsMendedDoesNotBarResuming) {
  plan_.budget = 1;
  ASSERT_TRUE(run());
  for (int i = 0; i < 6; ++i) {  // an earlier run met a rival until it gave up
    const TrialId id = journal_->begin({Advice::Kind::kTry, Config{{"batch", 2.0}}, "", {}}, 0, 0.0).value();
    ASSERT_TRUE(journal_->finish(id, Outcome{TrialState::kVoid, {}, {}, "somebody else set it", {}}, 1.0));
  }
  plan_.budget = 3;
  EXPECT_EQ(run().value().reason, StopReason::kExhausted);
}

TEST_F(RunStudy, AStopBeforeTheFirstTrialLeavesNothingBehind) {
  stop_.request_stop();
  EXPECT_EQ(run().value().reason, StopReason::kInterrupted);
  EXPECT_TRUE(journal_->history().value().empty());
}

TEST_F(RunStudy, MeasuresTheReferenceAgainNowAndThenAndNotAgainstTheBudget) {
  plan_.limits = {parse_slo("2x").value()};
  plan_.check_every = 1;
  plan_.budget = 3;
  const auto end = run().value();
  EXPECT_EQ(end.reason, StopReason::kExhausted);
  using enum Advice::Kind;
  EXPECT_EQ(kinds(), (std::vector{kReference, kTry, kCheck, kTry}));
  EXPECT_EQ(journal_->history().value()[2].asked, device_.reference);
}

TEST_F(RunStudy, ChecksFallWhereTheyWouldHaveWithoutTheInterruption) {
  plan_.limits = {parse_slo("2x").value()};
  plan_.check_every = 1;
  plan_.budget = 2;
  ASSERT_TRUE(run());
  plan_.budget = 3;
  ASSERT_TRUE(run());
  using enum Advice::Kind;
  EXPECT_EQ(kinds(), (std::vector{kReference, kTry, kCheck, kTry}));
}

TEST_F(RunStudy, LooksAtTheIdleMachineOnceBeforeTheFirstTrial) {
  plan_.idle = Seconds(3);
  plan_.budget = 1;
  ASSERT_TRUE(run());
  const auto baseline = baseline_of(journal_->facts().value()).value();
  ASSERT_TRUE(baseline && baseline->idle_watts);
  EXPECT_NEAR(baseline->idle_watts->value, 11.0, 1e-9);
  EXPECT_EQ(baseline->idle_time.count(), 3.0);
  EXPECT_FALSE(baseline->temperature);  // there is no gauge
  const auto began = journal_->history().value()[0].started;
  EXPECT_NEAR(began - clock_.epoch, 3.0, 1e-9);
  plan_.budget = 2;
  const auto before = clock_.now();
  ASSERT_TRUE(run());
  EXPECT_NEAR(journal_->history().value()[1].started - clock_.epoch, (before - Clock::TimePoint{}).count(), 1e-6);  // not again
}

TEST_F(RunStudy, CoolsDownToTheTemperatureOfTheFirstRunAlsoWhenResumed) {
  struct Hot final : Gauge {
    explicit Hot(const Clock& clock) : clock_(clock) {}
    const std::string& name() const override { return name_; }
    // 20 degrees before the first trial; after it hot until the thirtieth second, then cool again.
    Result<double> read() override {
      const double now = clock_.now().time_since_epoch().count();
      return now < 1.0 ? 20.0 : now < 30.0 ? 60.0 : 21.0;
    }
    const Clock& clock_;
    std::string name_{kTemperature};
  };
  device_.gauges.push_back(std::make_unique<Hot>(clock_));
  plan_.cool_down = Seconds(100);
  plan_.budget = 1;
  ASSERT_TRUE(run());
  plan_.budget = 2;
  ASSERT_TRUE(run());
  const auto history = journal_->history().value();
  EXPECT_FALSE(history[0].metrics().contains(kCoolDownTime));
  EXPECT_EQ(history[0].metrics().at(std::string(kStartTemperature)).value, 20.0);
  EXPECT_GT(history[1].metrics().at(std::string(kCoolDownTime)).value, 20.0);
  EXPECT_EQ(history[1].metrics().at(std::string(kStartTemperature)).value, 21.0);
}

TEST_F(RunStudy, APercentileWithTooFewSamplesIsUndecidedAndNotRecommended) {
  plan_.limits = {parse_slo("p99=50ms").value()};
  plan_.budget = 1;
  ASSERT_TRUE(run());
  // The workload gives what is asked for, so p99 has its 299.
  EXPECT_EQ(*journal_->history().value()[0].metrics().at(std::string(kLatencyP99)).samples, 299U);
}

}  // namespace
}  // namespace polythrottle
