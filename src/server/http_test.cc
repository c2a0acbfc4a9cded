#include "server/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "server/loopback_client.h"

namespace polythrottle::server {
namespace {

using testing::HasSubstr;

/// Answers with what it was asked; keeps the replies to /later for the test to answer.
class Echo : public HttpHandler {
 public:
  tl::expected<std::size_t, HttpResponse> admit(const HttpRequest& head) override {
    if (head.target == "/refused") return tl::unexpected(HttpResponse{.status = 403, .text = "refused"});
    return 1000000;
  }
  void handle(HttpRequest request, HttpReply reply) override {
    if (request.target == "/throws") throw std::runtime_error("a fault");
    if (request.target == "/forgets") return;
    if (request.target == "/tails") {
      std::vector<std::byte> tail(3, std::byte{'t'});
      return reply({.text = "head", .tails = {Bytes::of(tail), Bytes::of(tail)}});
    }
    if (request.target == "/later") {
      const std::lock_guard lock(mutex_);
      later_.push_back(reply);
      came_.notify_all();
      return;
    }
    reply({.type = "text/plain", .headers = {{"X-Method", request.method}}, .text = request.target + "|" + request.body});
  }
  HttpResponse broken(int status, std::string_view why) override { return {.status = status, .text = std::string(why)}; }

  HttpReply next_reply() {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [&] { return !later_.empty(); });
    HttpReply reply = later_.front();
    later_.pop_front();
    return reply;
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<HttpReply> later_;
};

struct Http : testing::Test {
  explicit Http(HttpLimits limits = {}) : server(*HttpServer::start(echo, {.port = 0}, limits)) {}
  LoopbackClient client() { return LoopbackClient(server->port()); }

  Echo echo;
  std::unique_ptr<HttpServer> server;
};

TEST_F(Http, AnswersManyRequestsOnOneConnection) {
  LoopbackClient c = client();
  for (int i = 0; i < 3; ++i) {
    const auto answer = c.ask(post("/a", "body" + std::to_string(i)));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "/a|body" + std::to_string(i));
    EXPECT_EQ(answer.header("X-Method"), "POST");
    EXPECT_EQ(answer.header("Content-Type"), "text/plain");
  }
}

TEST_F(Http, AnswersPipelinedRequestsInTheirOrder) {
  LoopbackClient c = client();
  c.send(post("/later", "") + get("/2") + post("/3", "x"));
  echo.next_reply()({.text = "1"});
  EXPECT_EQ(c.receive().body, "1");
  EXPECT_EQ(c.receive().body, "/2|");
  EXPECT_EQ(c.receive().body, "/3|x");
}

TEST_F(Http, TakesARequestThatComesByteByByte) {
  LoopbackClient c = client();
  for (const char byte : post("/slow", "abc")) c.send({&byte, 1});
  EXPECT_EQ(c.receive().body, "/slow|abc");
}

TEST_F(Http, TakesABodyInChunks) {
  const auto answer = client().ask("POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(answer.body, "/c|abcde");
}

TEST_F(Http, SendsTheTailsBehindTheText) { EXPECT_EQ(client().ask(get("/tails")).body, "headtttttt"); }

TEST_F(Http, AnswersHeadWithTheLengthAndNoBody) {
  LoopbackClient c = client();
  c.send("HEAD /tails HTTP/1.1\r\nHost: h\r\n\r\n");
  const auto answer = c.receive(true);
  EXPECT_EQ(answer.header("Content-Length"), "10");
  EXPECT_EQ(c.ask(get("/next")).body, "/next|");
}

TEST_F(Http, ClosesAfterTheAnswerToHttp10) {
  LoopbackClient c = client();
  EXPECT_EQ(c.ask("GET /old HTTP/1.0\r\n\r\n").body, "/old|");
  EXPECT_TRUE(c.ended());
}

TEST_F(Http, RefusesABodyByItsLengthBeforeItComes) {
  LoopbackClient c = client();
  const auto answer = c.ask("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000001\r\n\r\n");
  EXPECT_EQ(answer.status, 413);
  EXPECT_THAT(answer.body, HasSubstr("1000000 bytes"));
  EXPECT_EQ(answer.header("Connection"), "close");
}

TEST_F(Http, RefusesChunksThatGrowBeyondTheLimit) {
  LoopbackClient c = client();
  EXPECT_EQ(c.ask("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nF4241\r\n").status, 413);
}

TEST_F(Http, AnswersARefusalWithoutTheBody) {
  EXPECT_EQ(client().ask("POST /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n").status, 403);
}

TEST_F(Http, SaysToGoOnOnlyWhereTheBodyIsWanted) {
  LoopbackClient c = client();
  const std::string_view expects = " HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
  EXPECT_EQ(c.ask("POST /a" + std::string(expects)).status, 100);
  EXPECT_EQ(c.ask("xyz").body, "/a|xyz");
  EXPECT_EQ(c.ask("POST /refused" + std::string(expects)).status, 403);
}

struct HttpMalformed : Http, testing::WithParamInterface<const char*> {};
TEST_P(HttpMalformed, IsAnswered400AndClosed) {
  LoopbackClient c = client();
  EXPECT_EQ(c.ask(GetParam()).status, 400) << GetParam();
  c.end_of_sending();
  EXPECT_TRUE(c.ended());
  EXPECT_EQ(client().ask(get("/others")).status, 200);
}
INSTANTIATE_TEST_SUITE_P(Each, HttpMalformed,
                         testing::Values("\r\n\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
                                         "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 1e3\r\n\r\n",
                                         "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                                         "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                                         "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
                                         "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                                         "\x16\x03\x01\x02\x01\x01\r\n\r\n"));

TEST_F(Http, RefusesAHeaderWithoutEnd) {
  LoopbackClient c = client();
  c.send("GET / HTTP/1.1\r\nX: " + std::string(20000, 'x'));
  EXPECT_EQ(c.receive().status, 431);
}

TEST_F(Http, AnswersWhatTheHandlerThrowsOrForgets) {
  LoopbackClient c = client();
  EXPECT_EQ(c.ask(get("/throws")).status, 500);
  EXPECT_EQ(c.ask(get("/forgets")).status, 500);
  EXPECT_EQ(c.ask(get("/fine")).status, 200);
}

TEST_F(Http, OutlivesClientsThatVanish) {
  for (const char* half : {"", "G", "GET / HTTP/1.1\r\nHo", "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"}) {
    LoopbackClient c = client();
    c.send(half);
    c.vanish();
  }
  LoopbackClient waiting = client();
  waiting.send(get("/later"));
  const HttpReply reply = echo.next_reply();
  waiting.vanish();
  reply({.text = std::string(1 << 20, 'x')});
  EXPECT_EQ(client().ask(get("/others")).status, 200);
}

TEST_F(Http, CountsOnlyTheFirstAnswer) {
  LoopbackClient c = client();
  c.send(get("/later"));
  const HttpReply reply = echo.next_reply();
  reply({.text = "first"});
  reply({.text = "second"});
  EXPECT_EQ(c.receive().body, "first");
  EXPECT_EQ(c.ask(get("/next")).body, "/next|");
}

TEST_F(Http, LetsOwedAnswersOutWhenItStops) {
  LoopbackClient idle = client(), waiting = client();
  EXPECT_EQ(idle.ask(get("/a")).status, 200);
  waiting.send(get("/later"));
  HttpReply reply = echo.next_reply();
  std::thread stopping([&] { server->stop(Seconds(60)); });
  EXPECT_TRUE(idle.ended());
  reply({.text = "owed"});
  const auto answer = waiting.receive();
  EXPECT_EQ(answer.body, "owed");
  EXPECT_EQ(answer.header("Connection"), "close");
  waiting.vanish();
  stopping.join();
  EXPECT_FALSE(client().connected());
}

TEST_F(Http, StopsAlthoughAnAnswerIsStillOwed) {
  LoopbackClient c = client();
  c.send(get("/later"));
  HttpReply reply = echo.next_reply();
  server->stop(Seconds(0));
  EXPECT_TRUE(c.ended());
  server.reset();
  reply({.text = "too late"});
}

struct HttpImpatient : Http {
  HttpImpatient() : Http({.request = Seconds(0.05), .idle = Seconds(60)}) {}
};
TEST_F(HttpImpatient, HangsUpOnARequestThatDoesNotEnd) {
  LoopbackClient idle = client();
  for (const char* half : {"GET / HT", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"}) {
    LoopbackClient c = client();
    c.send(half);
    EXPECT_TRUE(c.ended());
  }
  EXPECT_EQ(idle.ask(get("/still")).status, 200);
}

struct HttpForgetful : Http {
  HttpForgetful() : Http({.idle = Seconds(0.05)}) {}
};
TEST_F(HttpForgetful, HangsUpOnAnIdleConnection) {
  LoopbackClient c = client();
  EXPECT_TRUE(c.ended());
}

struct HttpFull : Http {
  HttpFull() : Http({.connections = 1}) {}
};
TEST_F(HttpFull, TellsOneConnectionTooManyThatItIs) {
  LoopbackClient first = client();
  EXPECT_EQ(first.ask(get("/a")).status, 200);
  LoopbackClient second = client();
  EXPECT_EQ(second.receive().status, 503);
  EXPECT_EQ(first.ask(get("/b")).status, 200);
}

struct HttpCrowded : Http {
  HttpCrowded() : Http({.body_bytes = 1000}) {}
};
TEST_F(HttpCrowded, HoldsNoMoreBodiesAtOnceThanItHasRoomFor) {
  LoopbackClient first = client();
  first.send(post("/later", std::string(900, 'x')));
  HttpReply reply = echo.next_reply();
  EXPECT_EQ(client().ask(post("/a", std::string(101, 'x'))).status, 503);
  EXPECT_EQ(client().ask(post("/a", std::string(100, 'x'))).status, 200);
  reply({.text = "done"});
  EXPECT_EQ(first.receive().status, 200);
  EXPECT_EQ(first.ask(post("/a", std::string(900, 'x'))).status, 200);
}
TEST_F(HttpCrowded, TakesOneThatIsAloneHoweverLarge) { EXPECT_EQ(client().ask(post("/a", std::string(5000, 'x'))).status, 200); }

struct HttpThreads : Http {
  HttpThreads() : Http({.threads = 3}) {}
};
TEST_F(HttpThreads, AnswersManyClientsAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      LoopbackClient c = client();
      for (int k = 0; k < 50; ++k) {
        const std::string body = std::to_string(1000 * i + k);
        EXPECT_EQ(c.ask(post("/x", body)).body, "/x|" + body);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

struct HttpUnix : testing::Test {
  HttpUnix() { std::filesystem::remove(path); }
  ~HttpUnix() override { std::filesystem::remove(path); }
  const std::string path = testing::TempDir() + "http_test_" + std::to_string(getpid()) + ".sock";
  Echo echo;
};

TEST_F(HttpUnix, ServesOnlyItsUserAndCleansUp) {
  {
    const auto server = *HttpServer::start(echo, {.unix_socket = path}, {});
    EXPECT_EQ(server->port(), 0);
    struct stat found {};
    ASSERT_EQ(stat(path.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777u, 0600u);
    EXPECT_EQ(LoopbackClient(path).ask(get("/u")).body, "/u|");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(HttpUnix, ReplacesASocketThatNobodyListensOn) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(fd);
  const auto server = *HttpServer::start(echo, {.unix_socket = path}, {});
  EXPECT_EQ(LoopbackClient(path).ask(get("/u")).status, 200);
}

TEST_F(HttpUnix, RefusesASocketInUseAndAFile) {
  {
    const auto server = *HttpServer::start(echo, {.unix_socket = path}, {});
    const auto second = HttpServer::start(echo, {.unix_socket = path}, {});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::kBusy);
    EXPECT_EQ(LoopbackClient(path).ask(get("/u")).status, 200);
  }
  std::ofstream(path) << "precious";
  const auto third = HttpServer::start(echo, {.unix_socket = path}, {});
  ASSERT_FALSE(third);
  EXPECT_THAT(third.error().what, HasSubstr("no socket"));
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(Http, SaysWhyItCannotListen) {
  const auto in_use = HttpServer::start(echo, {.port = server->port()}, {});
  ASSERT_FALSE(in_use);
  EXPECT_EQ(in_use.error().code, Errc::kBusy);
  EXPECT_EQ(in_use.error().what, "listen on 127.0.0.1:" + std::to_string(server->port()) + ": in use");
  EXPECT_EQ(HttpServer::start(echo, {.host = "example.org", .port = 0}, {}).error().code, Errc::kInvalid);
  EXPECT_EQ(HttpServer::start(echo, {.host = "192.0.2.1", .port = 0}, {}).error().code, Errc::kNotFound);
  EXPECT_EQ(HttpServer::start(echo, {}, {}).error().code, Errc::kInvalid);
}

}  // namespace
}  // namespace polythrottle::server
