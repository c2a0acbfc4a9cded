#include "workload/user_program.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "trial/json.h"

namespace polythrottle {
namespace {

constexpr Seconds kLongestNap{0.1};                          ///< so that a stop is noticed
constexpr std::size_t kQuotedLines = 3, kQuotedBytes = 300;  ///< of the output, in an error

std::string in_capitals(std::string name) {
  for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

}  // namespace

std::string one_line(std::string bytes) {
  for (char& c : bytes) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return Json::parse(Json(std::move(bytes)).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

void KeptOutput::add(std::string_view text) {
  const std::size_t room = kHead - std::min(head_.size(), kHead);
  head_ += text.substr(0, room);
  tail_ += text.substr(std::min(room, text.size()));
  // Seldom, so that a byte is moved about once.
  if (tail_.size() > 2 * kTail) {
    dropped_ += tail_.size() - kTail;
    tail_.erase(0, tail_.size() - kTail);
  }
}

std::string KeptOutput::text() const {
  const std::size_t more = tail_.size() - std::min(tail_.size(), kTail);
  if (dropped_ + more == 0) return head_ + tail_;
  return head_ + fmt::format("\n[polythrottle: {} bytes left out]\n", dropped_ + more) + tail_.substr(more);
}

Status UserProgram::configure(const Config& config) {
  program_.reset();
  for (const auto& p : options_.parameters) {
    const auto level = config.get(p.name);
    if (!level || std::find(p.levels.begin(), p.levels.end(), *level) == p.levels.end()) {
      return fail(Errc::kOutOfRange, fmt::format("{}={} is not one of its levels", p.name, level ? to_text(*level) : "nothing"));
    }
  }
  Program program;
  TRY(program.words, options_.line.words(config, options_.window));
  program.environment["POLYTHROTTLE_WINDOW_SECONDS"] = fmt::format("{}", options_.window.count());
  if (!options_.reading.talks) {  // one that lives on would find the setting it was started under
    for (const auto& [name, value] : config.entries()) program.environment["POLYTHROTTLE_" + in_capitals(name)] = to_text(value);
  }
  for (const auto& [name, text] : options_.environment) {
    TRY(const auto words, text.words(config, options_.window));
    program.environment[name] = words.front();
  }
  program.input = options_.reading.talks ? Input::kTalk : Input::kNothing;
  program.one_stream = options_.reading.errors_too;
  program.heard = [kept = kept_](std::string_view text) { kept->add(text); };
  batch_ = config.number("batch").value_or(1.0);
  program_ = std::move(program);
  return {};
}

Status UserProgram::start() {
  if (!program_) return fail(Errc::kInvalid, "the command has no valid setting yet");
  stop();
  began_ = clock_.now();
  note(fmt::format("started: {}", fmt::join(program_->words, " ")));
  TRY(process_, launcher_.start(*program_));
  words_ = program_->words;
  environment_ = program_->environment;
  return {};
}

bool UserProgram::as_configured() const {
  return process_ && program_ && words_ == program_->words && environment_ == program_->environment;
}

void UserProgram::stop(Seconds patience) {
  if (!process_) return;
  if (patience > Seconds(0)) process_->wait(clock_.now() + patience);
  const bool by_itself = process_->wait(clock_.now()).has_value();
  process_->stop(options_.grace);
  if (by_itself) {
    while (process_->read_line(clock_.now())) {
    }
  }
  const auto exit = process_->ended();
  if (!by_itself) {
    note("stopped");
  } else if (exit) {
    note(exit->signal != 0 ? fmt::format("killed by signal {}", exit->signal) : fmt::format("exit code {}", exit->code));
  }
  process_.reset();
}

UserProgram::Heard UserProgram::listen(Clock::TimePoint until, const std::stop_token& stop) {
  while (true) {
    if (stop.stop_requested()) return {.at = clock_.now()};
    auto line = process_->read_line(std::min(until, clock_.now() + kLongestNap));
    const auto now = clock_.now();
    if (line) return {.line = std::move(line), .at = now};
    if (const auto exit = process_->ended()) return {.at = now, .exit = exit};
    if (now >= until) return {.at = now};
  }
}

Error UserProgram::ended(const Exit& exit, const std::string& after) const {
  const std::string words = last_words();
  if (exit.signal != 0) {
    return {Errc::kIo, fmt::format("the command was killed {} by signal {} ({}){}", after, exit.signal, strsignal(exit.signal), words), {}};
  }
  if (exit.code == kExitNotSupported) {
    return {Errc::kUnsupported, fmt::format("the command does not support this setting (exit code {}){}", exit.code, words), {}};
  }
  if (exit.code == 0) return {Errc::kIo, fmt::format("the command ended {}{}", after, words), "it must go on until it is stopped"};
  return {Errc::kIo, fmt::format("the command failed {} with exit code {}{}", after, exit.code, words), {}};
}

std::string UserProgram::last_words() const {
  if (!process_) return {};
  const auto is_report = [&](std::string_view line) {
    const auto said = options_.reading.read(line);
    return said && !said->latencies.empty();
  };
  std::string_view tail = process_->tail();
  std::vector<std::string_view> lines;
  while (!tail.empty() && lines.size() < kQuotedLines) {
    const std::size_t newline = tail.rfind('\n');
    const std::string_view line = newline == std::string_view::npos ? tail : tail.substr(newline + 1);
    tail = newline == std::string_view::npos ? std::string_view() : tail.substr(0, newline);
    if (line.find_first_not_of(" \t\r") != std::string_view::npos && !is_report(line)) lines.push_back(line);
  }
  std::string out;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) out += fmt::format("{}{}", out.empty() ? "" : " | ", *line);
  if (out.empty()) return {};
  if (out.size() > kQuotedBytes) out = "..." + out.substr(out.size() - kQuotedBytes);
  return "; it printed: " + one_line(std::move(out));
}

std::string UserProgram::take_printed() {
  std::string out = kept_->text();
  *kept_ = KeptOutput();
  return out;
}

void UserProgram::note(const std::string& text) { kept_->add(fmt::format("[polythrottle: {}]\n", text)); }

}  // namespace polythrottle
