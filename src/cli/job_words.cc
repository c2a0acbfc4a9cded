#include "cli/job_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "replay/duration.h"
#include "report/report.h"

namespace polythrottle {
namespace {

using nlohmann::json;

constexpr std::size_t kWidestCell = 60;  ///< bytes of what a job says in a table

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}
std::string number_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->dump() : "";
}

/// A server's text goes to a terminal: one line, nothing that moves the cursor. Cut between characters of UTF-8.
std::string cell(const std::string& text) {
  std::string out;
  for (const char c : text) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  if (out.size() <= kWidestCell) return out;
  std::size_t end = kWidestCell;
  while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xc0) == 0x80) --end;
  return out.substr(0, end) + "...";
}

/// "12 of 100", "12".
std::string steps_of(const json& job) {
  const std::string done = number_of(job, "steps_done"), all = number_of(job, "steps");
  return all.empty() ? done : done + " of " + all;
}

Result<Seconds> duration(const std::string& text, const char* option) {
  auto parsed = replay::parse_duration(text);
  if (!parsed) parsed.error().what = std::string(option) + " " + parsed.error().what;
  return parsed;
}

}  // namespace

Result<double> parse_bytes(const std::string& text) {
  double number = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit(end, text.data() + text.size());
  for (char& c : unit) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (unit.ends_with("IB")) {
    unit.resize(unit.size() - 2);
  } else if (unit.ends_with('B')) {
    unit.pop_back();
  }
  constexpr std::string_view kUnits = "KMGT";
  const auto letter = kUnits.find(unit);
  if (error != std::errc() || !(number > 0.0) || !std::isfinite(number) || unit.size() > 1 || letter == std::string_view::npos) {
    return fail(Errc::kInvalid, fmt::format("'{}' is no size", text), "as in 512M or 1.5G");
  }
  return number * std::pow(1024.0, unit.empty() ? 0.0 : static_cast<double>(letter + 1));
}

Result<job::Spec> spec_from(const JobWords& words) {
  if (!words.command || words.command->empty() || words.command->front().empty()) {
    return fail(Errc::kInvalid, "job submit: no command", "it stands behind --, as in: job submit --kind step -- ./train --epochs 2");
  }
  job::Spec spec{.name = words.name, .command = *words.command, .folder = words.folder, .cpus = words.cpus, .kind = words.kind};
  for (const std::string& entry : words.environment) {
    const auto equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) return fail(Errc::kInvalid, fmt::format("--env '{}' is not NAME=VALUE", entry));
    spec.environment[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  if (!words.memory.empty()) {
    auto bytes = parse_bytes(words.memory);
    if (!bytes) bytes.error().what = "--memory " + bytes.error().what;
    TRY(spec.memory_bytes, std::move(bytes));
  }
  if (!words.deadline.empty()) {
    TRY(spec.deadline, duration(words.deadline, "--deadline"));
  }
  if (!words.slice.empty()) {
    TRY(spec.slice, duration(words.slice, "--slice"));
  }
  // The ranges are the server's to say, and they are said before anybody is asked.
  return job::parse_spec(job::to_json(spec));
}

Result<std::string> job_table(std::string_view text) {
  const json answer = json::parse(text, nullptr, false);
  const auto jobs = answer.is_object() ? answer.find("jobs") : answer.end();
  if (!answer.is_object() || jobs == answer.end() || !jobs->is_array())
    return fail(Errc::kCorrupt, "the server's answer is no list of jobs");
  if (jobs->empty()) return std::string("No jobs.\n");
  std::vector<std::vector<std::string>> rows{{"id", "name", "state", "kind", "steps", "why"}};
  for (const json& job : *jobs) {
    if (!job.is_object()) return fail(Errc::kCorrupt, "the server's answer is no list of jobs");
    const auto spec = job.find("spec");
    std::string name = spec != job.end() && spec->is_object() ? text_of(*spec, "name") : "";
    if (name.empty() && spec != job.end() && spec->is_object() && spec->contains("command") && (*spec)["command"].is_array()) {
      for (const json& word : (*spec)["command"]) name += (name.empty() ? "" : " ") + (word.is_string() ? word.get<std::string>() : "?");
    }
    rows.push_back({number_of(job, "id"), cell(name), cell(text_of(job, "state")), cell(text_of(job, "kind")), steps_of(job),
                    cell(text_of(job, "why"))});
  }
  return align(rows, {0});
}

std::string refusal_words(int status, std::string_view text) {
  const json answer = json::parse(text, nullptr, false);
  std::string what = answer.is_object() ? text_of(answer, "error") : "";
  std::replace_if(
      what.begin(), what.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return what.empty() ? fmt::format("the server answered with status {}", status) : what;
}

}  // namespace polythrottle
