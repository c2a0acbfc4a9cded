// The simulated boards through the real knobs, meters and lease, as a user runs them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "e2e/program.h"
#include "journal/journal.h"

namespace polythrottle::e2e {
namespace {

using nlohmann::json;

std::vector<std::string> tune(const std::string& board, const std::string& network, std::vector<std::string> more) {
  std::vector<std::string> all{"tune", "--device", "sim:" + board, "--model", network, "--quiet"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

TEST(Simulated, BothBoardsRunAWholeStudyAndSaySimulatedBesideEveryJoule) {
  for (const char* board : {"jetson-tx2", "jetson-orin"}) {
    const auto ran = run(tune(board, "efficientnet-b4", {"--slo", "2x", "--budget", "10", "--study", scratch("sim.sqlite")}));
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    std::istringstream lines(ran.out);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("energy per inference") || line.starts_with("power") || line.find("less energy") != std::string::npos ||
          line.starts_with("The search cost") || line.starts_with("Energy")) {
        EXPECT_NE(line.find("simulated"), std::string::npos) << line;
      }
    }
  }
}

TEST(Simulated, SpacesAreThoseOfThePaper) {
  const auto candidates = [](const std::string& board, const std::string& space) {
    const auto ran = run(tune(board, "bert-base", {"--slo", "1.2x", "--space", space, "--dry-run"}));
    const std::size_t at = ran.out.find("Space    ");
    return at == std::string::npos ? -1 : std::atoi(ran.out.c_str() + at + 9);
  };
  EXPECT_EQ(candidates("jetson-tx2", "paper"), 5005);
  EXPECT_EQ(candidates("jetson-orin", "paper"), 1820);
  EXPECT_EQ(candidates("jetson-tx2", "paper-7.2"), 715);
  EXPECT_EQ(candidates("jetson-orin", "paper-7.2"), 260);
  EXPECT_EQ(candidates("jetson-tx2", "full"), 60060);
  EXPECT_EQ(candidates("jetson-orin", "full"), 52780);
}

TEST(Simulated, SameSeedSameJoules) {
  const auto arguments = tune("jetson-orin", "efficientnet-b0", {"--slo", "1.5x", "--budget", "6", "--seed", "9", "--space", "paper"});
  const auto result = [&](const std::string& name) {
    auto more = arguments;
    more.insert(more.end(), {"--study", scratch(name), "--json", "-"});
    const auto ran = run(more);
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    return json::parse(ran.out);
  };
  const json a = result("same-a.sqlite"), b = result("same-b.sqlite");
  EXPECT_EQ(a["best"], b["best"]);
  EXPECT_EQ(a["reference"], b["reference"]);
}

TEST(Simulated, TheGridOfTheBatchOneSpaceIsFoundToBeWhatTheTruthSays) {
  // 52 settings: the search that measures all of them ends within the noise of the noise-free best.
  const auto ran = run(tune("jetson-orin", "efficientnet-b4",
                            {"--slo", "1.2x", "--space", "paper-7.2", "--knob", "batch=1", "--optimizer", "grid", "--study",
                             scratch("grid.sqlite"), "--json", "-"}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const json result = json::parse(ran.out);
  EXPECT_EQ(result["stop"]["trials"], 52);
  EXPECT_EQ(result["saving"]["provenance"], "simulated");
  EXPECT_GT(result["saving"]["ratio"].get<double>(), 0.02);
  EXPECT_EQ(result["confirmed_rounds"], 3);
}

TEST(Simulated, ARefusedWriteIsARefusedTrialAndALyingNodeIsNoticed) {
  for (const char* fault : {"refuse:", "lie:"}) {
    // From the third second on, so that the reference can be set.
    const auto ran = run(
        tune("jetson-orin", "efficientnet-b0",
             {"--slo", "3x", "--space", "paper-7.2", "--knob", "batch=1", "--budget", "8", "--idle", "0", "--faults",
              std::string(fault) + "/sys/class/devfreq/17000000.ga10b/max_freq@3..60", "--study", scratch("fault.sqlite"), "--csv", "-"}));
    EXPECT_NE(ran.out.find(",refused,"), std::string::npos) << fault << ran.out << ran.err;
  }
}

TEST(Simulated, ARivalInTheMiddleOfATrialMakesItVoidAndTeachesNothing) {
  const auto ran =
      run(tune("jetson-orin", "efficientnet-b0",
               {"--slo", "3x", "--seed", "3", "--knob", "batch=1", "--budget", "6", "--confirm", "1", "--idle", "0", "--faults",
                "rival:/sys/class/devfreq/17000000.ga10b/max_freq=114750000@4..1000", "--study", scratch("rival.sqlite"), "--csv", "-"}));
  EXPECT_NE(ran.out.find(",void,"), std::string::npos) << ran.out << ran.err;
  // Four in a row end the study: the rival will not go away by itself.
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_NE(ran.err.find("the search was given up: 4 trials in a row were void: somebody else set"), std::string::npos) << ran.err;
}

TEST(Simulated, ALimitThatTheClockDoesNotFollowIsRefusedAndTheAnswerSaysWhy) {
  // From the beginning: the hardware keeps its highest ceiling, so the reference is in order and nothing below it is.
  const std::string study = scratch("deaf.sqlite");
  const auto ran = run(tune("jetson-orin", "efficientnet-b0",
                            {"--slo", "3x", "--space", "paper-7.2", "--knob", "batch=1", "--budget", "8", "--confirm", "1", "--faults",
                             "deaf:/sys/class/devfreq/17000000.ga10b/max_freq", "--study", study}));
  EXPECT_NE(ran.out.find("it reads back so, but the GPU ran at 1.3 GHz under load"), std::string::npos) << ran.out << ran.err;
  const json result = json::parse(run({"show", study, "--json", "-"}).out);
  EXPECT_EQ(result["best"]["config"]["gpu_max_hz"], 1300500000) << result["best"];
  EXPECT_FALSE(result["mishaps"].empty());
  for (const auto& mishap : result["mishaps"]) EXPECT_EQ(mishap["state"], "refused");
}

TEST(Simulated, TheAnswerSaysWhatTheClocksProvedAndWhatSettingThemCost) {
  const std::string study = scratch("control.sqlite");
  const auto ran = run(tune("jetson-orin", "efficientnet-b4",
                            {"--slo", "1.2x", "--space", "paper-7.2", "--budget", "6", "--confirm", "1", "--study", study}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_NE(ran.out.find("\nProved by the clock under load: "), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("\nSetting a configuration took "), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("; simulated), 17.00 ms a write.\n"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("\nGPU clock "), std::string::npos) << ran.out;
  const json result = json::parse(run({"show", study, "--json", "-"}).out);
  EXPECT_EQ(result["settings"]["not_proved"], 0);
  EXPECT_GT(result["settings"]["proved"].get<int>(), 0);
  EXPECT_NEAR(result["actuation"]["write_seconds"].get<double>(), 0.017, 1e-9);
  // What tells of the search is no goal of it.
  EXPECT_EQ(run(tune("jetson-orin", "efficientnet-b4", {"--slo", "actuation=1ms"})).exit_code, 2);
  EXPECT_EQ(run(tune("jetson-orin", "efficientnet-b4", {"--slo", "2x", "--constraint", "gpu_clock<=1.2x"})).exit_code, 2);
}

TEST(Simulated, TheSearchSaysWhatItCostAndWhenItIsRepaid) {
  const std::string study = scratch("cost.sqlite");
  const auto ran = run(tune("jetson-orin", "efficientnet-b4", {"--slo", "1.2x", "--space", "paper", "--study", study}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_NE(ran.out.find("\nThe search cost "), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("it is repaid after "), std::string::npos) << ran.out;
  const json result = json::parse(run({"show", study, "--json", "-"}).out);
  const double joules = result["search"]["energy_joules"], after = result["search"]["repaid_after_inferences"];
  const double saved_each = result["reference"]["metrics"]["energy_joules_per_inference"].get<double>() -
                            result["best"]["metrics"]["energy_joules_per_inference"].get<double>();
  EXPECT_NEAR(after * saved_each, joules, 1e-6 * joules);
  EXPECT_GT(result["search"]["repaid_after_seconds"].get<double>(), 0.0);
  EXPECT_GE(result["search"]["requests_in_violation"].get<int>(), 0);
  if (result["stop"]["reason"] == "optimizer") {
    EXPECT_GE(result["stop"]["expected_gain"].get<double>(), 0.0);
  }
}

TEST(Simulated, ThePaperTakesTheCpuClockFirst) {
  const std::string study = scratch("phases.sqlite");
  const auto ran = run(tune("jetson-tx2", "efficientnet-b0",
                            {"--slo", "1.5x", "--phases", "paper", "--optimizer", "eic", "--knob", "batch=1,2", "--knob", "gpu_min_hz=off",
                             "--budget", "15", "--confirm", "1", "--study", study}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const auto journal = open_sqlite_journal(study, OpenMode::kReadOnly).value();
  const auto history = journal->history().value();
  std::size_t first = 0, second = 0;
  for (const auto& trial : history) {
    first += trial.advice.reason.starts_with("phase 1 (CPU clock): ") ? 1U : 0U;
    second += trial.advice.reason.starts_with("phase 2: ") ? 1U : 0U;
  }
  EXPECT_EQ(first, 11U);  // 12 levels, one of them the reference's
  EXPECT_EQ(second, 3U);
  const auto refused = run(tune("jetson-tx2", "efficientnet-b0", {"--slo", "1.5x", "--phases", "paper", "--space", "paper"}));
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("--phases paper needs a CPU clock knob; this space has none"), std::string::npos) << refused.err;
}

TEST(Simulated, AStatedErrorIsThatOfTheRepeats) {
  // Batches of 150 ms against blocks of 50: counted where they end, they would state six per cent.
  const auto ran = run(tune("jetson-tx2", "efficientnet-b7",
                            {"--slo", "2x", "--budget", "2", "--space", "paper-7.2", "--knob", "batch=1,8", "--confirm", "5", "--study",
                             scratch("error.sqlite"), "--json", "-"}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const json result = json::parse(ran.out);
  const double relative = result["reference"]["errors"]["energy_joules_per_inference"]["std_error"].get<double>() /
                          result["reference"]["metrics"]["energy_joules_per_inference"].get<double>();
  EXPECT_LT(relative, 0.03);
}

TEST(Simulated, APercentileOfASlowModelGetsItsSample) {
  const auto ran = run(tune("jetson-tx2", "efficientnet-b7",
                            {"--slo", "p99=300ms", "--budget", "3", "--confirm", "1", "--study", scratch("p99.sqlite"), "--json", "-"}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_GE(json::parse(ran.out)["best"]["errors"]["latency_p99_seconds"]["samples"].get<int>(), 299);
}

TEST(Simulated, BadInputNamesWhatThereIs) {
  const auto complaint = [](const std::vector<std::string>& arguments) {
    const auto ran = run(arguments);
    EXPECT_EQ(ran.exit_code, 2) << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    return ran.err;
  };
  EXPECT_NE(complaint(tune("jetson-nano", "bert-base", {"--slo", "2x"})).find("jetson-tx2"), std::string::npos);
  EXPECT_NE(complaint(tune("jetson-tx2", "resnet", {"--slo", "2x"})).find("efficientnet-b0"), std::string::npos);
  EXPECT_NE(complaint(tune("jetson-tx2", "bert-base", {"--slo", "2x", "--precision", "int8"})).find("fp16"), std::string::npos);
  EXPECT_NE(complaint(tune("jetson-tx2", "bert-base", {"--slo", "2x", "--space", "small"})).find("paper-7.2"), std::string::npos);
  EXPECT_NE(complaint(tune("jetson-tx2", "bert-base", {"--slo", "2x", "--faults", "refuse:/sys/nowhere"})).find("/sys/nowhere"),
            std::string::npos);
  EXPECT_NE(complaint({"probe", "--device", "sim:jetson-nano"}).find("jetson-orin"), std::string::npos);
}

TEST(Simulated, AnSloBelowTheFastestSettingNamesIt) {
  const auto ran = run(tune("jetson-orin", "bert-base", {"--slo", "mean=1us", "--budget", "4", "--study", scratch("slo.sqlite")}));
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_NE(ran.err.find("fastest setting seen"), std::string::npos) << ran.err;
}

TEST(Simulated, ProbeSaysWhatTheBoardWould) {
  const auto ran = run({"probe", "--device", "sim:jetson-tx2"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  for (const char* word : {"Simulated", "gpu_min_hz", "gpu_max_hz", "mem_hz", "cpu_hz", "ina3221", "\nRivals\n  none found\n"}) {
    EXPECT_NE(ran.out.find(word), std::string::npos) << word << "\n" << ran.out;
  }
}

}  // namespace
}  // namespace polythrottle::e2e
