// Why a study's answer is what it is, and what it would be under other limits, from the study's file.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "e2e/program.h"

namespace polythrottle::e2e {
namespace {

using nlohmann::json;

/// A study of the made-up table; its path.
std::string table_study(const std::string& name, const std::string& optimizer, const std::vector<std::string>& more = {},
                        const std::string& slo = "2x") {
  const std::string study = scratch(name);
  std::vector<std::string> arguments{
      "tune", "--device", "recorded:" + small_table() + "#net", "--slo", slo, "--quiet", "--study", study, "--optimizer", optimizer};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Ran ran = run(arguments);
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  return study;
}

bool gnuplot_is_there() { return std::system("command -v gnuplot > /dev/null 2>&1") == 0; }

TEST(Explain, WorksForTheStudyOfEveryOptimizer) {
  for (const char* optimizer : {"grid", "eic", "random", "polythrottle"}) {
    const std::string study = table_study("explained.sqlite", optimizer, {"--budget", "9"});
    const Ran ran = run({"explain", study});
    ASSERT_EQ(ran.exit_code, 0) << optimizer << ran.err;
    EXPECT_NE(ran.out.find("\nWhat binds the best setting"), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find("(recorded)"), std::string::npos) << ran.out;
    const json result = json::parse(run({"explain", study, "--json", "-"}).out);
    const json shown = json::parse(run({"show", study, "--json", "-"}).out);
    EXPECT_EQ(result["schema"], 1);
    EXPECT_EQ(result["best"]["config"], shown["best"]["config"]) << optimizer;
    EXPECT_NEAR(result["best"]["saving"]["ratio"].get<double>(), shown["saving"]["ratio"].get<double>(), 0.03) << optimizer;
    EXPECT_EQ(result["settings"]["candidates"], 12);
  }
}

TEST(Explain, AWholeTableShowsWhichKnobSavesWhatAndWhatBinds) {
  const json result = json::parse(run({"explain", table_study("whole.sqlite", "grid"), "--json", "-"}).out);
  EXPECT_EQ(result["best"]["measured"], true);
  EXPECT_EQ(result["settings"]["compared"], result["settings"]["compared_measured"]);
  ASSERT_EQ(result["knobs"].size(), 2U);
  const json &clock = result["knobs"][0], &batch = result["knobs"][1];
  EXPECT_EQ(clock["name"], "gpu_mhz");
  EXPECT_EQ(clock["moved"], true);
  EXPECT_GT(clock["alone"]["saving"]["low"], 0.0);
  EXPECT_EQ(clock["alone"]["saving"], clock["last"]["saving"]);  // nothing else moved
  EXPECT_EQ(batch["moved"], false);
  EXPECT_EQ(batch["binding"], "limit");
  EXPECT_NE(batch["verdict"].get<std::string>().find("the SLO (mean latency <= 10.67 ms) binds: 2 is predicted to save "),
            std::string::npos)
      << batch["verdict"];
}

TEST(Explain, OtherLimitsAreAskedAboutAsInShow) {
  const std::string study = table_study("asked.sqlite", "grid");
  const Ran ran = run({"explain", study, "--slo", "1.1x"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ran.out.find("Asked about other limits than the study's (2x)."), 0U) << ran.out;
  const json result = json::parse(run({"explain", study, "--slo", "1.1x", "--json", "-"}).out);
  EXPECT_EQ(result["best"]["chosen"], false);
}

TEST(Explain, WrongFlagsAreUsageAndWhatAStudyLacksIsSaidOnOneLine) {
  const std::string study = table_study("wrong.sqlite", "random", {"--budget", "4"});
  for (const std::vector<std::string>& bad : std::vector<std::vector<std::string>>{{"explain"},
                                                                                   {"explain", study, "--slo", "50ms"},
                                                                                   {"explain", study, "--constraint", "power"},
                                                                                   {"explain", study, "--plot", "x.pdf"},
                                                                                   {"explain", study, "--json", study},
                                                                                   {"explain", study, "--nonsense"}}) {
    EXPECT_EQ(run(bad).exit_code, 2) << bad.back();
  }
  const std::string alone = table_study("alone.sqlite", "random", {"--budget", "1"});
  const Ran ran = run({"explain", alone});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err,
            "polythrottle: the study measured its reference setting alone, so there is nothing to compare it with; go on with polythrottle "
            "tune --resume --study FILE\n");
  EXPECT_EQ(run({"explain", scratch("none.sqlite")}).exit_code, 1);
}

TEST(Explain, DrawsItsPictureWithGnuplot) {
  if (!gnuplot_is_there()) GTEST_SKIP() << "gnuplot is not installed";
  const std::string study = table_study("drawn.sqlite", "random", {"--budget", "6"});
  const std::string svg = scratch("it's why.svg"), png = scratch("why.png");
  const Ran drawn = run({"explain", study, "--plot", svg});
  ASSERT_EQ(drawn.exit_code, 0) << drawn.err;
  EXPECT_EQ(drawn.err, "");
  EXPECT_NE(read(svg).find("predicted saving"), std::string::npos);
  ASSERT_EQ(run({"explain", study, "--plot", png}).exit_code, 0);
  EXPECT_EQ(read(png).substr(1, 3), "PNG");
}

TEST(Explain, WithoutGnuplotSaysWhatToInstall) {
  const std::string study = table_study("undrawn.sqlite", "random", {"--budget", "6"}), svg = scratch("never.svg");
  const std::string path = std::getenv("PATH");
  setenv("PATH", "/nothing", 1);
  const Ran ran = run({"explain", study, "--plot", svg});
  setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_EQ(ran.err, "polythrottle: gnuplot is not installed; install it (Debian: apt-get install gnuplot-nox), or leave out --plot\n");
  EXPECT_FALSE(std::filesystem::exists(svg));
}

TEST(ShowOtherSlo, SaysWhichTrialWouldSettleItAndThatTrialCanBeMade) {
  const std::string study = table_study("what-if.sqlite", "polythrottle", {}, "1.3x");
  const Ran ran = run({"show", study, "--slo", "6x"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_NE(ran.out.find("Among all candidates"), std::string::npos) << ran.out;
  const json result = json::parse(run({"show", study, "--slo", "6x", "--json", "-"}).out);
  const json& answer = result["what_if"];
  EXPECT_EQ(answer["best"]["config"], result["best"]["config"]);
  if (!answer["settled"].get<bool>()) {
    EXPECT_NE(ran.out.find("Likely better, not measured: "), std::string::npos) << ran.out;
    const std::string flags = "--reference gpu_mhz=" + std::to_string(answer["next"]["config"]["gpu_mhz"].get<int>()) +
                              ",batch=" + std::to_string(answer["next"]["config"]["batch"].get<int>()) + " --budget 1\n";
    EXPECT_NE(ran.out.find(flags), std::string::npos) << flags << ran.out;
    const Ran trial = run({"tune", "--device", "recorded:" + small_table() + "#net", "--quiet", "--slo", "mean=1s", "--reference",
                           flags.substr(12, flags.find(' ', 12) - 12), "--budget", "1", "--json", "-"});
    ASSERT_EQ(trial.exit_code, 0) << trial.err;
    EXPECT_EQ(json::parse(trial.out)["best"]["config"], answer["next"]["config"]);
  }
}

TEST(ShowOtherSlo, AWholeTableHasNothingLeftToTry) {
  const std::string study = table_study("all.sqlite", "grid");
  const Ran ran = run({"show", study, "--slo", "6x"});
  EXPECT_NE(ran.out.find("Every candidate was measured: this answer would not change."), std::string::npos) << ran.out;
  const Ran none = run({"show", study, "--slo", "mean=1us"});
  EXPECT_NE(none.out.find("Nothing measured is known to meet these limits, and every candidate was measured."), std::string::npos)
      << none.out;
  EXPECT_FALSE(json::parse(run({"show", study, "--json", "-"}).out).contains("what_if"));
}

}  // namespace
}  // namespace polythrottle::e2e
