// A program that is talked to: it stays through the study, so that it loads its network once, and is told when a window begins and ends.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "workload/command.h"
#include "workload/limit.h"
#include "workload/steps.h"
#include "workload/timed_part.h"
#include "workload/user_program.h"

namespace polythrottle {
namespace {

using Kind = StepAnswer::Kind;

constexpr std::size_t kQuoted = 100;  ///< bytes of an answer, in an error

class StepWorkload final : public Workload {
 public:
  StepWorkload(Clock& clock, Launcher& launcher, CommandOptions options)
      : clock_(clock), options_(std::move(options)), program_(clock, launcher, options_) {}

  std::span<const Parameter> parameters() const override { return options_.parameters; }

  Status configure(const Config& config) override {
    finish();
    config_ = config;
    return program_.configure(config);
  }

  /// Starts it unless it runs, has it take the setting, and lets it work until latency is steady; one that reports no batches while it
  /// works, for the longest warm-up.
  Status warm_up(std::stop_token stop) override {
    if (!program_.configured()) return fail(Errc::kInvalid, "the command has no valid setting yet");
    steady_ = true;
    if (!program_.as_configured()) {
      TRY_STATUS(begin_life(stop));
    }
    if (stop.stop_requested()) return {};
    TRY_STATUS(say(say_configure(config_)));
    TRY_STATUS(wait_for(Kind::kConfigured, "to be configured", stop));
    if (options_.longest_warm_up <= Seconds(0) || stop.stop_requested()) return {};
    Steadiness steadiness;
    const Seconds shortest = std::min(kShortestWarmUp, options_.longest_warm_up);
    TRY_STATUS(window(options_.longest_warm_up, stop, [&](const TimedPart& part, Clock::TimePoint now) {
      if (!part.completions.empty()) steadiness.add(part.completions.back().latency.count());
      const Seconds lasted = now - *part.began;
      return (lasted >= shortest && steadiness.steady()) || lasted >= options_.longest_warm_up;
    }));
    steady_ = part_.completions.empty() || steadiness.steady();
    return {};
  }

  Result<Work> run(const Budget& budget, std::stop_token stop) override {
    if (!program_.runs()) return fail(Errc::kInvalid, "the command does not run: it was not warmed up");
    Work work;
    if (!steady_) {
      work.notes.push_back(fmt::format("latency was not steady after {} s of warm-up", options_.longest_warm_up.count()));
    }
    std::optional<LimitWatch> watch;
    if (budget.limit) watch.emplace(*budget.limit, budget.quantile);
    Parts parts;
    Seconds counted{0};
    work.began = work.ended = clock_.now();
    // One window if it reports its batches as they come, or has enough of them in the shortest; else as many as it takes.
    while (!stop.stop_requested()) {
      const bool more = parts.count() > 0;
      const Seconds left = budget.at_most - (clock_.now() - work.began);
      if (more && left <= Seconds(0)) break;
      TRY_STATUS(window(more ? std::min(budget.at_least, left) : budget.at_least, stop, [&](const TimedPart& part, Clock::TimePoint now) {
        work.cut_short = watch && !part.completions.empty() && watch->add(part.completions.back().latency);
        const bool whole = now - *part.began >= budget.at_least && parts.latencies() + part.completions.size() >= budget.samples;
        return whole || work.cut_short || now - work.began >= budget.at_most;
      }));
      if (stop.stop_requested()) break;
      if (!part_.has_count()) {
        return fail(Errc::kCorrupt, fmt::format("the command did nothing in window {}{}", number_, program_.last_words()),
                    R"(it must report its batches, or {"ended":N,"inferences":N,"latencies_seconds":[...]})");
      }
      if (part_.completions.empty() && !options_.wanted.empty()) {
        return fail(Errc::kCorrupt, fmt::format("the command told no latency in window {}", number_),
                    R"(report batches, or "latencies_seconds")");
      }
      counted += part_.length();
      parts.add(part_, program_.batch());
      parts.put_into(work);
      work.ended = clock_.now();
      const bool whole = counted >= budget.at_least && parts.latencies() >= budget.samples;
      if (work.cut_short) {  // certainly broken: nobody needs more; a sample that is whole stands
        work.cut_short = !whole;
        break;
      }
      if (whole && (!budget.enough || budget.enough(work))) break;
    }
    return work;
  }

  /// It idles until the next trial. One that is in the middle of something has to go.
  void finish() override {
    if (in_the_middle_) program_.stop();
    in_the_middle_ = false;
  }
  void close() override {
    program_.stop();
    in_the_middle_ = false;
  }
  std::string take_printed() override { return program_.take_printed(); }

 private:
  Status begin_life(const std::stop_token& stop) {
    TRY_STATUS(program_.start());
    in_the_middle_ = true;
    TRY_STATUS(say(say_hello()));
    TRY_STATUS(wait_for(Kind::kReady, "to be ready", stop));
    return {};
  }

  Status say(const std::string& line) {
    in_the_middle_ = true;
    auto said = program_.say(line);
    if (said) return {};
    // One that ended says more by how it ended.
    const auto heard = program_.listen(clock_.now(), {});
    if (heard.exit) return tl::unexpected<Error>(with_hint(program_.ended(*heard.exit, "between two windows")));
    return said;
  }

  static Error with_hint(Error error) {
    if (error.code == Errc::kIo && error.hint.empty()) return error;
    if (error.code == Errc::kIo) error.hint = "it must live on until its standard input is closed or it is stopped";
    return error;
  }

  /// The next answer; kNone: `until` is here, or `stop`.
  Result<StepAnswer> answer(Clock::TimePoint until, const char* doing, const std::stop_token& stop) {
    while (true) {
      const auto heard = program_.listen(until, stop);
      heard_at_ = heard.at;
      if (heard.exit) return tl::unexpected<Error>(with_hint(program_.ended(*heard.exit, doing)));
      if (!heard.line) return StepAnswer{};
      TRY(auto out, parse_step_answer(*heard.line));
      if (out.kind != Kind::kNone) last_answer_ = one_line(heard.line->substr(0, kQuoted));
      if (out.kind == Kind::kRefused || out.kind == Kind::kFailed) {
        in_the_middle_ = false;  // it is at rest
        const bool refused = out.kind == Kind::kRefused;
        return fail(refused ? Errc::kUnsupported : Errc::kIo,
                    fmt::format("the command {} this setting: {}", refused ? "refuses" : "failed under", out.why));
      }
      if (out.kind != Kind::kNone) return out;
    }
  }

  Status wait_for(Kind kind, const char* what, const std::stop_token& stop) {
    const auto until = clock_.now() + options_.patience;
    while (true) {
      TRY(const auto got, answer(until, fmt::format("when it was {}", what).c_str(), stop));
      if (got.kind == kind) {
        if (kind == Kind::kReady && got.number != kStepVersion) {
          return fail(Errc::kCorrupt,
                      fmt::format("the command speaks version {} of the step protocol, and we {}", got.number, kStepVersion));
        }
        in_the_middle_ = false;
        return {};
      }
      if (got.kind == Kind::kNone) {
        if (stop.stop_requested()) return {};
        return fail(
            Errc::kTimeout,
            fmt::format("the command was {} and did not answer for {:.4g} s{}", what, options_.patience.count(), program_.last_words()),
            kind == Kind::kReady ? R"(it must answer {"polythrottle":1} and flush; --command-timeout gives it longer)"
                                 : R"(it must answer {"configured":true} or {"refused":"why"} and flush)");
      }
      return fail(Errc::kCorrupt, fmt::format("the command was {} and answered something else: {}", what, last_answer_));
    }
  }

  /// One window into `part_`: of `length` if it reports no batches or ends it by itself, else until `enough` of them, asked after each.
  template <class Enough>
  Status window(Seconds length, const std::stop_token& stop, Enough enough) {
    part_ = TimedPart();
    ++number_;
    TRY_STATUS(say(say_begin(number_, length)));
    part_.started = clock_.now();
    part_.began = part_.started;
    auto until = part_.started + length;
    bool told = false, reports = false;
    while (true) {
      TRY(const auto got, answer(until, "in its window", stop));
      if (stop.stop_requested()) return {};
      if (got.kind == Kind::kEnded && got.number == number_) {
        for (const Seconds latency : got.latencies) part_.completions.push_back({heard_at_, latency, 0});
        part_.inferences = got.inferences;
        in_the_middle_ = false;
        return part_.close(heard_at_);
      }
      if (got.kind == Kind::kBatch) {
        reports = true;
        part_.completions.push_back({heard_at_, got.latencies.front(), static_cast<std::size_t>(got.inferences.value_or(0.0))});
        if (told) continue;
        if (!enough(part_, heard_at_)) {
          until = heard_at_ + options_.patience;  // as long as they come, it is `enough` that ends it
          continue;
        }
      } else if (got.kind != Kind::kNone) {
        return fail(Errc::kCorrupt, fmt::format("the command answered something else in window {}: {}", number_, last_answer_));
      } else if (told || reports) {
        return fail(
            Errc::kTimeout,
            fmt::format("the command {} window {}{}", told ? "did not end" : "reported no more batches in", number_, program_.last_words()),
            fmt::format(R"(it must answer {{"ended":{}}} and flush; --command-timeout gives it longer)", number_));
      }
      TRY_STATUS(say(say_end(number_)));
      told = true;
      until = clock_.now() + options_.patience;
    }
  }

  Clock& clock_;
  const CommandOptions options_;
  UserProgram program_;
  Config config_;
  TimedPart part_;              ///< the window before, or the one that is open
  Clock::TimePoint heard_at_;   ///< the last answer
  std::string last_answer_;     ///< in its own words
  int number_ = 0;              ///< of the last window
  bool in_the_middle_ = false;  ///< it was told something and has not answered
  bool steady_ = true;
};

}  // namespace

std::unique_ptr<Workload> step_workload(Clock& clock, Launcher& launcher, CommandOptions options) {
  return std::make_unique<StepWorkload>(clock, launcher, std::move(options));
}

}  // namespace polythrottle
