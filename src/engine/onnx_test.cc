#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/engine.h"
#include "engine/hash.h"

namespace polythrottle {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

/// What reaches stderr below C++ too: the runtime writes with its own streams.
class CapturedStderr {
 public:
  CapturedStderr() : kept_(dup(STDERR_FILENO)), file_(std::tmpfile()) { dup2(fileno(file_), STDERR_FILENO); }
  ~CapturedStderr() {
    restore();
    std::fclose(file_);
  }
  CapturedStderr(const CapturedStderr&) = delete;
  CapturedStderr& operator=(const CapturedStderr&) = delete;

  std::string text() {
    restore();
    std::rewind(file_);
    std::string text;
    for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_)) text += static_cast<char>(c);
    return text;
  }

 private:
  void restore() {
    std::fflush(stderr);
    if (kept_ >= 0) {
      dup2(kept_, STDERR_FILENO);
      close(kept_);
    }
    kept_ = -1;
  }
  int kept_;
  std::FILE* file_;
};

class SetEnvironment {
 public:
  SetEnvironment(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value.c_str(), 1);
  }
  ~SetEnvironment() {
    if (old_) {
      setenv(name_, old_->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  SetEnvironment(const SetEnvironment&) = delete;
  SetEnvironment& operator=(const SetEnvironment&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

std::string model_path(const std::string& name) { return POLYTHROTTLE_BINARY_DIR "/tests/models/" + name + ".onnx"; }

EngineOptions with_dimensions(std::map<std::string, std::int64_t> dimensions) {
  EngineOptions options;
  options.dimensions = std::move(dimensions);
  return options;
}

class Onnx : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto runtime = onnx_runtime(); !runtime) GTEST_SKIP() << runtime.error().text();
    if (!std::filesystem::exists(model_path("mlp"))) GTEST_SKIP() << "no test models (they need protobuf-compiler and libonnx-dev)";
  }
  std::string write(const std::string& name, const std::string& content) {
    const std::string path = testing::TempDir() + "onnx_test_" + name;
    std::ofstream(path, std::ios::binary) << content;
    written_.push_back(path);
    return path;
  }
  void TearDown() override {
    for (const auto& path : written_) std::remove(path.c_str());
  }

 private:
  std::vector<std::string> written_;
};

std::string content_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

TEST(Sha256, IsThatOfTheStandardsExample) {
  const std::string path = testing::TempDir() + "sha256_test";
  std::ofstream(path) << "abc";
  EXPECT_EQ(sha256_of_file(path).value(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // FIPS 180-4
  std::ofstream(path, std::ios::trunc).flush();
  EXPECT_EQ(sha256_of_file(path).value(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  std::remove(path.c_str());
  EXPECT_EQ(sha256_of_file(path).error().code, Errc::kNotFound);
  EXPECT_EQ(sha256_of_file(testing::TempDir()).error().code, Errc::kIo);
}

TEST_F(Onnx, SaysWhatIsInTheModel) {
  const auto model = inspect_onnx(model_path("mlp"), {});
  ASSERT_TRUE(model.has_value()) << model.error().text();
  EXPECT_EQ(model->path, model_path("mlp"));
  EXPECT_EQ(model->sha256, sha256_of_file(model_path("mlp")).value());
  EXPECT_THAT(model->runtime, AllOf(StartsWith("ONNX Runtime 1."), HasSubstr("(CPU), /")));
  ASSERT_EQ(model->inputs.size(), 1u);
  EXPECT_EQ(model->inputs[0].name, "x");
  EXPECT_EQ(model->inputs[0].type, "float32");
  EXPECT_THAT(model->inputs[0].shape, ElementsAre(-1, 64));
  EXPECT_THAT(model->inputs[0].dimensions, ElementsAre("batch", ""));
  ASSERT_EQ(model->outputs.size(), 1u);
  EXPECT_THAT(model->outputs[0].shape, ElementsAre(-1, 10));
  EXPECT_FALSE(model->fixed_batch.has_value());
}

TEST_F(Onnx, RunsEveryBatchSizeUpAndDown) {
  EngineOptions options;
  options.threads = 2;
  auto engine = open_onnx(model_path("mlp"), options);
  ASSERT_TRUE(engine.has_value()) << engine.error().text();
  EXPECT_EQ((*engine)->run().error().code, Errc::kInvalid);  // nothing prepared
  for (const std::int64_t batch : {1, 16, 3, 64, 1}) {
    ASSERT_TRUE((*engine)->prepare(batch).has_value()) << batch;
    const auto done = (*engine)->run();
    ASSERT_TRUE(done.has_value()) << done.error().text();
  }
  EXPECT_EQ((*engine)->prepare(0).error().code, Errc::kOutOfRange);
  const auto huge = (*engine)->prepare(std::int64_t{1} << 60);
  EXPECT_EQ(huge.error().code, Errc::kOutOfRange) << huge.error().text();
  EXPECT_EQ((*engine)->run().error().code, Errc::kInvalid);  // the failed prepare left nothing behind
}

TEST_F(Onnx, FixedBatchIsToldAndKept) {
  auto engine = open_onnx(model_path("fixed_batch"), {});
  ASSERT_TRUE(engine.has_value()) << engine.error().text();
  EXPECT_EQ((*engine)->model().fixed_batch, 4);
  EXPECT_TRUE((*engine)->prepare(4).has_value());
  EXPECT_TRUE((*engine)->run().has_value());
  const auto other = (*engine)->prepare(2);
  EXPECT_EQ(other.error().code, Errc::kOutOfRange);
  EXPECT_THAT(other.error().text(), HasSubstr("fixed to 4"));
}

TEST_F(Onnx, AValueForTheBatchFixesIt) {
  const auto model = inspect_onnx(model_path("mlp"), with_dimensions({{"batch", 6}}));
  ASSERT_TRUE(model.has_value()) << model.error().text();
  EXPECT_EQ(model->fixed_batch, 6);
}

TEST_F(Onnx, FreeDimensionsAreSetByName) {
  auto engine = open_onnx(model_path("tokens"), with_dimensions({{"sequence", 5}}));
  ASSERT_TRUE(engine.has_value()) << engine.error().text();
  EXPECT_FALSE((*engine)->model().fixed_batch.has_value());
  for (const std::int64_t batch : {3, 2}) {
    ASSERT_TRUE((*engine)->prepare(batch).has_value());
    const auto done = (*engine)->run();  // the second input has the batch on its second axis; tokens are 0 or 1
    EXPECT_TRUE(done.has_value()) << done.error().text();
  }
  auto by_place = open_onnx(model_path("tokens"), with_dimensions({{"tokens[1]", 5}, {"weight[0]", 5}}));
  ASSERT_TRUE(by_place.has_value()) << by_place.error().text();
  ASSERT_TRUE((*by_place)->prepare(2).has_value());
  EXPECT_TRUE((*by_place)->run().has_value());
}

TEST_F(Onnx, AFreeDimensionWithoutValueIsNamedWithItsFlag) {
  const auto engine = open_onnx(model_path("tokens"), {});
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error().code, Errc::kInvalid);
  EXPECT_THAT(engine.error().text(), HasSubstr("--dim sequence=VALUE"));
}

TEST_F(Onnx, UnknownNamesAreAnsweredWithThoseThereAre) {
  const auto dimension = open_onnx(model_path("tokens"), with_dimensions({{"sequense", 5}}));
  EXPECT_EQ(dimension.error().code, Errc::kInvalid);
  EXPECT_THAT(dimension.error().text(), AllOf(HasSubstr("sequense"), HasSubstr("batch, sequence")));
  EXPECT_EQ(open_onnx(model_path("tokens"), with_dimensions({{"sequence", 0}})).error().code, Errc::kInvalid);
  auto options = with_dimensions({{"sequence", 5}});
  options.inputs = {{"mask", 1.0}};
  const auto input = open_onnx(model_path("tokens"), options);
  EXPECT_EQ(input.error().code, Errc::kInvalid);
  EXPECT_THAT(input.error().text(), AllOf(HasSubstr("mask"), HasSubstr("tokens, weight")));
}

TEST_F(Onnx, AnInputCanBeOneConstant) {
  auto options = with_dimensions({{"sequence", 4}});
  options.inputs = {{"tokens", 1.0}, {"weight", -0.5}};
  auto engine = open_onnx(model_path("tokens"), options);
  ASSERT_TRUE(engine.has_value()) << engine.error().text();
  ASSERT_TRUE((*engine)->prepare(2).has_value());
  EXPECT_TRUE((*engine)->run().has_value());

  options.inputs = {{"tokens", 7.0}};  // outside of the table: what the data are is what the model sees
  engine = open_onnx(model_path("tokens"), options);
  ASSERT_TRUE(engine.has_value());
  ASSERT_TRUE((*engine)->prepare(2).has_value());
  const auto done = (*engine)->run();
  ASSERT_FALSE(done.has_value());
  EXPECT_EQ(done.error().code, Errc::kIo);
  EXPECT_EQ(done.error().what.find('\n'), std::string::npos);

  options.inputs = {{"tokens", 0.5}};
  EXPECT_EQ(open_onnx(model_path("tokens"), options).error().code, Errc::kInvalid);
}

TEST_F(Onnx, EveryTypeIsFilled) {
  auto engine = open_onnx(model_path("types"), with_dimensions({{"half[1]", 7}}));
  ASSERT_TRUE(engine.has_value()) << engine.error().text();
  EXPECT_THAT((*engine)->model().inputs[0].dimensions, ElementsAre("half[0]", "half[1]"));
  EXPECT_THAT((*engine)->model().inputs[5].shape, IsEmpty());
  for (const std::int64_t batch : {2, 5, 1}) {  // nameless first axes are the batch
    ASSERT_TRUE((*engine)->prepare(batch).has_value());
    const auto done = (*engine)->run();
    ASSERT_TRUE(done.has_value()) << done.error().text();
  }
  EXPECT_THAT(open_onnx(model_path("types"), {}).error().text(), HasSubstr("--dim half[1]=VALUE"));
}

TEST_F(Onnx, BadModelsAreOneLineAndNothingOnStderr) {
  const std::string whole = content_of(model_path("mlp"));
  std::string newer = whole;
  newer[1] = 100;  // ir_version, the first field
  const struct {
    std::string path;
    Errc code;
  } cases[] = {
      {testing::TempDir() + "no_such_model.onnx", Errc::kNotFound},
      {testing::TempDir(), Errc::kCorrupt},
      {write("empty.onnx", ""), Errc::kCorrupt},
      {write("text.onnx", "this is no model\n"), Errc::kCorrupt},
      {write("truncated.onnx", whole.substr(0, whole.size() / 2)), Errc::kCorrupt},
      {write("cut.onnx", whole.substr(0, whole.size() - 3)), Errc::kCorrupt},
      {write("zeros.onnx", std::string(1000, '\0')), Errc::kCorrupt},
      {write("newer.onnx", newer), Errc::kUnsupported},
      {model_path("unsupported"), Errc::kUnsupported},
  };
  for (const auto& c : cases) {
    CapturedStderr captured;
    const auto engine = open_onnx(c.path, {});
    const std::string leaked = captured.text();
    ASSERT_FALSE(engine.has_value()) << c.path;
    EXPECT_EQ(engine.error().code, c.code) << engine.error().text();
    EXPECT_THAT(engine.error().what, HasSubstr(c.path));
    EXPECT_EQ(engine.error().text().find('\n'), std::string::npos);
    EXPECT_LT(engine.error().text().size(), 600u);
    EXPECT_EQ(leaked, "");
    if (std::getenv("POLYTHROTTLE_SHOW")) std::printf("%s: %s\n", to_string(engine.error().code), engine.error().text().c_str());
  }
}

TEST_F(Onnx, AProviderThatIsNotThereNamesThoseThatAre) {
  for (const char* provider : {"tensorrt", "cuda", "abacus"}) {
    EngineOptions options;
    options.provider = provider;
    CapturedStderr captured;
    const auto engine = open_onnx(model_path("mlp"), options);
    const std::string leaked = captured.text();
    if (engine) continue;  // a machine that has it
    EXPECT_EQ(engine.error().code, Errc::kUnsupported) << engine.error().text();
    EXPECT_THAT(engine.error().text(), HasSubstr(provider));
    EXPECT_EQ(leaked, "");
    if (std::getenv("POLYTHROTTLE_SHOW")) std::printf("%s\n", engine.error().text().c_str());
  }
}

TEST_F(Onnx, RefusesNoThreads) {
  EngineOptions options;
  options.threads = 0;
  EXPECT_EQ(open_onnx(model_path("mlp"), options).error().code, Errc::kInvalid);
}

TEST_F(Onnx, ANamedLibraryIsTakenOrRefusedWithoutAnother) {
  {
    const SetEnvironment named("ONNXRUNTIME_LIBRARY", testing::TempDir() + "no_such_library.so");
    const auto runtime = onnx_runtime();
    ASSERT_FALSE(runtime.has_value());
    EXPECT_EQ(runtime.error().code, Errc::kUnsupported);
    EXPECT_THAT(runtime.error().text(), AllOf(HasSubstr("no_such_library.so"), HasSubstr("ONNXRUNTIME_LIBRARY")));
  }
  {
    const SetEnvironment named("ONNXRUNTIME_LIBRARY", write("library.so", "not a library"));
    EXPECT_EQ(onnx_runtime().error().code, Errc::kUnsupported);
  }
  {
    const SetEnvironment named("ONNXRUNTIME_LIBRARY", "libc.so.6");  // a library, but another
    EXPECT_THAT(onnx_runtime().error().text(), HasSubstr("no ONNX Runtime"));
  }
  EXPECT_TRUE(onnx_runtime().has_value());
}

TEST(OnnxRuntime, IsNamedOrSaysWhatWouldHelp) {
  const auto runtime = onnx_runtime();
  if (runtime) {
    EXPECT_THAT(*runtime, StartsWith("ONNX Runtime 1."));
  } else {
    EXPECT_EQ(runtime.error().code, Errc::kUnsupported);
    EXPECT_THAT(runtime.error().text(), HasSubstr("fetch-onnxruntime"));
    EXPECT_EQ(open_onnx("model.onnx", {}).error().code, Errc::kUnsupported);
    EXPECT_EQ(inspect_onnx("model.onnx", {}).error().code, Errc::kUnsupported);
  }
}

}  // namespace
}  // namespace polythrottle
