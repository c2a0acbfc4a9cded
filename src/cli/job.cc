// polythrottle job: fine-tuning jobs beside a model that `polythrottle serve` serves.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "cli/http_client.h"
#include "cli/job_words.h"

namespace polythrottle {
namespace {

using nlohmann::json;

constexpr Seconds kTimeout{30};
constexpr std::chrono::milliseconds kFollowEvery{300};

struct Options {
  std::string server = "http://127.0.0.1:8000", token_file, id;
  JobWords words;
  bool json = false, follow = false;
};

Result<std::string> read_token(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path);
  std::string token;
  if (!file || !std::getline(file, token) || token.empty()) {
    return fail(Errc::kInvalid, "read the token in " + path + ": there is none", "one line, the same as the server's --token-file");
  }
  while (!token.empty() && (token.back() == '\r' || token.back() == ' ')) token.pop_back();
  return token;
}

class Jobs {
 public:
  Jobs(Options options, Cli& cli) : o_(std::move(options)), cli_(cli) {}

  Status open() {
    TRY(const std::string token, read_token(o_.token_file));
    TRY(client_, HttpClient::at(o_.server, token, kTimeout));
    return {};
  }

  int submit() {
    o_.words.command = cli_.words;
    // Where the user is, as a shell would have it, if that is on the server's machine.
    std::error_code ignored;
    if (o_.words.folder.empty() && client_->is_local()) o_.words.folder = std::filesystem::current_path(ignored);
    if (!o_.words.folder.empty()) o_.words.folder = std::filesystem::absolute(o_.words.folder, ignored);
    const auto spec = spec_from(o_.words);
    if (!spec) return complain(spec.error(), kExitUsage);
    return with_answer("POST", "/v1/jobs", job::to_json(*spec), [&](const HttpAnswer& answer) {
      const json job = json::parse(answer.body, nullptr, false);
      if (!job.is_object() || !job.contains("id")) return no_job_in_it();
      fmt::print("{}\n", o_.json ? answer.body : fmt::format("Job {} is submitted.", job["id"].dump()));
      return kExitOk;
    });
  }

  int list() {
    return with_answer("GET", "/v1/jobs", {}, [&](const HttpAnswer& answer) {
      if (o_.json) {
        fmt::print("{}\n", answer.body);
        return kExitOk;
      }
      const auto table = job_table(answer.body);
      if (!table) return complain(table.error(), kExitFailure);
      fmt::print("{}", *table);
      return kExitOk;
    });
  }

  int act(const std::string& verb, const char* done) {
    return with_answer("POST", path("/" + verb), "{}", [&](const HttpAnswer& answer) {
      fmt::print("{}\n", o_.json ? answer.body : fmt::format("Job {} is {}.", o_.id, done));
      return kExitOk;
    });
  }

  int why() {
    return with_answer("GET", path("/why"), {}, [&](const HttpAnswer& answer) {
      const json sentences = json::parse(answer.body, nullptr, false);
      if (o_.json) {
        fmt::print("{}\n", answer.body);
        return kExitOk;
      }
      if (!sentences.is_object() || !sentences.contains("why") || !sentences["why"].is_array()) return no_job_in_it();
      if (sentences["why"].empty()) fmt::print("Nothing was decided about it yet.\n");
      for (const json& sentence : sentences["why"]) {
        if (sentence.is_string()) fmt::print("{}\n", sentence.get<std::string>());
      }
      return kExitOk;
    });
  }

  int logs() {
    std::uint64_t offset = 0;
    for (;;) {
      // Asked before the output, so that what it printed last is not missed.
      const bool over = !o_.follow || is_over();
      bool more = false;
      const int code = with_answer("GET", path("/logs?offset=" + std::to_string(offset)), {}, [&](const HttpAnswer& answer) {
        more = !answer.body.empty();
        offset += answer.body.size();
        if (!answer.next_offset.empty()) offset = std::strtoull(answer.next_offset.c_str(), nullptr, 10);
        std::string text = answer.body;
        std::erase(text, '\0');  // what the server gave back to the disk
        std::fwrite(text.data(), 1, text.size(), stdout);
        std::fflush(stdout);
        return kExitOk;
      });
      if (code != kExitOk) return code;
      if (!more && over) return kExitOk;
      if (!more && !wait()) return kExitInterrupted;
    }
  }

 private:
  std::string path(const std::string& behind) const { return "/v1/jobs/" + o_.id + behind; }

  int no_job_in_it() const { return complain(Error{Errc::kCorrupt, o_.server + " answered with what is no job", {}}, kExitFailure); }

  template <class Say>
  int with_answer(std::string_view method, const std::string& target, std::string body, Say say) {
    const auto answer = client_->ask(method, target, std::move(body));
    if (!answer) return complain(answer.error(), kExitFailure);
    if (answer->status / 100 == 2) return say(*answer);
    return complain(Error{Errc::kInvalid, refusal_words(answer->status, answer->body), {}},
                    answer->status == 400 ? kExitUsage : kExitFailure);
  }

  bool is_over() {
    const auto answer = client_->ask("GET", path(""));
    const json job = answer ? json::parse(answer->body, nullptr, false) : json();
    if (!job.is_object() || !job.contains("state")) return true;  // asking for its output says why
    const auto state = job["state"];
    return state == "done" || state == "failed" || state == "cancelled" || state == "interrupted";
  }

  /// False: the user wants no more.
  bool wait() {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any never;
    (void)never.wait_for(lock, cli_.stop, kFollowEvery, [] { return false; });
    return !cli_.stop.stop_requested();
  }

  Options o_;
  Cli& cli_;
  std::unique_ptr<HttpClient> client_;
};

}  // namespace

void add_job(CLI::App& app, Cli& cli) {
  CLI::App* command = app.add_subcommand("job", "Fine-tuning jobs beside a served model: submit, list, pause, resume, cancel, logs, why");
  command->require_subcommand(1);
  auto o = std::make_shared<Options>();
  command->add_option("--server", o->server, "Where 'polythrottle serve' listens: http://HOST:PORT or unix:PATH")->capture_default_str();
  command->add_option("--token-file", o->token_file, "File with the server's bearer token")->check(CLI::ExistingFile);
  command->add_flag("--json", o->json, "Print the server's answer as it came");
  const auto add = [&](const char* name, const char* about, auto run) {
    CLI::App* sub = command->add_subcommand(name, about);
    sub->fallthrough();
    sub->callback([o, &cli, run] {
      Jobs jobs(*o, cli);
      const auto open = jobs.open();
      cli.exit_code = open ? run(jobs) : complain(open.error(), usage_or_failure(open.error()));
    });
    return sub;
  };
  const auto add_one = [&](const char* name, const char* about, auto run) {
    CLI::App* sub = add(name, about, run);
    sub->add_option("ID", o->id, "As 'job list' has it")->required()->check([](const std::string& text) {
      const bool number = std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
      return number ? std::string() : "a job's number is wanted, not '" + text + "'";
    });
    return sub;
  };
  CLI::App* submit = add("submit", "Have a command run when the model's SLO leaves room", [](Jobs& jobs) { return jobs.submit(); });
  JobWords& words = o->words;
  submit->add_option("--name", words.name, "What to call it");
  submit->add_option("--kind", words.kind, "step (it speaks the step protocol), freezer or signal (any program, in slices)");
  submit->add_option("--memory", words.memory, "Most memory it may use, as in 2G");
  submit->add_option("--cpus", words.cpus, "Most CPUs it may use, as in 1.5");
  submit->add_option("--deadline", words.deadline, "When it is due, from now, as in 1h");
  submit->add_option("--slice", words.slice, "How long it runs at a time where it has no steps (default: 20ms)");
  submit->add_option("--folder", words.folder, "Where it runs (default: here; its own folder on another machine)");
  submit->add_option("--env", words.environment, "NAME=VALUE for its environment; repeatable")->allow_extra_args(false);
  submit->footer("Example:\n  polythrottle job submit --name update --kind step --memory 2G -- ./finetune --epochs 1");
  add("list", "All jobs and why they wait", [](Jobs& jobs) { return jobs.list(); });
  add_one("pause", "Let it do nothing more until 'resume'", [](Jobs& jobs) { return jobs.act("pause", "paused"); });
  add_one("resume", "Let it go on, or start it again after the server's end", [](Jobs& jobs) { return jobs.act("resume", "resumed"); });
  add_one("cancel", "End it", [](Jobs& jobs) { return jobs.act("cancel", "cancelled"); });
  add_one("logs", "What it printed", [](Jobs& jobs) {
    return jobs.logs();
  })->add_flag("-f,--follow", o->follow, "Go on until it has ended");
  add_one("why", "The latest decisions about it", [](Jobs& jobs) { return jobs.why(); });
}

}  // namespace polythrottle
