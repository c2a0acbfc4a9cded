#include "host/simulation/paper.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace polythrottle::simulation {
namespace {

std::string published_text() {
  std::ifstream in(POLYTHROTTLE_SOURCE_DIR "/tools/calibrate/published.json");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

struct Fit {
  Published published;
  std::vector<Figure> figures;
  Score score;
};

const Fit& fit(const std::string& name) {
  static std::map<std::string, Fit> done;
  if (const auto found = done.find(name); found != done.end()) return found->second;
  const Board& board = *find_board(name).value();
  Fit made;
  made.published = parse_published(published_text(), name).value();
  made.figures = simulate_paper(board, made.published);
  made.score = score(board, made.published, made.figures);
  return done.emplace(name, std::move(made)).first->second;
}

class Calibration : public testing::TestWithParam<const char*> {};

TEST_P(Calibration, EveryPublishedFigureIsSimulated) {
  const Fit& made = fit(GetParam());
  for (const auto& [key, value] : made.published.values) {
    const auto found =
        std::find_if(made.figures.begin(), made.figures.end(), [&key = key](const Figure& figure) { return figure.key == key; });
    EXPECT_NE(found, made.figures.end()) << key;
  }
}

TEST_P(Calibration, SavingsAreWithinTheGoal) {
  const Score& made = fit(GetParam()).score;
  EXPECT_EQ(made.savings_count, 16);
  EXPECT_LE(made.savings_mean, 3.0);
  EXPECT_LE(made.savings_max, 7.0);
}

TEST_P(Calibration, FrontierIsWithinTheGoal) {
  const Score& made = fit(GetParam()).score;
  EXPECT_LE(made.figure2_mean, 5.0);
  EXPECT_LE(made.figure2_max, 10.0);
}

TEST_P(Calibration, NearOptimalCellsAreAsManyAsPublished) {
  const Score& made = fit(GetParam()).score;
  EXPECT_EQ(made.k_count, 16);
  EXPECT_GE(made.k_within_2, 13);
  EXPECT_LE(made.k_worst, 3.0);
}

TEST_P(Calibration, CpuClockIsWithinTheGoal) {
  const Score& made = fit(GetParam()).score;
  EXPECT_LE(made.table7, 4.0);
  EXPECT_LE(made.cpu_effect, 6.05);
}

INSTANTIATE_TEST_SUITE_P(Boards, Calibration, testing::Values("jetson-tx2", "jetson-orin"),
                         [](const auto& board) { return std::string(board.param) == "jetson-tx2" ? "Tx2" : "Orin"; });

TEST(CalibrationBoth, OrderOfNetworks) { EXPECT_LE(fit("jetson-tx2").score.wrong_pairs + fit("jetson-orin").score.wrong_pairs, 2); }

TEST(CalibrationTx2, MemoryAlone) {
  const Score& made = fit("jetson-tx2").score;
  EXPECT_LE(made.table2_mean, 4.0);
  EXPECT_LE(made.table2_max, 7.0);
  EXPECT_LE(made.table2_levels, 3);
}

TEST(CalibrationOrin, GpuFloorAlone) {
  const Score& made = fit("jetson-orin").score;
  EXPECT_LE(made.table3_max, 6.0);
  EXPECT_TRUE(made.table3_order);
}

TEST(CalibrationOrin, GpuFloorLowersLatencyToo) {
  const Board& board = *find_board("jetson-orin").value();
  for (const char* name : {"efficientnet-b0", "efficientnet-b4", "efficientnet-b7"}) {
    const Plan plan = inference_plan(board, *find_network(name).value(), Precision::kFp16, 1);
    Setting setting = board.default_setting();
    const Load load{Seconds(board.constants.image_gap_seconds), {}};
    const Steady low = steady_state(plan, setting, load);
    setting.gpu_min = board.gpu_levels[10];
    const Steady high = steady_state(plan, setting, load);
    EXPECT_LT(high.latency, low.latency) << name;
    EXPECT_LT(high.energy_in_flight, low.energy_in_flight) << name;
  }
}

TEST(PublishedFile, BrokenTextIsRefused) {
  EXPECT_EQ(parse_published("[]", "jetson-tx2").error().code, Errc::kCorrupt);
  EXPECT_EQ(parse_published("{}", "jetson-tx2").error().code, Errc::kNotFound);
  EXPECT_EQ(parse_published(R"({"jetson-tx2":{"tight":{}}})", "jetson-tx2").error().code, Errc::kCorrupt);
}

}  // namespace
}  // namespace polythrottle::simulation
