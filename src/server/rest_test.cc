// The REST front end over real sockets. What is said on every route stands in rest_conformance_test.cc.
#include "server/rest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "server/fake_service.h"
#include "server/loopback_client.h"

namespace polythrottle::server {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::string kBody = R"({"inputs":[{"name":"a0","shape":[1,2],"datatype":"FP32","data":[1,2]}]})";
const std::string kInfer = "/v2/models/fake/infer";

struct RestTest : testing::Test {
  void start(RestOptions options = {}) {
    rest.emplace(service, std::move(options));
    server = *HttpServer::start(*rest, {.port = 0}, {});
  }
  LoopbackAnswer ask(const std::string& bytes) { return LoopbackClient(server->port()).ask(bytes); }
  static std::string error(const LoopbackAnswer& answer) {
    const auto body = nlohmann::json::parse(answer.body, nullptr, false);
    return body.is_object() ? body.value("error", "") : "no JSON: " + answer.body;
  }

  FakeService service;
  std::optional<Rest> rest;
  std::unique_ptr<HttpServer> server;
};

TEST_F(RestTest, AnswersFromAnotherThread) {
  service.on_another_thread = true;
  start();
  LoopbackClient c(server->port());
  for (int i = 0; i < 20; ++i) EXPECT_THAT(c.ask(post(kInfer, kBody)).body, HasSubstr("\"data\":[1.0,2.0]"));
}

TEST_F(RestTest, AnswersPipelinedInferencesInTheirOrder) {
  service.on_another_thread = true;
  start();
  LoopbackClient c(server->port());
  std::string all;
  for (int i = 0; i < 5; ++i) all += post(kInfer, R"({"id":")" + std::to_string(i) + R"(",)" + kBody.substr(1));
  c.send(all);
  for (int i = 0; i < 5; ++i) EXPECT_THAT(c.receive().body, HasSubstr("\"id\":\"" + std::to_string(i) + "\""));
}

TEST_F(RestTest, HandsTheTimeoutAndTheWantedOutputsOn) {
  start();
  ask(post(kInfer, R"({"parameters":{"timeout":2000},"outputs":[{"name":"b0"}],)" + kBody.substr(1)));
  ASSERT_EQ(service.asked.size(), 1u);
  EXPECT_DOUBLE_EQ(service.asked[0].timeout->count(), 2e-3);
  EXPECT_EQ(service.asked[0].outputs, std::vector<std::string>{"b0"});
}

TEST_F(RestTest, TurnsEveryRefusalIntoItsStatus) {
  start();
  for (const auto refusal : {Refusal::kInvalid, Refusal::kNotFound, Refusal::kDropped, Refusal::kNotReady, Refusal::kTooLarge,
                             Refusal::kUnsupported, Refusal::kConflict, Refusal::kUpstream, Refusal::kInternal}) {
    service.on_infer = [&](const InferRequest&) -> InferResult {
      return tl::unexpected(Failure{refusal, Error{Errc::kTimeout, "what", "hint"}});
    };
    const auto answer = ask(post(kInfer, kBody));
    EXPECT_EQ(answer.status, status_of(refusal).http);
    EXPECT_EQ(answer.body, R"({"error":"what; hint"})");
  }
}

TEST_F(RestTest, RefusesBodiesByTheModelsSize) {
  start();
  const auto head = [](const std::string& target, std::size_t size, const std::string& more = "") {
    return "POST " + target + " HTTP/1.1\r\nHost: localhost\r\n" + more + "Content-Length: " + std::to_string(size) + "\r\n\r\n";
  };
  constexpr std::size_t kMiB = 1 << 20;
  EXPECT_EQ(ask(head(kInfer, kMiB + 8001)).status, 413);
  EXPECT_EQ(ask(head(kInfer, kMiB + 9001, "Inference-Header-Content-Length: 10\r\n")).status, 413);
  EXPECT_EQ(ask(head("/v1/jobs", kMiB + 1)).status, 413);
  EXPECT_EQ(ask("GET /v2 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n").status, 413);
}

TEST_F(RestTest, SaysThatAModelIsNotReadyOrNotThere) {
  start();
  EXPECT_EQ(error(ask(get("/v2/models/other"))), "there is no model 'other'; loaded: fake version 1");
  EXPECT_EQ(error(ask(get("/v2/models/fake/versions/2"))), "there is no model 'fake' version '2'; loaded: fake version 1");
  EXPECT_EQ(ask(post("/v2/repository/models/fake/unload", "")).status, 200);
  const auto answer = ask(post(kInfer, kBody));
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(error(answer), "model 'fake' is not ready: unloaded");
  EXPECT_EQ(ask(post("/v2/repository/models/fake/load", R"({"parameters":{"path":"fake.onnx"}})")).status, 200);
  EXPECT_EQ(ask(post(kInfer, kBody)).status, 200);
}

TEST_F(RestTest, RefusesEncodingsAndLengthsItDoesNotKnow) {
  start();
  EXPECT_EQ(ask(post(kInfer, kBody, "Content-Encoding: gzip\r\n")).status, 501);
  EXPECT_THAT(error(ask(post(kInfer, kBody, "Inference-Header-Content-Length: ten\r\n"))), HasSubstr("'ten' is no number"));
}

TEST_F(RestTest, WantsTheTokenForAllButHealthAndThePage) {
  const std::string path = testing::TempDir() + "rest_token_" + std::to_string(getpid());
  std::filesystem::remove(path);
  std::ofstream(path) << "0123456789abcdef";
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  start({.token = *Token::read(path)});
  std::filesystem::remove(path);
  for (const char* open : {"/", "/v2/health/live", "/v2/health/ready"}) EXPECT_EQ(ask(get(open)).status, 200) << open;
  for (const char* guarded :
       {"/v2", "/v2/models/fake", "/v2/models/fake/ready", "/metrics", "/v1/snapshot", "/v1/jobs", "/v2/models/stats"}) {
    const auto answer = ask(get(guarded));
    EXPECT_EQ(answer.status, 401) << guarded;
    EXPECT_EQ(answer.header("WWW-Authenticate"), "Bearer");
    EXPECT_EQ(ask(get(guarded, "Authorization: Bearer 0123456789abcdeX\r\n")).status, 401) << guarded;
    EXPECT_EQ(ask(get(guarded, "Authorization: Bearer 0123456789abcdef\r\n")).status, 200) << guarded;
  }
  // Before the body comes.
  EXPECT_EQ(ask("POST " + kInfer + " HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n").status, 401);
}

TEST_F(RestTest, KeepsWebPagesFromAskingThroughABrowser) {
  start();
  EXPECT_EQ(ask("GET /v2 HTTP/1.1\r\nHost: evil.example:80\r\n\r\n").status, 400);
  EXPECT_EQ(ask(post("/v1/jobs", R"({"command":["id"]})", "Origin: http://evil.example\r\n")).status, 400);
  EXPECT_TRUE(service.jobs().empty());
  for (const char* own : {"127.0.0.1:8000", "[::1]:8000", "localhost:8000", "192.168.1.2"}) {
    EXPECT_EQ(ask("POST " + kInfer + " HTTP/1.1\r\nHost: " + own + "\r\nOrigin: http://" + own +
                  "\r\nContent-Length: " + std::to_string(kBody.size()) + "\r\n\r\n" + kBody)
                  .status,
              200)
        << own;
  }
}

TEST_F(RestTest, TakesAnyHostWhereToldSo) {
  start({.any_host = true});
  EXPECT_EQ(ask("GET /v2 HTTP/1.1\r\nHost: box.example\r\n\r\n").status, 200);
}

TEST_F(RestTest, AnswersWhatTheServiceThrows) {
  service.on_infer = [](const InferRequest&) -> InferResult { throw std::bad_alloc(); };
  start();
  EXPECT_EQ(ask(post(kInfer, kBody)).status, 500);
  EXPECT_EQ(ask(get("/v2")).status, 200);
}

TEST_F(RestTest, CountsAndTimesEveryRoute) {
  start();
  for (int i = 0; i < 3; ++i) ask(post(kInfer, kBody));
  ask(post(kInfer, "{"));
  ask(get("/nowhere"));
  ask("no HTTP\r\n\r\n");
  const auto routes = rest->statistics();
  const auto found = std::find_if(routes.begin(), routes.end(), [](const auto& r) { return r.route == "POST v2/models/{}/infer"; });
  ASSERT_NE(found, routes.end());
  EXPECT_EQ(found->answers, (std::map<int, std::uint64_t>{{200, 3}, {400, 1}}));
  EXPECT_EQ(found->seconds.total, 4u);
  const std::string text = ask(get("/metrics")).body;
  EXPECT_THAT(text, HasSubstr("polythrottle_http_requests_total{route=\"POST v2/models/{}/infer\",status=\"200\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("polythrottle_http_requests_total{route=\"\",status=\"404\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("polythrottle_http_requests_total{route=\"\",status=\"400\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("polythrottle_http_request_seconds_bucket{route=\"POST v2/models/{}/infer\",le=\"+Inf\"} 4\n"));
}

TEST_F(RestTest, StopsWhileInferencesRunAndLetsThemOut) {
  service.on_another_thread = true;
  start();
  std::vector<LoopbackClient> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back(server->port());
    clients.back().send(post(kInfer, kBody));
  }
  for (auto& client : clients) EXPECT_EQ(client.receive().status, 200);
  clients.clear();
  server->stop(Seconds(30));
}

}  // namespace
}  // namespace polythrottle::server
