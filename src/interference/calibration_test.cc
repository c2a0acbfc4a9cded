#include "interference/calibration.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace polythrottle::interference {
namespace {

Calibration example() {
  const WorkCost inference{.macs = 1e9, .weights = 5e6, .activations = 2e7, .kernels = 100};
  const Step step{{.macs = 3e9, .weights = 2e7, .activations = 6e7, .kernels = 400}, 16};
  Calibration out{.device = "sim:jetson-orin",
                  .model = "efficientnet-b0 fp16",
                  .finetune = "batch=16,outputs=10,train=head",
                  .provenance = "simulated",
                  .predictor = "physical",
                  .inference = inference};
  for (int i = 0; i < 6; ++i) {
    BatchSample seen{{.speeds = {.gpu = i % 2 == 0 ? 1.0 : 0.7}, .batch = 1 + i, .step = {}}, Seconds(0.01 + 0.003 * i), 0.0};
    if (i > 1) seen.at.step = step, seen.beside = i == 2 ? 0.5 : 1.0;
    if (i == 1) seen.at.rested = Seconds(0.25);
    out.samples.batches.push_back(seen);
  }
  out.samples.steps.push_back({{.mem = 0.5}, step, Seconds(0.4), 0.25});
  return out;
}

TEST(Calibration, ComesBackAsItWas) {
  const Calibration wrote = example();
  const std::string text = render_calibration(wrote);
  const auto read = parse_calibration(text);
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(render_calibration(*read), text);
  ASSERT_EQ(read->samples.batches.size(), wrote.samples.batches.size());
  for (std::size_t i = 0; i < wrote.samples.batches.size(); ++i) {
    const BatchSample &a = wrote.samples.batches[i], &b = read->samples.batches[i];
    EXPECT_EQ(a.latency, b.latency);
    EXPECT_EQ(a.beside, b.beside);
    EXPECT_EQ(a.at.rested, b.at.rested);
    EXPECT_EQ(a.at.speeds, b.at.speeds);
    EXPECT_EQ(a.at.batch, b.at.batch);
    ASSERT_EQ(a.at.step.has_value(), b.at.step.has_value());
    if (a.at.step) {
      EXPECT_EQ(a.at.step->cost.macs, b.at.step->cost.macs);
    }
  }
  // Fitted again it says the same.
  const auto before = fitted(wrote), after = fitted(*read);
  ASSERT_TRUE(before && after);
  EXPECT_EQ((*before)->batch(wrote.samples.batches[3].at).mean, (*after)->batch(wrote.samples.batches[3].at).mean);
}

TEST(Calibration, SaysWhatIsWrong) {
  const auto broken = [](auto change) {
    auto json = nlohmann::ordered_json::parse(render_calibration(example()));
    change(json);
    const auto read = parse_calibration(json.dump());
    EXPECT_FALSE(read);
    return read ? Error() : read.error();
  };
  const auto expect = [](const Error& error, Errc code, const std::string& about) {
    EXPECT_EQ(error.code, code) << error.what;
    EXPECT_NE(error.what.find(about), std::string::npos) << error.what;
  };
  expect(parse_calibration("").error(), Errc::kCorrupt, "empty");
  expect(parse_calibration(" \n").error(), Errc::kCorrupt, "empty");
  expect(parse_calibration("[1, 2").error(), Errc::kCorrupt, "no JSON");
  expect(parse_calibration("[1, 2]").error(), Errc::kCorrupt, "format");
  expect(broken([](auto& j) { j["format"] = "other"; }), Errc::kCorrupt, "format");
  expect(broken([](auto& j) { j["version"] = 2; }), Errc::kUnsupported, "version 2");
  expect(broken([](auto& j) { j.erase("model"); }), Errc::kCorrupt, "model: missing");
  expect(broken([](auto& j) { j["device"] = 3; }), Errc::kCorrupt, "device: no text");
  expect(broken([](auto& j) { j["inference"]["macs"] = -1; }), Errc::kCorrupt, "inference.macs: -1 cannot be");
  expect(broken([](auto& j) { j["batches"] = 1; }), Errc::kCorrupt, "batches: no list");
  expect(broken([](auto& j) { j["batches"][2]["latency_seconds"] = 0; }), Errc::kCorrupt, "batches[2].latency_seconds: 0 cannot be");
  expect(broken([](auto& j) { j["batches"][1]["batch"] = 1.5; }), Errc::kCorrupt, "batches[1].batch: no whole number");
  expect(broken([](auto& j) { j["batches"][3]["beside"] = 1.01; }), Errc::kCorrupt, "batches[3].beside");
  expect(broken([](auto& j) { j["batches"][3]["clocks"]["gpu"] = 0; }), Errc::kCorrupt, "batches[3].clocks.gpu");
  expect(broken([](auto& j) { j["batches"][3]["step"]["cost"] = 7; }), Errc::kCorrupt, "step.cost");
  expect(broken([](auto& j) { j["step_costs"] = nlohmann::ordered_json::array(); }), Errc::kCorrupt, "step.cost");
  expect(broken([](auto& j) { j["steps"][0]["duration_seconds"] = "long"; }), Errc::kCorrupt, "steps[0].duration_seconds: no number");
}

TEST(Calibration, NoBeginningOfAFileIsTakenForTheWhole) {
  const std::string text = render_calibration(example());
  for (std::size_t length = 0; length + 2 < text.size(); ++length) EXPECT_FALSE(parse_calibration(text.substr(0, length))) << length;
}

TEST(Calibration, OfAnotherModelIsRefused) {
  const Calibration made = example();
  EXPECT_TRUE(check_calibration(made, made.device, made.model, made.finetune));
  const auto other = check_calibration(made, made.device, "bert-base fp16", made.finetune);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::kInvalid);
  EXPECT_NE(other.error().what.find("model efficientnet-b0 fp16, not bert-base fp16"), std::string::npos) << other.error().what;
  EXPECT_NE(check_calibration(made, "sim:jetson-tx2", made.model, made.finetune).error().what.find("device"), std::string::npos);
  EXPECT_NE(check_calibration(made, made.device, made.model, "batch=8").error().what.find("fine-tuning"), std::string::npos);
}

TEST(Calibration, WithoutCoRunsIsNotFitted) {
  Calibration made = example();
  made.samples.batches.resize(2);
  EXPECT_EQ(fitted(made).error().code, Errc::kNotFound);
  made.predictor = "oracle";
  EXPECT_EQ(fitted(made).error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace polythrottle::interference
