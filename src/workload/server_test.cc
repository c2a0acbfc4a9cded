#include "workload/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace polythrottle {
namespace {

using testing::HasSubstr;

/// Answers every POST on loopback with the status that `status` says for the request of that number, once it may.
class FakeServer {
 public:
  explicit FakeServer(std::function<int(std::size_t)> status = [](std::size_t) { return 200; }) : status_(std::move(status)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof at;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&at), length) != 0 || ::listen(listener_, 512) != 0) std::abort();
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &length);
    url_.host = "127.0.0.1";
    url_.port = ntohs(at.sin_port);
    acceptor_ = std::jthread([this](const std::stop_token& stop) { accept(stop); });
  }
  ~FakeServer() {
    hold(false);
    acceptor_.request_stop();
    acceptor_.join();
    for (auto& each : connections_) each.request_stop();
    connections_.clear();
    ::close(listener_);
  }

  HttpUrl url() const { return url_; }
  /// While held, requests come in and none is answered.
  void hold(bool held) {
    const std::lock_guard lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }
  std::size_t requests() const { return requests_; }
  /// From now on `requests` counts only those on connections that are not made yet: others may still be on their way.
  void count_new_connections_only() {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(url_.port);
    char answer = 0;
    const bool told = ::connect(socket, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0 &&
                      ::send(socket, kMark.data(), kMark.size(), MSG_NOSIGNAL) > 0 && ::recv(socket, &answer, 1, 0) == 1;
    ::close(socket);
    if (!told) std::abort();
  }

 private:
  static constexpr std::string_view kMark = "MARK\r\n\r\n{}";

  static bool readable(int socket) {
    pollfd wait{socket, POLLIN, 0};
    return ::poll(&wait, 1, 20) > 0;
  }
  void accept(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (!readable(listener_)) continue;
      const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (socket >= 0)
        connections_.emplace_back([this, socket, number = connections_.size()](const std::stop_token& end) { serve(socket, number, end); });
    }
  }
  void serve(int socket, std::size_t number, const std::stop_token& stop) {
    std::string seen;
    while (!stop.stop_requested()) {
      if (!readable(socket)) continue;
      char bytes[4096];
      const auto got = ::recv(socket, bytes, sizeof bytes, 0);
      if (got <= 0) break;
      seen.append(bytes, static_cast<std::size_t>(got));
      if (!seen.ends_with("\r\n\r\n{}")) continue;
      if (seen == kMark) {  // connections are accepted in the order in which they were made
        {
          const std::lock_guard lock(mutex_);
          counted_from_ = number + 1;
          requests_ = 0;
        }
        if (::send(socket, "!", 1, MSG_NOSIGNAL) < 0) break;
        continue;
      }
      seen.clear();
      int status = 200;
      {
        std::unique_lock lock(mutex_);
        if (number >= counted_from_) status = status_(requests_++);
        changed_.wait(lock, [this] { return !held_; });
      }
      const std::string answer = "HTTP/1.1 " + std::to_string(status) + " x\r\nContent-Length: 2\r\n\r\n{}";
      if (::send(socket, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) break;
    }
    ::close(socket);
  }

  std::function<int(std::size_t)> status_;
  HttpUrl url_;
  int listener_ = -1;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  std::size_t counted_from_ = 0;
  std::atomic<std::size_t> requests_{0};
  std::vector<std::jthread> connections_;  // of the acceptor's thread, until that has ended
  std::jthread acceptor_;
};

ServerLoad load_on(const FakeServer& server, double rate) {
  return {.load = {.server = server.url(),
                   .model = "m",
                   .payloads = {{.body = "{}"}},
                   .arrivals = Arrivals::uniform(rate).value(),
                   .connections = 256,
                   .patience = Seconds(10)}};
}

Budget budget() {
  Budget out;
  out.at_least = Seconds(0.2);
  out.at_most = Seconds(20);
  out.samples = 40;
  return out;
}

TEST(ServerWorkload, CountsWhatIsAnswered) {
  FakeServer server;
  const auto clock = real_clock();
  const auto work = server_workload(*clock, load_on(server, 200));
  EXPECT_TRUE(work->parameters().empty());
  ASSERT_TRUE(work->configure({}).has_value());
  ASSERT_TRUE(work->warm_up({}).has_value());
  const std::size_t before = server.requests();
  const auto did = work->run(budget(), {});
  ASSERT_TRUE(did.has_value()) << did.error().text();
  EXPECT_GE(did->inferences, 40U);
  EXPECT_EQ(did->inferences, did->completions.size());
  // No request is sent that does not count, and none counts twice; one may come due as the window closes.
  EXPECT_NEAR(static_cast<double>(server.requests() - before), static_cast<double>(did->inferences), 1.0);
  EXPECT_FALSE(did->saturated || did->cut_short);
  EXPECT_TRUE(did->notes.empty());
}

TEST(ServerWorkload, WhatIsDroppedOrFailsIsLateAndNoInference) {
  FakeServer server([](std::size_t i) { return i % 4 == 1 ? 503 : i % 4 == 3 ? 500 : 200; });
  const auto clock = real_clock();
  const auto work = server_workload(*clock, load_on(server, 200));
  ASSERT_TRUE(work->warm_up({}).has_value());
  const auto did = work->run(budget(), {});
  ASSERT_TRUE(did.has_value()) << did.error().text();
  std::size_t late = 0;
  for (const auto& each : did->completions) {
    EXPECT_EQ(each.inferences == 0, each.latency >= Seconds(10));
    late += each.inferences == 0;
  }
  EXPECT_EQ(did->inferences + late, did->completions.size());
  EXPECT_NEAR(static_cast<double>(late), static_cast<double>(did->inferences), 2.0);
  ASSERT_EQ(did->notes.size(), 1U);
  EXPECT_THAT(did->notes[0], HasSubstr("were dropped or failed"));
}

TEST(ServerWorkload, ALimitBrokenBeyondDoubtEndsTheWindow) {
  FakeServer server([](std::size_t i) { return i < 60 ? 200 : 503; });
  const auto clock = real_clock();
  auto load = load_on(server, 200);
  load.longest_warm_up = Seconds(0.1);
  const auto work = server_workload(*clock, std::move(load));
  ASSERT_TRUE(work->warm_up({}).has_value());
  Budget wanted = budget();
  wanted.samples = 100'000;
  wanted.limit = Seconds(5);
  wanted.quantile = 0.9;
  const auto did = work->run(wanted, {});
  ASSERT_TRUE(did.has_value()) << did.error().text();
  EXPECT_TRUE(did->cut_short);
  EXPECT_LT(did->completions.size(), wanted.samples);
}

TEST(ServerWorkload, AServerThatFallsBehindIsThroughWithItBeforeTheNextTrial) {
  FakeServer server;
  const auto clock = real_clock();
  const auto work = server_workload(*clock, load_on(server, 100));
  ASSERT_TRUE(work->warm_up({}).has_value());
  server.hold(true);
  const auto did = work->run(budget(), {});
  ASSERT_TRUE(did.has_value()) << did.error().text();
  EXPECT_TRUE(did->saturated);
  EXPECT_EQ(did->inferences, 0U);
  EXPECT_GT(did->completions.size(), 200U);
  ASSERT_EQ(did->notes.size(), 1U);
  EXPECT_THAT(did->notes[0], HasSubstr("cannot keep up with 100 requests per second"));
  server.hold(false);
  ASSERT_TRUE(work->warm_up({}).has_value());
  const auto again = work->run(budget(), {});
  ASSERT_TRUE(again.has_value()) << again.error().text();
  EXPECT_FALSE(again->saturated);
}

TEST(ServerWorkload, AWarmUpThatFallsBehindIsWaitedForToo) {
  FakeServer server;
  const auto clock = real_clock();
  const auto work = server_workload(*clock, load_on(server, 100));
  server.hold(true);
  ASSERT_FALSE(work->warm_up({}).has_value());
  server.count_new_connections_only();
  // One request a second until one is answered: the second comes no earlier, where a load would send it at once.
  const auto began = clock->now();
  Clock::TimePoint second;
  std::jthread release([&] {
    while (server.requests() < 2) std::this_thread::yield();
    second = clock->now();
    server.hold(false);
  });
  ASSERT_TRUE(work->warm_up({}).has_value());
  release.join();
  EXPECT_GE((second - began).count(), 0.9);
}

TEST(ServerWorkload, NobodyThereIsAnError) {
  HttpUrl nowhere;
  {
    const FakeServer gone;
    nowhere = gone.url();
  }
  const FakeServer server;
  const auto clock = real_clock();
  auto load = load_on(server, 200);
  load.load.server = nowhere;
  const auto work = server_workload(*clock, std::move(load));
  const auto warmed = work->warm_up({});
  ASSERT_FALSE(warmed.has_value());
  EXPECT_EQ(warmed.error().code, Errc::kIo);
  EXPECT_THAT(warmed.error().what, HasSubstr("nothing was answered: connect"));
  EXPECT_FALSE(work->run(budget(), {}).has_value());
}

TEST(ServerWorkload, AStopEndsIt) {
  FakeServer server;
  const auto clock = real_clock();
  const auto work = server_workload(*clock, load_on(server, 50));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(work->warm_up(stop.get_token()).has_value());
  EXPECT_TRUE(work->run(budget(), stop.get_token()).has_value());
}

}  // namespace
}  // namespace polythrottle
