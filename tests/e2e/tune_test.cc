// The job as a user does it: one command, one answer.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "e2e/program.h"
#include "journal/journal.h"
#include "study/facts.h"
#include "trial/json.h"

namespace polythrottle::e2e {
namespace {

using nlohmann::json;

std::string device() { return "recorded:" + small_table() + "#net"; }

TEST(Tune, FindsTheCheapestSettingOfARealTable) {
  const std::string table = POLYTHROTTLE_SOURCE_DIR "/../shared/data/tables/rtx5090_gpu_mem.csv";
  if (!std::filesystem::exists(table)) GTEST_SKIP() << table << " is absent: the real tables are not in the repository";
  const auto ran = run({"tune", "--device", "recorded:" + table + "#gemma4-31b-vllm-mtp-decode6-narr", "--slo", "1.2x", "--optimizer",
                        "grid", "--json", "-"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const json result = json::parse(ran.out);
  EXPECT_EQ(result["schema"], 1);
  EXPECT_EQ(result["reference"]["config"], (json{{"gpu_mhz", 3090}, {"mem_mhz", 14001}}));
  EXPECT_EQ(result["best"]["config"], (json{{"gpu_mhz", 2602}, {"mem_mhz", 14001}}));
  EXPECT_NEAR(result["saving"]["ratio"].get<double>(), 0.161, 0.0005);
  EXPECT_EQ(result["saving"]["provenance"], "recorded");
  EXPECT_EQ(result["stop"]["trials"], 28);
  EXPECT_EQ(result["stop"]["reason"], "exhausted");
}

TEST(Tune, EveryOptimizerRunsToTheEndAndTheGridIsNeverBeaten) {
  double least = 0.0;
  for (const char* optimizer : {"grid", "eic", "random"}) {
    const auto ran = run({"tune", "--device", device(), "--slo", "2x", "--optimizer", optimizer, "--seed", "3", "--json", "-"});
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    const json result = json::parse(ran.out);
    const double energy = result["best"]["metrics"]["energy_joules_per_inference"];
    if (least == 0.0) least = energy;
    EXPECT_GE(energy, least) << optimizer;
    EXPECT_LE(result["best"]["metrics"]["latency_mean_seconds"].get<double>(),
              1.01 * 2.0 * result["reference"]["metrics"]["latency_mean_seconds"].get<double>());
  }
}

TEST(Tune, SameSeedSameTrials) {
  const auto strip_times = [](const std::string& csv) {
    std::string out;
    std::istringstream lines(csv);
    for (std::string line; std::getline(lines, line);) {
      // id,state,kind,provenance,gpu_mhz,batch: the setting; the times differ from run to run
      std::size_t at = 0;
      for (int i = 0; i < 6; ++i) at = line.find(',', at) + 1;
      out += line.substr(0, at) + "\n";
    }
    return out;
  };
  for (const char* optimizer : {"eic", "random", "polythrottle"}) {
    const std::vector<std::string> arguments{"tune",     "--device", device(),      "--slo",   "2x",    "--seed", "11",
                                             "--budget", "9",        "--optimizer", optimizer, "--csv", "-",      "--quiet"};
    const auto a = run(arguments), b = run(arguments);
    ASSERT_EQ(a.exit_code, 0) << a.err;
    EXPECT_EQ(strip_times(a.out), strip_times(b.out)) << optimizer;
    EXPECT_GE(std::count(a.out.begin(), a.out.end(), '\n'), 4) << a.out;
  }
}

TEST(Tune, DryRunTouchesNothing) {
  const std::string study = scratch("dry.sqlite");
  const auto ran = run({"tune", "--device", device(), "--slo", "2x", "--study", study, "--dry-run"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_NE(ran.out.find("12 candidates"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("Nothing was touched"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(study));
}

TEST(Tune, ShowAnswersAnotherSloWithoutMeasuring) {
  const std::string study = scratch("show.sqlite");
  ASSERT_EQ(run({"tune", "--device", device(), "--slo", "2x", "--optimizer", "grid", "--study", study}).exit_code, 0);
  const auto same = run({"show", study, "--json", "-"});
  ASSERT_EQ(same.exit_code, 0) << same.err;
  const auto other = run({"show", study, "--slo", "6x", "--json", "-"});
  ASSERT_EQ(other.exit_code, 0) << other.err;
  EXPECT_LT(json::parse(other.out)["best"]["metrics"]["energy_joules_per_inference"].get<double>(),
            json::parse(same.out)["best"]["metrics"]["energy_joules_per_inference"].get<double>());
  const auto text = run({"show", study});
  EXPECT_NE(text.out.find("Pareto set"), std::string::npos);
  EXPECT_NE(text.out.find("recorded"), std::string::npos);
}

TEST(Tune, ResumeGoesOnWithALargerBudgetAndItsOwnOptions) {
  const std::string study = scratch("resume.sqlite");
  ASSERT_EQ(run({"tune", "--device", device(), "--slo", "2x", "--optimizer", "grid", "--budget", "5", "--study", study}).exit_code, 0);
  const auto resumed = run({"tune", "--resume", "--study", study, "--budget", "12", "--json", "-"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(json::parse(resumed.out)["stop"]["trials"], 12);
}

TEST(Tune, ResumeRefusesAnotherStudyAndSaysWhatDiffers) {
  const std::string study = scratch("differs.sqlite");
  const std::string table = small_table();
  ASSERT_EQ(run({"tune", "--device", "recorded:" + table + "#net", "--slo", "2x", "--budget", "3", "--study", study}).exit_code, 0);
  const auto slo = run({"tune", "--resume", "--study", study, "--slo", "3x"});
  EXPECT_EQ(slo.exit_code, 2);
  EXPECT_NE(slo.err.find("slo differs"), std::string::npos) << slo.err;
  const auto space = run({"tune", "--resume", "--study", study, "--knob", "batch=1,2"});
  EXPECT_EQ(space.exit_code, 2);
  EXPECT_NE(space.err.find("space differs"), std::string::npos) << space.err;
  write(table, read(table) + "net,2000,1,1,1000,50,0.05\n");
  const auto content = run({"tune", "--resume", "--study", study});
  EXPECT_EQ(content.exit_code, 2);
  EXPECT_NE(content.err.find("differs"), std::string::npos) << content.err;
}

TEST(Tune, AStudyHoldsItsCandidatesAndItsChoice) {
  const std::string study = scratch("facts.sqlite");
  const auto ran = run({"tune", "--device", device(), "--slo", "2x", "--study", study, "--json", "-"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const json result = json::parse(ran.out);
  const auto facts = open_sqlite_journal(study, OpenMode::kReadOnly).value()->facts().value();
  const auto space = space_of(facts).value();
  EXPECT_EQ(space.size(), 12U);
  EXPECT_EQ(space.parameters().at(0).role, Role::kComputeClock);
  const auto choice = choice_of(facts).value();
  ASSERT_TRUE(choice);
  EXPECT_TRUE(choice->known_to_meet);
  EXPECT_EQ(result["best"]["config"], json::parse(to_json(choice->config).dump()));
  EXPECT_EQ(json::parse(run({"show", study, "--json", "-"}).out)["best"], result["best"]);
  EXPECT_EQ(result["search"]["options"]["explore"], "safe");
  EXPECT_EQ(result["search"]["options"]["min_gain"], 0.004);
  // A table states no joules of a trial, and does not count its requests.
  EXPECT_TRUE(result["search"]["energy_joules"].is_null());
  EXPECT_TRUE(result["search"]["repaid_after_inferences"].is_null());
}

TEST(Tune, AStaleChoiceDoesNotOutliveTheRunThatGoesOn) {
  const std::string study = scratch("stale.sqlite");
  ASSERT_EQ(run({"tune", "--device", device(), "--slo", "2x", "--optimizer", "grid", "--budget", "3", "--study", study}).exit_code, 0);
  ASSERT_NE(open_sqlite_journal(study, OpenMode::kReadOnly).value()->facts().value().at(fact::kChoice), "null");
  ASSERT_TRUE(run_and_kill({"tune", "--resume", "--study", study, "--budget", "12", "--pace", "0.4"}, 1000));
  EXPECT_EQ(open_sqlite_journal(study, OpenMode::kReadOnly).value()->facts().value().at(fact::kChoice), "null");
  const json shown = json::parse(run({"show", study, "--json", "-"}).out);
  EXPECT_EQ(shown["stop"]["reason"], "running");
  EXPECT_NE(run({"show", study}).out.find("It has not stopped yet, or was killed."), std::string::npos);
}

TEST(Tune, EndsAtTheViolationsAllowedAndGoesOnWhenMoreAre) {
  const std::string study = scratch("violations.sqlite");
  const auto stopped =
      run({"tune", "--device", device(), "--slo", "1.5x", "--optimizer", "grid", "--max-violations", "2", "--study", study});
  ASSERT_EQ(stopped.exit_code, 0) << stopped.err;
  EXPECT_NE(stopped.out.find("Stopped: 2 trials of the search broke a limit, as many as --max-violations allows."), std::string::npos)
      << stopped.out;
  const auto count = [&](const std::vector<std::string>& arguments) {
    const auto ran = run(arguments);
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    const json result = json::parse(ran.out);
    EXPECT_EQ(result["stop"]["reason"], "violations");
    return result["violations"].size();
  };
  EXPECT_EQ(count({"tune", "--resume", "--study", study, "--json", "-"}), 2U);
  EXPECT_EQ(count({"tune", "--resume", "--study", study, "--max-violations", "3", "--json", "-"}), 3U);
}

TEST(Tune, StartsFromAnEarlierStudyAndKnowsItAgain) {
  const std::string earlier = scratch("earlier.sqlite"), study = scratch("warm.sqlite");
  ASSERT_EQ(run({"tune", "--device", device(), "--slo", "3x", "--optimizer", "grid", "--budget", "6", "--study", earlier}).exit_code, 0);
  const auto warm = run({"tune", "--device", device(), "--slo", "2x", "--warm-start", earlier, "--study", study, "--json", "-"});
  ASSERT_EQ(warm.exit_code, 0) << warm.err;
  EXPECT_EQ(json::parse(warm.out)["search"]["options"]["warm_start"], (json{{{"study", earlier}, {"trials", 6}}}));
  EXPECT_EQ(run({"tune", "--resume", "--study", study}).exit_code, 0);
  ASSERT_EQ(run({"tune", "--resume", "--study", earlier, "--budget", "7"}).exit_code, 0);
  const auto grown = run({"tune", "--resume", "--study", study});
  EXPECT_EQ(grown.exit_code, 2);
  EXPECT_NE(grown.err.find("cannot resume: the search differs"), std::string::npos) << grown.err;
}

TEST(Tune, ResumeRefusesToBeSteeredAnotherWay) {
  const std::string study = scratch("steered.sqlite");
  ASSERT_EQ(run({"tune", "--device", device(), "--slo", "2x", "--explore", "strict", "--study", study}).exit_code, 0);
  EXPECT_EQ(run({"tune", "--resume", "--study", study}).exit_code, 0);
  for (const auto& [flag, value] :
       {std::pair{"--explore", "bold"}, {"--min-gain", "1%"}, {"--horizon", "1e6"}, {"--warm-start", study.c_str()}}) {
    const auto ran = run({"tune", "--resume", "--study", study, flag, value});
    EXPECT_EQ(ran.exit_code, 2) << flag;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  }
}

TEST(Tune, ResumeKeepsTheOptimizerOfTheStudy) {
  const std::string study = scratch("optimizer.sqlite");
  ASSERT_EQ(run({"tune", "--device", device(), "--slo", "2x", "--budget", "3", "--study", study}).exit_code, 0);
  {  // made by a version whose default was another one
    const auto journal = open_sqlite_journal(study, OpenMode::kResume).value();
    ASSERT_TRUE(journal->describe({{fact::kOptimizer, "random"}, {fact::kSearch, R"({"phases":"joint"})"}}));
  }
  const auto resumed = run({"tune", "--resume", "--study", study, "--budget", "5", "--json", "-"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(json::parse(resumed.out)["optimizer"], "random");
}

TEST(Tune, RefusedSettingsAreKeptAndNotProposedAgain) {
  const std::string table = scratch("refused.csv");
  write(table, "workload,gpu_mhz,latency_ms,energy_j_per_inference\nn,1,30,1\nn,2,20,\nn,3,,\nn,4,10,2\n");
  const auto ran = run({"tune", "--device", "recorded:" + table, "--slo", "4x", "--optimizer", "grid", "--csv", "-"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_NE(ran.out.find("refused,try,recorded,3"), std::string::npos) << ran.out;
}

}  // namespace
}  // namespace polythrottle::e2e
