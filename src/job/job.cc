#include "job/job.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace polythrottle::job {
namespace {

using nlohmann::json;

constexpr std::size_t kLongestSpec = 1 << 20;  ///< bytes of JSON
constexpr std::size_t kLongestName = 64, kMostWords = 4096;
constexpr double kLeastMemory = 1 << 20, kMostMemory = 1e15;
constexpr double kFewestCpus = 0.01, kMostCpus = 4096.0;
constexpr double kLongestDeadline = 366.0 * 86400.0;
constexpr double kShortestSlice = 0.001, kLongestSlice = 10.0;

tl::unexpected<Error> wrong(std::string_view key, std::string_view wanted) {
  return fail(Errc::kInvalid, fmt::format("job: '{}' must be {}", key, wanted));
}

/// Reaches the kernel as a C string.
bool plain(const std::string& text) { return text.find('\0') == std::string::npos; }

Status read_text(const json& value, std::string_view key, std::string& out) {
  if (!value.is_string() || !plain(value.get_ref<const std::string&>())) return wrong(key, "a text without a zero byte");
  out = value.get<std::string>();
  return {};
}

Result<double> read_number(const json& value, std::string_view key, double least, double most) {
  const double number = value.is_number() ? value.get<double>() : std::nan("");
  if (!(number >= least && number <= most)) return wrong(key, fmt::format("a number from {:g} to {:g}", least, most));
  return number;
}

Status read_command(const json& value, std::vector<std::string>& out) {
  constexpr std::string_view kWanted = "a list of texts, the program first";
  if (!value.is_array() || value.empty() || value.size() > kMostWords) return wrong("command", kWanted);
  for (const json& word : value) {
    if (!word.is_string() || !plain(word.get_ref<const std::string&>())) return wrong("command", kWanted);
    out.push_back(word.get<std::string>());
  }
  if (out.front().empty()) return wrong("command", kWanted);
  return {};
}

Status read_environment(const json& value, std::map<std::string, std::string>& out) {
  constexpr std::string_view kWanted = "an object of texts, its keys names without '='";
  if (!value.is_object()) return wrong("environment", kWanted);
  for (const auto& [name, text] : value.items()) {
    if (name.empty() || name.find('=') != std::string::npos || !plain(name) || !text.is_string() || !plain(text.get<std::string>())) {
      return wrong("environment", kWanted);
    }
    out[name] = text.get<std::string>();
  }
  return {};
}

Status read_name(const json& value, std::string& out) {
  TRY_STATUS(read_text(value, "name", out));
  for (const char c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return wrong("name", "a text without control characters");
  }
  if (out.size() > kLongestName) return wrong("name", fmt::format("at most {} bytes long", kLongestName));
  return {};
}

Status read_folder(const json& value, std::string& out) {
  TRY_STATUS(read_text(value, "folder", out));
  if (!out.empty() && out.front() != '/') return wrong("folder", "a path from the root, or \"\"");
  return {};
}

std::string kinds() {
  std::string out;
  for (const KindDriver* kind : job_drivers()) out += fmt::format("{}{}", out.empty() ? "" : ", ", kind->name);
  return out;
}

Status read_kind(const json& value, std::string& out) {
  TRY_STATUS(read_text(value, "kind", out));
  if (out.empty()) return {};
  for (const KindDriver* kind : job_drivers()) {
    if (kind->name == out) return {};
  }
  return wrong("kind", "one of " + kinds() + ", or \"\" for the best that works here");
}

Status read_key(const std::string& key, const json& value, Spec& spec) {
  if (key == "name") return read_name(value, spec.name);
  if (key == "command") return read_command(value, spec.command);
  if (key == "environment") return read_environment(value, spec.environment);
  if (key == "folder") return read_folder(value, spec.folder);
  if (key == "kind") return read_kind(value, spec.kind);
  if (key == "memory_bytes") {
    TRY(spec.memory_bytes, read_number(value, key, kLeastMemory, kMostMemory));
    return {};
  }
  if (key == "cpus") {
    TRY(spec.cpus, read_number(value, key, kFewestCpus, kMostCpus));
    return {};
  }
  if (key == "deadline") {
    TRY(const double seconds, read_number(value, key, kShortestSlice, kLongestDeadline));
    spec.deadline = Seconds(seconds);
    return {};
  }
  if (key == "slice") {
    TRY(const double seconds, read_number(value, key, kShortestSlice, kLongestSlice));
    spec.slice = Seconds(seconds);
    return {};
  }
  return fail(Errc::kInvalid, fmt::format("job: unknown key '{}'", key.substr(0, kLongestName)),
              "the keys are name, command, environment, folder, memory_bytes, cpus, deadline, kind, slice");
}

}  // namespace

Result<Spec> parse_spec(std::string_view text) {
  if (text.size() > kLongestSpec) return fail(Errc::kInvalid, fmt::format("job: its JSON is longer than {} bytes", kLongestSpec));
  const json document = json::parse(text, nullptr, false);
  if (document.is_discarded()) return fail(Errc::kInvalid, "job: no JSON");
  if (!document.is_object()) return fail(Errc::kInvalid, "job: a JSON object is wanted");
  Spec spec;
  for (const auto& [key, value] : document.items()) TRY_STATUS(read_key(key, value, spec));
  if (spec.command.empty())
    return fail(Errc::kInvalid, "job: 'command' is missing", R"(give a list: "command": ["./train", "--epochs=2"])");
  return spec;
}

std::string to_json(const Spec& spec) {
  json out{{"name", spec.name},     {"command", spec.command}, {"environment", spec.environment},
           {"folder", spec.folder}, {"kind", spec.kind},       {"slice", spec.slice.count()}};
  if (spec.memory_bytes) out["memory_bytes"] = *spec.memory_bytes;
  if (spec.cpus) out["cpus"] = *spec.cpus;
  if (spec.deadline) out["deadline"] = spec.deadline->count();
  // A command line need not be UTF-8; what is not is replaced, since JSON has no words for it.
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

const char* to_string(State state) {
  switch (state) {
    case State::kStarting: return "starting";
    case State::kWaiting: return "waiting";
    case State::kStepping: return "stepping";
    case State::kPaused: return "paused";
    case State::kDone: return "done";
    case State::kFailed: return "failed";
    case State::kCancelled: return "cancelled";
    case State::kInterrupted: return "interrupted";
  }
  return "unknown";
}

Result<const KindDriver*> find_kind(std::string_view name) {
  const auto named = [](std::string_view wanted) -> const KindDriver* {
    for (const KindDriver* kind : job_drivers()) {
      if (kind->name == wanted) return kind;
    }
    return nullptr;
  };
  if (name.empty()) {
    // The freezer catches what leaves the process group, and no program notices it.
    const KindDriver* freezer = named("freezer");
    return freezer->available() ? freezer : named("signal");
  }
  const KindDriver* kind = named(name);
  if (kind == nullptr) return fail(Errc::kInvalid, fmt::format("job: no kind '{}'", name), "one of " + kinds());
  TRY_STATUS(kind->available());
  return kind;
}

}  // namespace polythrottle::job
