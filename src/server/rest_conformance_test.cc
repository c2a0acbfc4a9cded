// Recorded exchanges: tests/conformance/rest/*.request are sent as they are, each to a server of its own, those with a number
// ("jobs-1-submit", "jobs-2-list") one after the other to the same. The .response beside it says what is answered: the status, headers that
// matter, an empty line, the body ("..." for any). UPDATE_GOLDEN=1 writes the responses anew; review the diff.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "server/fake_service.h"
#include "server/loopback_client.h"
#include "server/rest.h"
#include "server/rest_route.h"

namespace polythrottle::server {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

std::string recorded_form(const LoopbackAnswer& answer, bool any_body) {
  std::string out = std::to_string(answer.status) + "\n";
  for (const char* name : {"Content-Type", "Inference-Header-Content-Length", "Next-Offset", "WWW-Authenticate", "Connection"}) {
    if (!answer.header(name).empty()) out += std::string(name) + ": " + answer.header(name) + "\n";
  }
  return out + "\n" + (any_body ? "..." : answer.body);
}

/// "jobs" of "jobs-1-submit"; the whole name where it has no number.
std::string scene(const std::string& stem) {
  const std::size_t dash = stem.find('-');
  return dash != std::string::npos && dash + 1 < stem.size() && std::isdigit(static_cast<unsigned char>(stem[dash + 1]))
             ? stem.substr(0, dash)
             : stem;
}

TEST(RestConformance, AnswersAsRecordedOnEveryRoute) {
  std::map<std::string, std::set<fs::path>> scenes;
  for (const auto& file : fs::directory_iterator(POLYTHROTTLE_SOURCE_DIR "/tests/conformance/rest")) {
    if (file.path().extension() == ".request") scenes[scene(file.path().stem())].insert(file.path());
  }
  std::set<std::string> met;
  for (const auto& [name, requests] : scenes) {
    FakeService service(
        echo_model(name.starts_with("half") ? std::vector<std::string>{"FP16"} : std::vector<std::string>{"FP32", "BYTES"}));
    Rest rest(service, {});
    const auto server = *HttpServer::start(rest, {.port = 0}, {});
    for (fs::path path : requests) {
      const std::string request = read(path);
      LoopbackClient client(server->port());
      client.send(request);
      const auto answer = client.receive(request.starts_with("HEAD"));
      path.replace_extension(".response");
      const std::string expected = read(path);
      const std::string got = recorded_form(answer, expected.ends_with("\n\n..."));
      if (std::getenv("UPDATE_GOLDEN") != nullptr) {
        std::ofstream(path, std::ios::binary) << got;
      } else {
        EXPECT_EQ(got, expected) << path;
      }
    }
    for (const auto& route : rest.statistics()) met.insert(route.route);
  }
  for (const auto routes : {model_routes(), repository_routes(), job_routes(), watch_routes()}) {
    for (const RestRoute& route : routes) {
      EXPECT_TRUE(met.contains(std::string(route.method) + " " + std::string(route.path)))
          << "no exchange for " << route.method << " " << route.path;
    }
  }
}

}  // namespace
}  // namespace polythrottle::server
