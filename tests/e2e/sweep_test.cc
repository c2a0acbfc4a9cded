// polythrottle sweep as a user runs it, with the board's rows and with those of a study.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "e2e/program.h"
#include "study/stale.h"

namespace polythrottle::e2e {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::vector<std::string> sweep(std::vector<std::string> more) {
  std::vector<std::string> all{"sweep", "--model", "efficientnet-b7", "--slo", "700ms", "--duration", "30s", "--loads", "20%", "--quiet"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

TEST(Sweep, WhatIsTypedWrongIsUsageInOneLine) {
  for (const auto& [words, says] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--device", "sim:nope"}, "--device: board nope: unknown; known: jetson-tx2, jetson-orin"},
           {{"--device", "orin"}, "a replay needs a simulated board"},
           {{"--device", "sim:jetson-orin", "--seed", "-1"}, "'-1' is no whole number"},
           {{"--device", "sim:jetson-orin", "--seeds", "0"}, "--seeds"},
           {{"--device", "sim:jetson-orin", "--loads", "20"}, "no per cent sign"}}) {
    const auto ran = run(sweep(words));
    EXPECT_EQ(ran.exit_code, 2) << says;
    EXPECT_THAT(ran.err, HasSubstr(says));
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  }
}

TEST(Sweep, RowsOfAStudyServeAndAStaleOneIsSaid) {
  const auto folder = std::filesystem::temp_directory_path() / ("polythrottle-sweep-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const std::string study = (folder / "study.sqlite").string();
  const auto tuned = run({"tune", "--device", "sim:jetson-orin", "--model", "efficientnet-b7", "--slo", "mean=700ms", "--budget", "12",
                          "--study", study, "--quiet"});
  ASSERT_EQ(tuned.exit_code, 0) << tuned.err;
  const auto ran = run(sweep({"--device", "sim:jetson-orin", "--study", study, "--json", "-"}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const json fresh = json::parse(ran.out);
  EXPECT_TRUE(fresh["note"].is_null());
  ASSERT_EQ(fresh["points"].size(), 2u);
  for (const auto& point : fresh["points"]) EXPECT_GT(point["load_adaptive"]["energy_joules_per_answer"], 0.0);

  ASSERT_TRUE(mark_stale(study, {"latency left the band it was measured in", 1.0}));
  const auto stale = run(sweep({"--device", "sim:jetson-orin", "--study", study}));
  EXPECT_THAT(stale.out, HasSubstr("Note: the study is stale: latency left the band it was measured in; tune again."));
  const auto replayed = run({"replay", "--device", "sim:jetson-orin", "--model", "efficientnet-b7", "--slo", "700ms", "--rate", "4",
                             "--duration", "5s", "--config", study + "#best", "--quiet"});
  EXPECT_EQ(replayed.exit_code, 0) << replayed.err;
  EXPECT_THAT(replayed.out, HasSubstr("the study is stale"));
  EXPECT_THAT(run({"show", study}).out, HasSubstr("the study is stale"));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace polythrottle::e2e
