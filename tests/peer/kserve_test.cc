// The gateway in front of a server of others.

#include "engine/kserve.h"

#include <gmock/gmock.h>

#include <csignal>
#include <cstring>
#include <thread>

#include "e2e/process.h"
#include "peer/python.h"

namespace polythrottle::peer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Tensor floats(std::string name, std::vector<float> values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {std::move(name), DataType::kFloat32, {static_cast<std::int64_t>(values.size() / 3), 3}, Bytes::of({bytes.begin(), bytes.end()})};
}
std::vector<float> values(const Tensor& tensor) {
  std::vector<float> out(tensor.bytes.view.size() / sizeof(float));
  std::memcpy(out.data(), tensor.bytes.view.data(), tensor.bytes.view.size());
  return out;
}

struct Server {
  explicit Server(const std::string& flag = "--binary") : process({kPython, POLYTHROTTLE_SOURCE_DIR "/tests/peer/oip_server.py", flag}) {
    url = "http://127.0.0.1:" + process.line();
  }
  e2e::Process process;
  std::string url;
};

Result<std::vector<std::vector<Tensor>>> add(Backend& backend) {
  const std::vector<Tensor> inputs{floats("A", {1, 2, 3}), floats("B", {10, 20, 30})};
  const Slice slice{inputs};
  return backend.run({&slice, 1});
}

class Gateway : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { SKIP_WITHOUT_PYTHON("numpy"); }
};

TEST_P(Gateway, KnowsTheModel) {
  const Server server(GetParam());
  const auto backend = open_kserve({.url = server.url, .model = "add"});
  ASSERT_TRUE(backend) << backend.error().text();
  const auto& model = (*backend)->model();
  EXPECT_TRUE(batchable(model));
  EXPECT_THAT(model.runtime, HasSubstr("peer 1 at " + server.url));
  ASSERT_EQ(model.inputs.size(), 2U);
  EXPECT_EQ(model.inputs[1].name, "B");
  EXPECT_EQ(model.inputs[1].type, "float32");
  EXPECT_THAT(model.inputs[1].shape, ElementsAre(-1, 3));
  EXPECT_THAT(model.inputs[1].dimensions, ElementsAre("B[0]", ""));
}

TEST_P(Gateway, JoinsSlicesAndSplitsOutputs) {
  const Server server(GetParam());
  const auto backend = open_kserve({.url = server.url, .model = "add"});
  ASSERT_TRUE(backend) << backend.error().text();
  const std::vector<Tensor> one{floats("A", {1, 2, 3}), floats("B", {10, 20, 30})};
  const std::vector<Tensor> two{floats("A", {1, 1, 1, 2, 2, 2}), floats("B", {5, 6, 7, 8, 9, 10})};
  const Slice slices[] = {{one}, {two}};
  const auto answers = (*backend)->run(slices);
  ASSERT_TRUE(answers) << answers.error().text();
  EXPECT_THAT(values((*answers)[0][0]), ElementsAre(11, 22, 33));
  EXPECT_THAT(values((*answers)[1][0]), ElementsAre(6, 7, 8, 10, 11, 12));
  EXPECT_THAT((*answers)[1][0].shape, ElementsAre(2, 3));
}

TEST_P(Gateway, EveryDataTypeComesBackAsItWent) {
  const Server server(GetParam());
  const auto backend = open_kserve({.url = server.url, .model = "types"});
  ASSERT_TRUE(backend) << backend.error().text();
  std::vector<Tensor> inputs;
  for (const auto& info : (*backend)->model().inputs) {
    const auto& row = *find_data_type(info.type);
    std::vector<std::byte> bytes(2 * row.size, std::byte{1});
    if (row.size == 0) bytes = {std::byte{2}, {}, {}, {}, std::byte{'a'}, std::byte{'b'}, {}, {}, {}, {}};
    inputs.push_back({info.name, row.type, {1, 2}, Bytes::of(std::move(bytes))});
  }
  const Slice slice{inputs};
  const auto answers = (*backend)->run({&slice, 1});
  ASSERT_TRUE(answers) << answers.error().text();
  ASSERT_EQ((*answers)[0].size(), inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto& output = (*answers)[0][i];
    EXPECT_EQ(output.name, "out_" + inputs[i].name.substr(3));
    EXPECT_EQ(output.type, inputs[i].type);
    EXPECT_TRUE(std::equal(output.bytes.view.begin(), output.bytes.view.end(), inputs[i].bytes.view.begin(), inputs[i].bytes.view.end()))
        << output.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Peer, Gateway, testing::Values("--binary", "--json-only"),
                         [](const auto& flag) { return flag.param == std::string("--binary") ? "binary" : "json"; });

class GatewayFaults : public testing::Test {
 protected:
  void SetUp() override { SKIP_WITHOUT_PYTHON("numpy"); }
};

TEST_F(GatewayFaults, EachSaysWhatHappened) {
  const Server server;
  const struct {
    const char* model;
    Errc code;
    const char* words;
  } cases[] = {{"dying", Errc::kIo, "read from http://127.0.0.1:"},
               {"refusing", Errc::kInvalid, "shape is wrong (HTTP 400)"},
               {"busy", Errc::kIo, "too much to do (HTTP 503)"},
               {"garbage", Errc::kCorrupt, "the answer is no JSON object"},
               {"slow", Errc::kTimeout, "no answer within 0.3 s"}};
  for (const auto& one : cases) {
    const auto backend = open_kserve({.url = server.url, .model = one.model, .timeout = Seconds(one.code == Errc::kTimeout ? 0.3 : 30.0)});
    ASSERT_TRUE(backend) << backend.error().text();
    const auto answers = add(**backend);
    ASSERT_FALSE(answers) << one.model;
    EXPECT_EQ(answers.error().code, one.code) << answers.error().text();
    EXPECT_THAT(answers.error().text(), HasSubstr(one.words));
  }
}

TEST_F(GatewayFaults, AnOutputWithoutTheBatchIsNotSplit) {
  const Server server;
  const auto backend = open_kserve({.url = server.url, .model = "short"});
  ASSERT_TRUE(backend);
  const std::vector<Tensor> inputs{floats("A", {1, 2, 3}), floats("B", {10, 20, 30})};
  const Slice slices[] = {{inputs}, {inputs}};
  const auto answers = (*backend)->run(slices);
  ASSERT_FALSE(answers);
  EXPECT_THAT(answers.error().text(), HasSubstr("does not have the batch of 2"));
}

TEST_F(GatewayFaults, AnAnswerThatIsTooLongIsNotKept) {
  const Server server;
  const auto backend = open_kserve({.url = server.url, .model = "add", .largest_answer = 600});
  ASSERT_TRUE(backend) << backend.error().text();
  std::vector<float> many(300, 1.0F);
  const std::vector<Tensor> inputs{floats("A", many), floats("B", many)};
  const Slice slice{inputs};
  const auto answers = (*backend)->run({&slice, 1});
  ASSERT_FALSE(answers);
  EXPECT_EQ(answers.error().code, Errc::kIo);
  EXPECT_THAT(answers.error().text(), HasSubstr("body limit"));
}

TEST_F(GatewayFaults, AConnectionThatWasClosedMeanwhileIsMadeAnew) {
  const Server server;
  const auto backend = open_kserve({.url = server.url, .model = "once"});
  ASSERT_TRUE(backend);
  for (int i = 0; i < 5; ++i) {
    const auto answers = add(**backend);
    ASSERT_TRUE(answers) << answers.error().text();
    EXPECT_THAT(values((*answers)[0][0]), ElementsAre(11, 22, 33));
  }
}

TEST_F(GatewayFaults, SeveralThreadsHaveTheirOwnAnswers) {
  const Server server;
  const auto backend = open_kserve({.url = server.url, .model = "add"});
  ASSERT_TRUE(backend);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const auto number = static_cast<float>(t);
      const std::vector<Tensor> inputs{floats("A", {number, 0, 0}), floats("B", {0, number, 0})};
      const Slice slice{inputs};
      for (int i = 0; i < 20; ++i) {
        const auto answers = (*backend)->run({&slice, 1});
        ASSERT_TRUE(answers) << answers.error().text();
        EXPECT_THAT(values((*answers)[0][0]), ElementsAre(number, number, 0));
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST_F(GatewayFaults, AnUpstreamThatDiedIsSaid) {
  Server server;
  const auto backend = open_kserve({.url = server.url, .model = "add"});
  ASSERT_TRUE(backend);
  ASSERT_TRUE(add(**backend));
  server.process.kill(SIGKILL);
  const auto answers = add(**backend);
  ASSERT_FALSE(answers);
  EXPECT_EQ(answers.error().code, Errc::kIo);
  EXPECT_THAT(answers.error().text(), HasSubstr("connect to " + server.url + ": Connection refused"));
}

TEST_F(GatewayFaults, AModelThatIsNotThereAndWhatIsNoUrlAreSaid) {
  const Server server;
  const auto none = open_kserve({.url = server.url, .model = "nothing"});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Errc::kNotFound);
  EXPECT_THAT(none.error().text(), HasSubstr("unknown model nothing (HTTP 404)"));
  for (const std::string url : {"", "127.0.0.1:80", "https://127.0.0.1", "http://", "http://:80", "http://h:0", "http://h:x",
                                "http://h:70000", "http://a b", "http://h\r\nX: y"}) {
    const auto bad = open_kserve({.url = url, .model = "add"});
    ASSERT_FALSE(bad) << url;
    EXPECT_EQ(bad.error().code, Errc::kInvalid) << url << ": " << bad.error().text();
  }
  for (const std::string model : {"", "a/b", "a b", "a\r\nX: y", "a?b"}) {
    const auto bad = open_kserve({.url = server.url, .model = model});
    ASSERT_FALSE(bad) << model;
    EXPECT_EQ(bad.error().code, Errc::kInvalid) << bad.error().text();
  }
}

}  // namespace
}  // namespace polythrottle::peer
