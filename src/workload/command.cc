#include "workload/command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "trial/json.h"
#include "workload/limit.h"

namespace polythrottle {
namespace {

constexpr Seconds kLongestNap{0.1};                             ///< so that a stop is noticed
constexpr std::size_t kPipeful = 2 * Process::kLongestLine;     ///< bytes that may wait to be read, in the pipe and in the process's buffer
constexpr std::size_t kQuotedLines = 3, kQuotedBytes = 300;     ///< of the output, in an error
constexpr double kLongestLatency = 1e6, kMostInferences = 1e9;  ///< beyond these a report is a mistake
constexpr Seconds kClockSlack{1e-3};                            ///< the program's clock may be another, and rounded

std::string in_capitals(std::string name) {
  for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

/// Bytes of any kind as text that may stand in a record: valid UTF-8 on one line.
std::string one_line(std::string bytes) {
  for (char& c : bytes) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return Json::parse(Json(std::move(bytes)).dump(-1, ' ', false, Json::error_handler_t::replace)).get<std::string>();
}

bool is_report(std::string_view line) {
  const auto report = parse_batch_report(line);
  return report && *report;
}

/// The last lines of `tail` that are no reports, as ": a | b"; nothing if there are none.
std::string last_words(std::string_view tail) {
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

class CommandWorkload final : public Workload {
 public:
  CommandWorkload(Clock& clock, Launcher& launcher, CommandOptions options)
      : clock_(clock), launcher_(launcher), options_(std::move(options)) {}

  std::span<const Parameter> parameters() const override { return options_.parameters; }

  Status configure(const Config& config) override {
    finish();
    program_.reset();
    for (const auto& p : options_.parameters) {
      const auto level = config.get(p.name);
      if (!level || std::find(p.levels.begin(), p.levels.end(), *level) == p.levels.end()) {
        return fail(Errc::kOutOfRange, fmt::format("{}={} is not one of its levels", p.name, level ? to_text(*level) : "nothing"));
      }
    }
    Program program;
    TRY(program.words, options_.line.words(config));
    for (const auto& [name, value] : config.entries()) program.environment["POLYTHROTTLE_" + in_capitals(name)] = to_text(value);
    batch_ = static_cast<std::size_t>(config.number("batch").value_or(1.0));
    program_ = std::move(program);
    return {};
  }

  Status warm_up(std::stop_token stop) override {
    if (!program_) return fail(Errc::kInvalid, "the command has no valid setting yet");
    finish();
    began_ = clock_.now();
    batches_ = 0;
    steady_ = true;
    TRY(process_, launcher_.start(*program_));
    const Seconds shortest = std::min(kShortestWarmUp, options_.longest_warm_up);
    Steadiness steadiness;
    std::optional<Clock::TimePoint> first;
    for (auto last = began_;;) {
      TRY(const auto batch, next(last, stop));
      if (!batch) return {};
      last = batch->at;
      if (!first) first = last;
      steadiness.add(batch->latency.count());
      if (last - *first >= shortest && steadiness.steady()) return {};
      if (last - *first >= options_.longest_warm_up) {
        steady_ = steadiness.steady() || options_.longest_warm_up <= Seconds(0);
        return {};
      }
    }
  }

  Result<Work> run(const Budget& budget, std::stop_token stop) override {
    if (!process_) return fail(Errc::kInvalid, "the command does not run: it was not warmed up");
    Work work;
    if (!steady_) {
      work.notes.push_back(fmt::format("latency was not steady after {} s of warm-up", options_.longest_warm_up.count()));
    }
    // Batches that ended before the window opened.
    for (std::size_t bytes = 0; bytes < kPipeful;) {
      const auto line = process_->read_line(clock_.now());
      if (!line) break;
      bytes += line->size() + 1;
    }
    std::optional<LimitWatch> watch;
    if (budget.limit) watch.emplace(*budget.limit, budget.quantile);
    work.began = work.ended = clock_.now();
    while (true) {
      TRY(const auto batch, next(work.ended, stop));
      if (!batch) return work;
      work.completions.push_back(*batch);
      work.inferences += batch->inferences;
      work.ended = batch->at;
      const Seconds elapsed = batch->at - work.began;
      const bool enough = elapsed >= budget.at_least && work.completions.size() >= budget.samples;
      work.cut_short = watch && watch->add(batch->latency) && !enough;
      if (enough || work.cut_short || elapsed >= budget.at_most) return work;
    }
  }

  void finish() override {
    if (process_) process_->stop(options_.grace);
    process_.reset();
  }

 private:
  /// The next batch; nothing if `stop`. `last`: when the one before ended, or the program began.
  Result<std::optional<Completion>> next(Clock::TimePoint last, const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const auto line = process_->read_line(std::min(last + options_.patience, clock_.now() + kLongestNap));
      const auto now = clock_.now();
      if (line) {
        auto report = parse_batch_report(*line);
        if (!report) {
          report.error().what += fmt::format(" (batch {})", batches_ + 1);
          return tl::unexpected<Error>(std::move(report.error()));
        }
        if (*report) return completion(**report, now);
      } else if (const auto exit = process_->ended()) {
        return ended(*exit);
      }
      if (now - last >= options_.patience) {
        return fail(Errc::kTimeout,
                    fmt::format("the command reported no batch for {:.4g} s{}", (now - last).count(), last_words(process_->tail())),
                    R"(it must print {"latency_seconds": S} after each batch and flush; --command-timeout gives it longer)");
      }
    }
    return std::nullopt;
  }

  Result<std::optional<Completion>> completion(const BatchReport& report, Clock::TimePoint now) {
    if (report.latency > now - began_ + kClockSlack) {
      return fail(
          Errc::kCorrupt,
          fmt::format("the command reports a batch of {:.4g} s, {:.4g} s after its start", report.latency.count(), (now - began_).count()),
          "latency_seconds is in seconds");
    }
    ++batches_;
    return Completion{now, report.latency, report.inferences.value_or(batch_)};
  }

  tl::unexpected<Error> ended(const Exit& exit) const {
    const std::string words = last_words(process_->tail());
    const std::string after = fmt::format("after {} {}", batches_, batches_ == 1 ? "batch" : "batches");
    if (exit.signal != 0) {
      return fail(Errc::kIo,
                  fmt::format("the command was killed {} by signal {} ({}){}", after, exit.signal, strsignal(exit.signal), words));
    }
    if (exit.code == kExitNotSupported) {
      return fail(Errc::kUnsupported, fmt::format("the command does not support this setting (exit code {}){}", exit.code, words));
    }
    if (exit.code == 0) {
      return fail(Errc::kIo, fmt::format("the command ended {}{}", after, words), "it must go on until it is stopped");
    }
    return fail(Errc::kIo, fmt::format("the command failed {} with exit code {}{}", after, exit.code, words));
  }

  Clock& clock_;
  Launcher& launcher_;
  const CommandOptions options_;
  std::optional<Program> program_;  ///< under the setting; absent: not configured
  std::size_t batch_ = 1;
  std::unique_ptr<Process> process_;
  Clock::TimePoint began_;   ///< of the process
  std::size_t batches_ = 0;  ///< it has reported
  bool steady_ = true;       ///< what the last warm-up found
};

}  // namespace

Result<std::optional<BatchReport>> parse_batch_report(std::string_view line) {
  const std::size_t first = line.find_first_not_of(" \t");
  if (first == std::string_view::npos || line[first] != '{') return std::nullopt;
  const auto json = parse_json(line);
  if (!json || !json->is_object()) return std::nullopt;
  const auto latency = json->find("latency_seconds");
  if (latency == json->end()) return std::nullopt;
  BatchReport out;
  out.latency = Seconds(latency->is_number() ? latency->get<double>() : -1.0);
  if (!(out.latency.count() > 0.0) || out.latency.count() > kLongestLatency) {
    return fail(Errc::kCorrupt, fmt::format("the command reports latency_seconds {}", latency->dump().substr(0, 40)),
                "a number of seconds above 0");
  }
  if (const auto count = json->find("inferences"); count != json->end()) {
    const double number = count->is_number() ? count->get<double>() : 0.0;
    if (!(number >= 1.0) || number > kMostInferences || number != std::floor(number)) {
      return fail(Errc::kCorrupt, fmt::format("the command reports {} inferences", count->dump().substr(0, 40)), "a whole number from 1");
    }
    out.inferences = static_cast<std::size_t>(number);
  }
  return out;
}

std::unique_ptr<Workload> command_workload(Clock& clock, Launcher& launcher, CommandOptions options) {
  return std::make_unique<CommandWorkload>(clock, launcher, std::move(options));
}

}  // namespace polythrottle
