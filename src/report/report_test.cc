#include "report/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace polythrottle {
namespace {

/// Reference at 10 ms and 1 J; batch 4 at 14 ms and `joules` +- `error`.
Summary study(const char* provenance, double joules, double error) {
  const StudyFacts facts{{fact::kProvenance, provenance},      {fact::kObjective, std::string(kEnergy)},
                         {fact::kReference, R"({"batch":1})"}, {fact::kSlo, "1.5x"},
                         {fact::kConstraints, "[]"},           {fact::kDevice, "x"},
                         {fact::kDeviceText, "a board"},       {fact::kLoad, "closed loop"},
                         {fact::kBoundary, "everything"}};
  const auto trial = [&](TrialId id, Advice::Kind kind, double batch, double energy, double latency, const char* note) {
    Trial t;
    t.id = id;
    t.state = t.outcome.state = TrialState::kCompleted;
    t.advice.kind = kind;
    t.asked = Config{{"batch", batch}};
    t.outcome.note = note;
    t.outcome.metrics[std::string(kEnergy)] = {energy, error, 100, {}};
    t.outcome.metrics[std::string(kLatencyMean)] = {latency, 1e-5, 100, {}};
    return t;
  };
  return summarize(facts, {trial(1, Advice::Kind::kReference, 1, 1.0, 0.010, ""),
                           trial(2, Advice::Kind::kTry, 4, joules, 0.014, "a \"b\", c"), trial(3, Advice::Kind::kTry, 8, 0.5, 0.040, "")})
      .value();
}

TEST(Align, SetsColumnsTwoSpacesApartAndNoTrailingBlanks) {
  EXPECT_EQ(align({{"a", "bb", "c"}, {"aaa", "b"}}, {1}), "a    bb  c\naaa   b\n");
}

TEST(Answer, SaysTheSavingItsIntervalAndItsProvenance) {
  const std::string text = render_answer(study("measured", 0.8, 0.008));
  EXPECT_NE(text.find("20.0 % less energy per inference than the reference (measured; 95 % interval "), std::string::npos) << text;
  EXPECT_NE(text.find("1 trial of 3 broke a limit: 2.67 x the limit."), std::string::npos) << text;
  EXPECT_NE(text.find("Limit mean latency <= 15.00 ms: 14.00 ms, 6.7 % to spare."), std::string::npos) << text;
  EXPECT_EQ(text.find("Estimated"), std::string::npos);
}

TEST(Answer, CallsAnEstimateOneInTheHeadlineAndSaysWhenItShowsNothing) {
  const std::string text = render_answer(study("estimated", 0.98, 0.1));
  EXPECT_NE(text.find("\nEstimated: 2.0 % less"), std::string::npos) << text;
  EXPECT_NE(text.find("not shown to be a saving"), std::string::npos) << text;
}

TEST(Answer, NamesEachMetricItSpeaksOf) {
  Summary summary = study("estimated", 0.8, 0.008);
  summary.objective = {std::string(kThroughput), Direction::kMaximize};
  summary.improvement = Saving{-1.5, -1.6, -1.4};
  const std::string text = render_answer(summary);
  EXPECT_NE(text.find("150.0 % more throughput than the reference (measured; 95 % interval 140.0 to 160.0 %)."), std::string::npos) << text;
  EXPECT_NE(text.find("Estimated: 20.0 % less energy per inference than the reference (estimated; "), std::string::npos) << text;
}

TEST(Answer, SaysWhatTheSearchCostAndWhenItIsRepaid) {
  Summary summary = study("simulated", 0.8, 0.008);
  summary.search_joules = 812.0;
  summary.repaid_after_inferences = 4060.0;
  summary.repaid_after_seconds = 45.0;
  EXPECT_NE(
      render_answer(summary).find("The search cost 812.0 J (simulated) and 100 batches answered in trials that broke a latency limit; "
                                  "it is repaid after 4.06e+03 inferences (45 s at this rate).\n"),
      std::string::npos)
      << render_answer(summary);
  summary.facts[fact::kLoad] = "open loop: poisson arrivals";
  summary.requests_in_violation = 1;
  EXPECT_NE(render_answer(summary).find(" and 1 request answered in trials"), std::string::npos) << render_answer(summary);
}

TEST(Answer, SaysPlainlyThatASearchIsNotRepaid) {
  Summary summary = study("measured", 0.98, 0.1);
  summary.search_joules = 812.0;
  EXPECT_NE(render_answer(summary).find("; it is not repaid as far as is known: the interval of the saving spans zero.\n"),
            std::string::npos)
      << render_answer(summary);
  summary.saving = Saving{-0.1, -0.2, -0.05};
  EXPECT_NE(render_answer(summary).find("; it is not repaid: the best setting saves no energy.\n"), std::string::npos);
  summary.best = summary.reference;
  EXPECT_NE(render_answer(summary).find("; it is not repaid: nothing better than the reference was found.\n"), std::string::npos);
}

TEST(Answer, CountsTrialsSecondLooksAndConfirmationApartAndSaysWhyItStopped) {
  Summary summary = study("measured", 0.8, 0.008);
  EXPECT_NE(render_answer(summary).find("Search: 3 trials; 0.0 s. It has not stopped yet, or was killed.\n"), std::string::npos)
      << render_answer(summary);
  summary.second_looks = 1;
  summary.trials.back().advice.kind = Advice::Kind::kConfirm;
  summary.stop_reason = "optimizer";
  summary.stop_text = "enough";
  summary.expected_missed = 0.0031;
  EXPECT_NE(render_answer(summary).find("Search: 3 trials, 1 second look, 1 to confirm; 0.0 s. Stopped: enough; one more is "
                                        "expected to save at most 0.31 %, wherever it goes.\n"),
            std::string::npos)
      << render_answer(summary);
}

TEST(Json, HasTheNamesOutsidersRead) {
  const auto json = nlohmann::json::parse(render_json(study("measured", 0.8, 0.008)));
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["reference"]["config"]["batch"], 1);
  EXPECT_EQ(json["best"]["metrics"]["energy_joules_per_inference"], 0.8);
  EXPECT_NEAR(json["saving"]["ratio"].get<double>(), 0.2, 1e-12);
  EXPECT_LT(json["saving"]["low"].get<double>(), json["saving"]["high"].get<double>());
  EXPECT_EQ(json["saving"]["provenance"], "measured");
  EXPECT_EQ(json["stop"]["trials"], 3);
  EXPECT_EQ(json["violations"].size(), 1U);
  EXPECT_TRUE(json["search"].contains("seconds"));
  EXPECT_TRUE(json["search"]["energy_joules"].is_null());
  EXPECT_EQ(json["search"]["requests_in_violation"], 100);
  EXPECT_TRUE(json["search"]["repaid_after_inferences"].is_null());
  EXPECT_TRUE(json["search"]["repaid_after_seconds"].is_null());
  EXPECT_TRUE(json["stop"]["expected_gain"].is_null());
  EXPECT_EQ(json["stop"]["second_looks"], 0);
  EXPECT_TRUE(json["found"].is_null());
}

TEST(Csv, QuotesWhatNeedsIt) {
  const std::string csv = render_csv(study("recorded", 0.8, 0.008));
  EXPECT_NE(csv.find("id,state,kind,provenance,batch,energy_joules_per_inference,energy_joules_per_inference_std_error"), std::string::npos)
      << csv;
  EXPECT_NE(csv.find("\"a \"\"b\"\", c\""), std::string::npos) << csv;
}

TEST(KnobText, ShowsClocksInMegahertz) {
  EXPECT_EQ(setting_text(Config{{"gpu_max_hz", 1300500000.0}, {"batch", 4.0}}), "gpu_max_hz=1300MHz batch=4");
}

}  // namespace
}  // namespace polythrottle
