// The job as a user does it: one command, one answer.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "e2e/program.h"

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
  const std::vector<std::string> arguments{"tune", "--device", device(), "--slo", "2x", "--seed",
                                           "11",   "--budget", "9",      "--csv", "-",  "--quiet"};
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
  const auto a = run(arguments), b = run(arguments);
  ASSERT_EQ(a.exit_code, 0) << a.err;
  EXPECT_EQ(strip_times(a.out), strip_times(b.out));
  EXPECT_EQ(std::count(a.out.begin(), a.out.end(), '\n'), 10);
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

TEST(Tune, RefusedSettingsAreKeptAndNotProposedAgain) {
  const std::string table = scratch("refused.csv");
  write(table, "workload,gpu_mhz,latency_ms,energy_j_per_inference\nn,1,30,1\nn,2,20,\nn,3,,\nn,4,10,2\n");
  const auto ran = run({"tune", "--device", "recorded:" + table, "--slo", "4x", "--optimizer", "grid", "--csv", "-"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_NE(ran.out.find("refused,try,recorded,3"), std::string::npos) << ran.out;
}

}  // namespace
}  // namespace polythrottle::e2e
