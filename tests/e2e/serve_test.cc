// `polythrottle serve` as its users meet it: under load, with jobs beside, killed, and started with the wrong words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "cli/http_client.h"
#include "e2e/process.h"
#include "e2e/program.h"

namespace polythrottle::e2e {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

constexpr std::chrono::seconds kPatience{60};

const std::string kModels = POLYTHROTTLE_BINARY_DIR "/tests/models";

#define SKIP_WITHOUT_MODELS() \
  if (!fs::exists(kModels + "/mlp.onnx")) GTEST_SKIP() << "protoc or onnx.proto is not installed: no test models"

/// Until `holds`; false where it does not within a minute.
template <class Condition>
bool soon(Condition holds) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

/// A server on ports of its own, with its log as objects.
class Serving {
 public:
  explicit Serving(const std::vector<std::string>& more, const std::string& model = kModels + "/mlp.onnx") : process_(words(more, model)) {
    for (std::string line = process_.error_line(); !line.empty(); line = process_.error_line()) {
      const json event = json::parse(line, nullptr, false);
      if (!event.is_object()) {
        trouble_ = line;
        break;
      }
      log_.push_back(event);
      if (event["event"] == "serving") {
        url_ = event["at"];
        break;
      }
    }
  }
  const std::string& url() const { return url_; }
  const std::string& trouble() const { return trouble_; }
  Process& process() { return process_; }

  /// Ends it and answers with the last line of its log.
  json end(int signal, int* exit_code) {
    process_.send(signal);
    const std::string rest = process_.errors();
    *exit_code = process_.wait();
    json last;
    std::istringstream lines(rest);
    for (std::string line; std::getline(lines, line);) {
      const json event = json::parse(line, nullptr, false);
      if (event.is_object()) last = event;
    }
    return last;
  }

  HttpAnswer ask(const std::string& method, const std::string& target, const std::string& body = {}) const {
    const auto client = HttpClient::at(url_, "", Seconds(60));
    const auto answer = client ? (*client)->ask(method, target, body) : Result<HttpAnswer>(HttpAnswer{});
    return answer ? *answer : HttpAnswer{.status = 0, .body = answer.error().text(), .next_offset = {}};
  }
  /// Requests it has answered.
  double answered() const {
    const std::string metrics = ask("GET", "/metrics").body, name = "\npolythrottle_requests_answered_total";
    const auto at = metrics.find(name);
    return at == std::string::npos ? 0.0 : std::stod(metrics.substr(metrics.find(' ', at)));
  }

  Ran job(std::vector<std::string> words) const {
    words.insert(words.begin(), {"job", "--server", url_});
    return run(words);
  }
  json jobs() const { return json::parse(job({"list", "--json"}).out, nullptr, false); }
  std::string state(int id) const {
    const json all = jobs();
    for (const auto& each : all["jobs"]) {
      if (each["id"] == id) return each["state"];
    }
    return "";
  }

 private:
  static std::vector<std::string> words(const std::vector<std::string>& more, const std::string& model) {
    auto out = program_under_test();
    out.insert(out.end(), {"serve", model, "--slo", "2s", "--http", "127.0.0.1:0", "--grpc", "none", "--no-meters", "--log", "json"});
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }
  Process process_;
  std::string url_, trouble_;
  std::vector<json> log_;
};

std::string folder_of(const std::string& name) {
  const std::string path = scratch("jobs-of-" + std::to_string(getpid())) + "-" + name;
  fs::remove_all(path);
  return path;
}

std::vector<std::string> load_words(const Serving& server, const std::string& duration, const std::string& results) {
  auto words = program_under_test();
  words.insert(words.end(),
               {"load", "--target", server.url(), "--model", "mlp", "--rate", "300", "--duration", duration, "--quiet", "--json", results});
  return words;
}

TEST(Serve, LosesNoAnswerWhenItIsToldToEndUnderLoad) {
  SKIP_WITHOUT_MODELS();
  Serving server({});
  ASSERT_FALSE(server.url().empty()) << server.trouble();
  const std::string results = scratch("serve-load.json");
  Process load(load_words(server, "4s", results));
  ASSERT_TRUE(soon([&] { return server.answered() > 100; }));
  int exit_code = -1;
  const json last = server.end(SIGTERM, &exit_code);
  EXPECT_EQ(exit_code, 0);
  load.wait();
  ASSERT_EQ(last.value("event", ""), "stopped") << last.dump();
  const json seen = json::parse(read(results), nullptr, false);
  ASSERT_TRUE(seen.is_object()) << read(results);
  // Whatever the server says it answered has arrived.
  EXPECT_GT(seen["answered"].get<int>(), 100);
  EXPECT_EQ(std::to_string(seen["answered"].get<int>()), last["answered"].get<std::string>()) << seen.dump(2);
}

TEST(Serve, SwapsTheModelWithoutAFailedRequest) {
  SKIP_WITHOUT_MODELS();
  Serving server({});
  ASSERT_FALSE(server.url().empty()) << server.trouble();
  const std::string results = scratch("serve-swap.json");
  Process load(load_words(server, "3s", results));
  ASSERT_TRUE(soon([&] { return server.answered() > 100; }));
  const std::string same = scratch("serve-next.onnx");
  fs::copy_file(kModels + "/mlp.onnx", same);
  for (int version = 2; version < 6; ++version) {
    const auto answer = server.ask("POST", "/v2/repository/models/mlp/load", json{{"parameters", {{"path", same}}}}.dump());
    EXPECT_EQ(answer.status, 200) << answer.body;
    const auto about = json::parse(server.ask("GET", "/v2/models/mlp").body, nullptr, false);
    EXPECT_EQ(about["versions"][0], std::to_string(version)) << about.dump();
  }
  // What does not fit in is refused, and the model stays.
  for (const char* wrong : {"/tokens.onnx", "/none.onnx"}) {
    const auto answer = server.ask("POST", "/v2/repository/models/mlp/load", json{{"parameters", {{"path", kModels + wrong}}}}.dump());
    EXPECT_EQ(answer.status / 100, 4) << answer.body;
  }
  EXPECT_EQ(load.wait(), 0);
  const json seen = json::parse(read(results), nullptr, false);
  EXPECT_EQ(seen["sent"], seen["answered"]) << seen.dump(2);
}

TEST(Serve, EndsAJobWithItselfAndTakesItUpAgain) {
  SKIP_WITHOUT_MODELS();
  const std::string folder = folder_of("killed");
  // It has a child in a session of its own, and both go on for ever.
  const std::string script = "setsid sleep 100000 & echo $!; echo $$; while :; do :; done";
  std::vector<pid_t> programs;
  {
    Serving server({"--jobs", folder});
    ASSERT_FALSE(server.url().empty()) << server.trouble();
    const auto submitted = server.job({"submit", "--name", "endless", "--", "sh", "-c", script});
    ASSERT_EQ(submitted.exit_code, 0) << submitted.err;
    EXPECT_EQ(submitted.out, "Job 1 is submitted.\n");
    std::string text;
    ASSERT_TRUE(soon([&] {
      text = server.job({"logs", "1"}).out;
      return std::count(text.begin(), text.end(), '\n') == 2;
    })) << server.jobs().dump(2);
    std::istringstream ids(text);
    for (pid_t id = 0; ids >> id;) programs.push_back(id);
    server.process().kill(SIGKILL);
  }
  ASSERT_EQ(programs.size(), 2u);
  for (const pid_t id : programs) {
    EXPECT_TRUE(soon([&] {
      std::ifstream stat("/proc/" + std::to_string(id) + "/stat");
      std::string word, state;
      stat >> word >> word >> state;
      return !stat || state == "Z" || state == "X";
    })) << "process "
        << id << " of the job outlived the server";
  }
  Serving again({"--jobs", folder});
  ASSERT_FALSE(again.url().empty()) << again.trouble();
  EXPECT_EQ(again.state(1), "interrupted");
  EXPECT_THAT(again.job({"logs", "1"}).out, HasSubstr(std::to_string(programs[0])));
  EXPECT_EQ(again.job({"resume", "1"}).exit_code, 0);
  EXPECT_TRUE(soon([&] { return again.state(1) == "waiting" || again.state(1) == "stepping"; })) << again.jobs().dump(2);
  EXPECT_EQ(again.job({"pause", "1"}).exit_code, 0);
  EXPECT_TRUE(soon([&] { return again.state(1) == "paused"; })) << again.jobs().dump(2);
  EXPECT_EQ(again.job({"cancel", "1"}).exit_code, 0);
  EXPECT_TRUE(soon([&] { return again.state(1) == "cancelled"; })) << again.jobs().dump(2);
  int exit_code = -1;
  again.end(SIGTERM, &exit_code);
  EXPECT_EQ(exit_code, 0);
}

TEST(Serve, SurvivesEveryKindOfJob) {
  SKIP_WITHOUT_MODELS();
  Serving server({"--jobs", folder_of("rogues")});
  ASSERT_FALSE(server.url().empty()) << server.trouble();
  const struct {
    const char* name;
    std::vector<std::string> words;
    const char* state;
    const char* why;
  } jobs[] = {
      {"well", {"--kind", "step", "--", POLYTHROTTLE_STEP_JOB, "4", "2"}, "done", "ended by itself"},
      {"dies", {"--", "sh", "-c", "exit 3"}, "failed", "exit code 3"},
      {"dies in a step", {"--kind", "step", "--", POLYTHROTTLE_STEP_JOB, "4", "die"}, "failed", ""},
      {"garbage", {"--kind", "step", "--", POLYTHROTTLE_STEP_JOB, "4", "garbage"}, "failed", ""},
      {"no such program", {"--", "/no/such/program"}, "failed", "/no/such/program"},
      {"eats memory", {"--memory", "64M", "--", POLYTHROTTLE_STEP_JOB, "4", "eat"}, "failed", ""},
  };
  int id = 0;
  for (const auto& each : jobs) {
    ++id;
    std::vector<std::string> words{"submit", "--name", each.name};
    words.insert(words.end(), each.words.begin(), each.words.end());
    const auto submitted = server.job(words);
    ASSERT_EQ(submitted.exit_code, 0) << each.name << submitted.err;
    EXPECT_TRUE(soon([&] { return server.state(id) == each.state; })) << each.name << ": " << server.jobs().dump(2);
    const json all = server.jobs();
    for (const auto& job : all["jobs"]) {
      if (job["id"] == id) {
        EXPECT_THAT(job["why"].get<std::string>(), HasSubstr(each.why));
      }
    }
  }
  // And it serves.
  const auto load = run({"load", "--target", server.url(), "--model", "mlp", "--rate", "50", "--duration", "1s"});
  EXPECT_EQ(load.exit_code, 0) << load.err;
  int exit_code = -1;
  server.end(SIGTERM, &exit_code);
  EXPECT_EQ(exit_code, 0);
}

TEST(Serve, SimulatedBoardIsServedByLoad) {
  Serving server({"--device", "sim:jetson-orin", "--config", "load-adaptive", "--rate", "5"}, "efficientnet-b4");
  ASSERT_FALSE(server.url().empty()) << server.trouble();
  const auto load = run({"load", "--target", server.url(), "--model", "efficientnet-b4", "--rate", "5", "--duration", "3s"});
  EXPECT_EQ(load.exit_code, 0) << load.err;
  int exit_code = -1;
  const json last = server.end(SIGTERM, &exit_code);
  EXPECT_EQ(exit_code, 0);
  EXPECT_NE(last.value("answered", "0"), "0") << last.dump();
}

/// A tune of a server with no knob but those of a machine that has none: its reference alone.
std::vector<std::string> tune_words(const std::string& url, const std::string& slo, const std::string& study, const std::string& rate) {
  const std::string machine = scratch("serve-bare-machine");
  fs::create_directories(machine + "/sys/devices/system/cpu");
  fs::create_directories(machine + "/proc");
  write(machine + "/sys/devices/system/cpu/online", "0-1\n");
  write(machine + "/proc/stat", "cpu  100 0 100 1000 0 0 0 0 0 0\ncpu0 50 0 50 500 0 0 0 0 0 0\ncpu1 50 0 50 500 0 0 0 0 0 0\n");
  return {"--sysroot", machine,       "tune",     "--target", url,   "--model",        "mlp", "--rate",         rate, "--slo",
          slo,         "--meter",     "estimate", "--study",  study, "--window-limit", "3",   "--settle-limit", "0",  "--energy-error",
          "0",         "--cool-down", "0",        "--idle",   "0",   "--check-every",  "0",   "--json",         "-",  "--quiet"};
}

TEST(Serve, IsTunedFromOutside) {
  SKIP_WITHOUT_MODELS();
  Serving server({"--no-wait"});
  ASSERT_FALSE(server.url().empty()) << server.trouble();
  const std::string study = scratch("serve-target.sqlite");
  const auto ran = run(tune_words(server.url(), "p99=2s", study, "50"));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const json seen = json::parse(ran.out, nullptr, false);
  ASSERT_TRUE(seen.is_object()) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("open loop: poisson arrivals at 50 /s"));
  EXPECT_THAT(ran.out, HasSubstr("estimated"));
  // Another model is another study.
  auto other = tune_words(server.url(), "p99=2s", study, "50");
  other.insert(other.begin() + 3, "--resume");
  other[std::find(other.begin(), other.end(), "mlp") - other.begin()] = "another";
  EXPECT_NE(run(other).exit_code, 0);
  int exit_code = -1;
  server.end(SIGTERM, &exit_code);
  EXPECT_EQ(exit_code, 0);
}

TEST(Serve, ThatIsNotThereIsNotTuned) {
  const std::string study = scratch("serve-nobody.sqlite");
  const auto nobody = run(tune_words("http://127.0.0.1:1", "p99=2s", study, "50"));
  EXPECT_EQ(nobody.exit_code, 1);
  EXPECT_THAT(nobody.err, HasSubstr("127.0.0.1:1"));
  const auto elsewhere = run(tune_words("http://192.0.2.1:80", "p99=2s", study, "50"));
  EXPECT_EQ(elsewhere.exit_code, 2);
  EXPECT_THAT(elsewhere.err, HasSubstr("the knobs are of this machine"));
  const auto no_rate = run({"tune", "--target", "http://127.0.0.1:1", "--model", "mlp", "--slo", "p99=2s"});
  EXPECT_EQ(no_rate.exit_code, 2);
  EXPECT_THAT(no_rate.err, HasSubstr("--target needs --rate"));
  const auto quota =
      run({"tune", "--target", "http://127.0.0.1:1", "--model", "mlp", "--slo", "p99=2s", "--rate", "1", "--command", "true"});
  EXPECT_EQ(quota.exit_code, 2);
}

TEST(Serve, WrongWordsAreOneLine) {
  SKIP_WITHOUT_MODELS();
  const std::string model = kModels + "/mlp.onnx", token = scratch("serve-token"), nonsense = scratch("serve-profile.json");
  write(token, "secret\n");
  chmod(token.c_str(), 0644);
  write(nonsense, "{}");
  Serving holder({});
  ASSERT_FALSE(holder.url().empty()) << holder.trouble();
  const std::string taken = holder.url().substr(std::string("http://").size());
  const struct {
    std::vector<std::string> words;
    int exit_code;
    const char* said;
  } cases[] = {
      {{"--slo", "50ms"}, 2, "MODEL is missing"},
      {{model}, 2, "--slo is missing"},
      {{model, "--slo", "soon"}, 2, "--slo"},
      {{"/no/such.onnx", "--slo", "50ms"}, 1, "/no/such.onnx"},
      {{model, "--slo", "0.001ms"}, 2, "one request alone takes"},
      {{model, "--slo", "50ms", "--http", taken, "--grpc", "none"}, 1, "in use"},
      {{model, "--slo", "50ms", "--http", "0.0.0.0:0", "--grpc", "none"}, 2, "--insecure"},
      {{model, "--slo", "50ms", "--http", "127.0.0.1:0", "--grpc", "none", "--token-file", token}, 1, "others"},
      {{model, "--slo", "50ms", "--http", "127.0.0.1:0", "--grpc", "none", "--token-file", "/no/token"}, 1, "/no/token"},
      {{model, "--slo", "50ms", "--policy", "kind"}, 2, "kind"},
      {{model, "--slo", "50ms", "--batch", "0"}, 2, "--batch 0"},
      {{model, "--slo", "50ms", "--config", nonsense}, 1, nonsense.c_str()},
      {{model, "--slo", "50ms", "--config", "/no/study.sqlite"}, 1, "/no/study.sqlite"},
      {{"efficientnet-b4", "--slo", "50ms", "--device", "sim:jetson-mars"}, 2, "jetson-mars"},
      {{"mlp", "--slo", "50ms", "--upstream", "http://127.0.0.1:1"}, 1, "127.0.0.1:1"},
      {{"/no/dir", "--slo", "50ms", "--name", "a/b"}, 2, "--name"},
  };
  for (const auto& each : cases) {
    auto words = each.words;
    words.insert(words.begin(), "serve");
    words.insert(words.end(), {"--no-meters", "--duration", "1s"});
    const auto ran = run(words);
    std::string all;
    for (const auto& word : each.words) all += word + " ";
    EXPECT_EQ(ran.exit_code, each.exit_code) << all << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(each.said)) << all;
    EXPECT_EQ(ran.out, "") << all;
  }
  for (const auto& [words, said] :
       std::initializer_list<std::pair<std::vector<std::string>, const char*>>{{{"submit"}, "no command"},
                                                                               {{"submit", "--kind", "docker", "--", "true"}, "'kind'"},
                                                                               {{"pause", "x"}, "a job's number"},
                                                                               {{"submit", "--", "true"}, "takes no jobs"}}) {
    const auto ran = holder.job(words);
    EXPECT_NE(ran.exit_code, 0) << said;
    EXPECT_THAT(ran.err, HasSubstr(said));
  }
}

}  // namespace
}  // namespace polythrottle::e2e
