// polythrottle replay as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "e2e/program.h"

namespace polythrottle::e2e {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::vector<std::string> with(std::vector<std::string> more) {
  std::vector<std::string> all{"replay", "--device", "sim:jetson-orin", "--model", "efficientnet-b7", "--quiet"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}
std::vector<std::string> usual(std::vector<std::string> more) {
  more.insert(more.begin(), {"--slo", "700ms", "--rate", "8"});
  return with(std::move(more));
}
const std::vector<std::string> kJob{"--finetune", "batch=64,iterations=2,outputs=1000"};

TEST(Replay, AnswersWithTheNamesOfTheSchema) {
  const auto ran = run(usual({"--duration", "10s", kJob[0], kJob[1], "--policy", "greedy", "--json", "-"}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const json result = json::parse(ran.out);
  EXPECT_EQ(result["schema"], 1);
  EXPECT_EQ(result["provenance"], "simulated");
  for (const char* key : {"violations_ratio", "drops_ratio", "job_seconds", "energy_joules", "requests", "job_bound_seconds",
                          "latency_p99_seconds", "row_shares", "config", "jobs", "traffic_seconds"}) {
    EXPECT_TRUE(result.contains(key)) << key;
  }
  EXPECT_GT(result["requests"], 40);
  EXPECT_EQ(result["answered"].get<int>() + result["dropped"].get<int>(), result["requests"].get<int>());
  EXPECT_GT(result["job_seconds"], 0.0);
  EXPECT_GT(result["job_bound_seconds"], 0.0);
}

TEST(Replay, SameSeedSameAnswerAndAnotherSeedAnother) {
  const auto answer = [](const char* seed) {
    return run(usual({"--duration", "10s", kJob[0], kJob[1], "--policy", "greedy", "--json", "-", "--seed", seed})).out;
  };
  const std::string a = answer("3");
  EXPECT_FALSE(a.empty());
  EXPECT_EQ(a, answer("3"));
  EXPECT_NE(a, answer("4"));
}

TEST(Replay, PutsPoliciesSideBySideOverTheSameRequests) {
  const auto ran = run(usual({"--duration", "5s", kJob[0], kJob[1], "--policy", "all", "--seeds", "2", "--json", "-"}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const json result = json::parse(ran.out);
  ASSERT_EQ(result["contenders"].size(), 4u);
  for (const auto& one : result["contenders"]) {
    EXPECT_EQ(one["requests"], result["contenders"][0]["requests"]);
    EXPECT_EQ(one["runs"].size(), 2u);
    EXPECT_TRUE(one["spread"].contains("energy_joules"));
  }
  EXPECT_TRUE(result["contenders"][0]["job_seconds"].is_null());
  const auto text = run(usual({"--duration", "5s", "--config", "reference", "--config", "tuned"}));
  ASSERT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("least simulated energy of 1820 settings"));
  EXPECT_THAT(text.out, HasSubstr("violations"));
}

TEST(Replay, ClocksFollowTheLoadAndTheJob) {
  const auto ran = run(usual({"--duration", "60s", kJob[0], kJob[1] + ",pieces=64/32/16/8", "--config", "load-adaptive", "--json", "-"}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const json result = json::parse(ran.out);
  EXPECT_GT(result["rows"].size(), 1u);
  EXPECT_EQ(result["row_shares"].size(), result["rows"].size());
  EXPECT_GT(result["row_changes"], 0.0);
  EXPECT_GT(result["job_seconds"], 0.0);
}

TEST(Replay, WritesDecisionsAndTimeline) {
  const std::string decisions = scratch("decisions.jsonl"), timeline = scratch("timeline.csv");
  const auto ran =
      run(usual({"--duration", "5s", kJob[0], kJob[1], "--policy", "greedy", "--decisions", decisions, "--timeline", timeline}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  std::istringstream lines(read(decisions));
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const json one = json::parse(line);
    EXPECT_FALSE(one["sentence"].get<std::string>().empty());
  }
  EXPECT_GT(count, 5u);
  const std::string table = read(timeline);
  for (const char* kind : {"\nanswered,", "\nbatch,", "\nstep,", "\npower,", "\nrow,"}) EXPECT_THAT(table, HasSubstr(kind));
}

TEST(Replay, LearnsFromAFileOfCoRunsOfTheSameBoardModelAndJob) {
  const std::string file = scratch("b7.json");
  const auto made =
      run({"interference", "calibrate", "--device", "sim:jetson-orin", "--model", "efficientnet-b7", "--quiet", "--output", file});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const auto ran = run(usual({"--duration", "5s", kJob[0], kJob[1], "--policy", "paper,adaptive", "--predictor-file", file}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("paper: published, adaptive: physical; learned from " + file));
  const auto refused = [&](std::vector<std::string> words, int exit_code, const char* says) {
    words.insert(words.end(), {"--predictor-file", file});
    const auto other = run(words);
    EXPECT_EQ(other.exit_code, exit_code) << other.err;
    EXPECT_THAT(other.err, HasSubstr(says));
    EXPECT_EQ(std::count(other.err.begin(), other.err.end(), '\n'), 1) << other.err;
    EXPECT_EQ(other.out, "");
  };
  refused(usual({"--finetune", "batch=32,iterations=1"}), 2, "not batch=32");
  refused(usual({"--finetune", "batch=64,precision=fp32"}), 2, "precision=fp32");
  refused(usual({"--precision", "fp32"}), 2, "not efficientnet-b7 fp32");
  refused(usual({"--predictor", "none"}), 2, "learns from no file");
  refused(usual({"--json", file}), 2, "would overwrite the --predictor-file");
  write(file, "{");
  refused(usual({}), 1, "cut short");
}

TEST(Replay, WithoutCoRunsNothingIsAdmittedAndThatIsSaid) {
  const std::string decisions = scratch("held.jsonl");
  const auto ran = run(usual({"--duration", "5s", kJob[0], kJob[1], "--predictor", "none", "--decisions", decisions}));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("the predictor knows no co-runs, so that nothing was admitted"));
  EXPECT_THAT(read(decisions), HasSubstr("\"cause\":\"not_calibrated\""));
}

TEST(Replay, BadInputGetsOneLineThatSaysWhatToDo) {
  struct Case {
    std::vector<std::string> words;
    int exit_code;
    const char* says;
  };
  const std::string unordered = scratch("unordered.txt");
  write(unordered, "1\n3\n2\n");
  const std::string empty = scratch("empty.txt");
  write(empty, "");
  const Case cases[] = {
      {with({"--slo", "700ms", "--rate", "800"}), 1, "the most that jetson-orin can is"},
      {with({"--slo", "5ms", "--rate", "8"}), 1, "one request alone takes"},
      {with({"--slo", "700", "--rate", "8"}), 2, "has no unit"},
      {with({"--rate", "8"}), 2, "--slo is missing"},
      {with({"--slo", "700ms"}), 2, "--rate is missing"},
      {with({"--slo", "700ms@30s", "--rate", "8"}), 2, "out of place"},
      {usual({"--finetune", "batch=64,train=all"}), 1, "has 31.7 GB"},
      {usual({"--finetune", "colour=red"}), 2, "the keys are batch"},
      {usual({"--policy", "lucky"}), 2, "greedy"},
      {usual({"--predictor", "lucky"}), 2, "physical"},
      {usual({"--config", "gpu_max_hz=5"}), 2, "is no level of"},
      {usual({"--config", "lucky"}), 2, "tuned"},
      {usual({"--json", "-", "--decisions", "-"}), 2, "the same"},
      {usual({"--json", "/no/such/folder/x.json"}), 1, "/no/such/folder"},
      {usual({"--timeline", "x.png"}), 2, ".svg"},
      {usual({"--arrivals", unordered}), 1, "line 3"},
      {usual({"--arrivals", empty}), 1, "empty"},
      {usual({"--seeds", "0"}), 2, "--seeds"},
      {usual({"--duration", "0s"}), 2, "above zero"},
      {usual({"--finetune", "batch=12,pieces=12/6/4"}), 2, "no multiple of the smallest"},
      {usual({"--budget", "2"}), 2, "--budget"},
      {{"replay", "--device", "cpu", "--model", "efficientnet-b7", "--slo", "1s", "--rate", "1"}, 2, "needs a simulated board"},
      {{"replay", "--device", "sim:nano", "--model", "efficientnet-b7", "--slo", "1s", "--rate", "1"}, 2, "jetson-tx2"},
      {{"replay", "--device", "sim:jetson-orin", "--model", "vgg", "--slo", "1s", "--rate", "1"}, 2, "efficientnet-b0"},
  };
  for (const Case& one : cases) {
    const auto ran = run(one.words);
    EXPECT_EQ(ran.exit_code, one.exit_code) << one.says << ": " << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(one.says));
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_EQ(ran.out, "");
  }
}

}  // namespace
}  // namespace polythrottle::e2e
