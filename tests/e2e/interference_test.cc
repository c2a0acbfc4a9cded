// Co-runs of a simulated board from the command line, and what is wrong with them.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "e2e/program.h"

namespace polythrottle::e2e {
namespace {

void expect_line(const Ran& ran, int exit_code, const std::string& about) {
  EXPECT_EQ(ran.exit_code, exit_code) << ran.err;
  EXPECT_NE(ran.err.find(about), std::string::npos) << ran.err;
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  EXPECT_EQ(ran.out, "");
}

std::vector<std::string> calibrate(std::vector<std::string> more) {
  std::vector<std::string> words{"interference", "calibrate"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(Interference, CalibratesASimulatedBoardAndReadsItsFile) {
  const std::string file = scratch("b4.json");
  const auto words = calibrate({"--device", "sim:jetson-orin", "--model", "efficientnet-b4", "--output", file, "--json", "-"});
  const Ran ran = run(words);
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const auto json = nlohmann::json::parse(ran.out);
  EXPECT_EQ(json["co_runs"]["provenance"], "simulated");
  EXPECT_EQ(json["co_runs"]["batches"], 24);
  EXPECT_LT(json["left_out_error"]["physical"].get<double>(), 0.15);
  EXPECT_LT(json["left_out_error"]["physical"], json["left_out_error"]["published"]);
  EXPECT_EQ(run(words).out, ran.out) << "exact for a seed";

  const Ran shown = run({"interference", "show", file});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_NE(shown.out.find("efficientnet-b4 fp16 on sim:jetson-orin"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("(simulated)"), std::string::npos);

  expect_line(run({"interference", "show", scratch("absent.json")}), 1, "absent.json");
}

TEST(Interference, SaysWhatIsWrong) {
  const auto on_orin = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"--device", "sim:jetson-orin", "--model", "bert-base"});
    return calibrate(more);
  };
  expect_line(run(calibrate({"--device", "sim:nano", "--model", "bert-base"})), 2, "known: jetson-tx2, jetson-orin");
  expect_line(run(calibrate({"--device", "toaster", "--model", "bert-base"})), 2, "unknown device 'toaster'");
  expect_line(run(calibrate({"--device", "cpu", "--model", "bert-base"})), 1, "need the server");
  expect_line(run(calibrate({"--device", "sim:jetson-orin", "--model", "resnet"})), 2, "known: efficientnet-b0");
  expect_line(run(on_orin({"--finetune", "batch=x"})), 2, "'x' is no whole number");
  expect_line(run(on_orin({"--finetune", "batch=0"})), 2, "no whole number from 1");
  expect_line(run(on_orin({"--finetune", "batch"})), 2, "KEY=VALUE");
  expect_line(run(on_orin({"--finetune", "size=3"})), 2, "unknown key 'size'");
  expect_line(run(on_orin({"--finetune", "batch=8,batch=9"})), 2, "batch is given twice");
  // A key of jobs that no step has.
  for (const char* key : {"iterations=10", "pieces=64/32", "deadline=60s", "precision=fp32"}) {
    expect_line(run(on_orin({"--finetune", key})), 2, "the keys are batch, outputs, train (head, all or a number of layers)");
  }
  expect_line(run(on_orin({"--predictor", "oracle"})), 2, "one of physical, published");
  expect_line(run(on_orin({"--precision", "fp8"})), 2, "fp16, fp32");
  const std::string file = scratch("bad.json");
  write(file, "");
  expect_line(run({"interference", "show", file}), 1, "empty");
  write(file, "{\"format\": \"polythrottle calibration\"");
  expect_line(run({"interference", "show", file}), 1, "cut short");
  write(file, "{\"format\": \"something else\"}");
  expect_line(run({"interference", "show", file}), 1, "not that of a calibration");
}

}  // namespace
}  // namespace polythrottle::e2e
