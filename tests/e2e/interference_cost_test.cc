// interference cost, as a user calls it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "e2e/program.h"

namespace polythrottle::e2e {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string model(const std::string& name) { return POLYTHROTTLE_BINARY_DIR "/tests/models/" + name + ".onnx"; }

#define NEEDS_MODELS() \
  if (!std::filesystem::exists(model("mlp"))) GTEST_SKIP() << "no test models: they need protoc and onnx.proto"

Ran cost(std::vector<std::string> words) {
  words.insert(words.begin(), {"interference", "cost"});
  return run(words);
}

TEST(InterferenceCost, CountsAModel) {
  NEEDS_MODELS();
  const auto ran = cost({model("mlp"), "--batch", "4", "--layers", "--json", "-"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const auto json = nlohmann::json::parse(ran.out);
  EXPECT_EQ(json["macs"], 4 * (64 * 128 + 128 * 10));
  EXPECT_EQ(json["per_item"]["macs"], 64 * 128 + 128 * 10);
  EXPECT_EQ(json["weights"]["elements"], 64 * 128 + 128 * 10);
  EXPECT_EQ(json["layers"].size(), json["kernels"]);
  EXPECT_TRUE(json["not_counted"].empty());
  EXPECT_THAT(cost({model("mlp"), "--layers"}).out, HasSubstr("(MatMul + Relu) -> 1x128"));
}

TEST(InterferenceCost, NamesWhatIsMissing) {
  NEEDS_MODELS();
  const auto free = cost({model("tokens")});
  EXPECT_EQ(free.exit_code, 2);
  EXPECT_THAT(free.err, HasSubstr("free axis sequence without a value; add --dim 'sequence=SIZE'"));
  const auto given = cost({model("tokens"), "--dim", "sequence=7"});
  EXPECT_EQ(given.exit_code, 0) << given.err;
  const auto unsupported = cost({model("unsupported")});
  EXPECT_EQ(unsupported.exit_code, 0) << unsupported.err;
  EXPECT_THAT(unsupported.out, HasSubstr("not counted: 1 "));
  EXPECT_THAT(unsupported.out, HasSubstr("at least"));
}

TEST(InterferenceCost, AnswersBadInputInOneLine) {
  const auto text = scratch("text.onnx"), empty = scratch("empty.onnx");
  write(text, "this is no model\n");
  write(empty, "");
  const struct {
    std::vector<std::string> words;
    int exit_code;
    const char* says;
  } cases[] = {
      {{}, 2, "MODEL is required"},
      {{"/nonexistent.onnx"}, 1, "open /nonexistent.onnx"},
      {{"/"}, 1, "no regular file"},
      {{text}, 1, "as ONNX"},
      {{empty}, 1, "the file is empty"},
      {{text, "--dim", "sequence"}, 2, "'sequence' is not NAME=VALUE"},
      {{text, "--dim", "sequence=1.5"}, 2, "a size is a whole number from 1"},
      {{text, "--batch", "many"}, 2, "--batch"},
      {{text, "--json", text}, 2, "--json would overwrite the model"},
  };
  for (const auto& c : cases) {
    const auto ran = cost(c.words);
    EXPECT_EQ(ran.exit_code, c.exit_code) << ran.err;
    EXPECT_THAT(ran.err, StartsWith("polythrottle: "));
    EXPECT_THAT(ran.err, HasSubstr(c.says));
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_EQ(ran.out, "");
  }
}

}  // namespace
}  // namespace polythrottle::e2e
