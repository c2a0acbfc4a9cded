// A program that does one timed part of work, says how it went, and ends: benchmarks such as trtexec and llama-bench.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "workload/command.h"
#include "workload/timed_part.h"
#include "workload/user_program.h"

namespace polythrottle {
namespace {

/// From its start on, a program that ends by itself may take the longer of these, and the patience for its loading.
constexpr Seconds kLongestPart{60.0};
constexpr double kLongestPartWindows = 20.0;

class ExecutionWorkload final : public Workload {
 public:
  ExecutionWorkload(Clock& clock, Launcher& launcher, CommandOptions options)
      : clock_(clock), options_(std::move(options)), program_(clock, launcher, options_) {
    const auto& patterns = options_.reading.patterns;
    marks_its_beginning_ =
        patterns.empty() || std::any_of(patterns.begin(), patterns.end(), [](const Pattern& p) { return p.meaning == "begin"; });
  }

  std::span<const Parameter> parameters() const override { return options_.parameters; }

  Status configure(const Config& config) override {
    program_.stop();
    return program_.configure(config);
  }

  /// Until its timed part begins. A program that never said when it does is only started: all of it counts.
  Status warm_up(std::stop_token stop) override {
    TRY_STATUS(start());
    if (!marks_its_beginning_) return {};
    TRY_STATUS(listen(stop, [&] { return part_.began.has_value(); }));
    // It ended without a word of a beginning: what it did lies before the window, and is done again in it.
    if (!part_.began && !stop.stop_requested()) {
      marks_its_beginning_ = false;
      TRY_STATUS(start());
    }
    return {};
  }

  Result<Work> run(const Budget& budget, std::stop_token stop) override {
    if (!program_.runs()) return fail(Errc::kInvalid, "the command does not run: it was not warmed up");
    Work work;
    work.began = clock_.now();
    Parts parts;
    Seconds counted{0};
    while (true) {
      TRY_STATUS(listen(stop, [&] { return part_.complete(options_.reading.patterns.size()); }));
      if (stop.stop_requested()) return work;
      TRY_STATUS(part_.close(clock_.now()));
      TRY_STATUS(judge());
      counted += part_.length();
      parts.add(part_, program_.batch());
      parts.put_into(work);
      work.ended = clock_.now();
      const bool whole = counted >= budget.at_least && parts.latencies() >= budget.samples;
      if ((whole && (!budget.enough || budget.enough(work))) || work.ended - work.began >= budget.at_most) break;
      // Its end is no part of the work, and may hold what the next one needs.
      program_.stop(options_.grace);
      TRY_STATUS(start());
    }
    remark(parts, budget.samples, work);
    return work;
  }

  void finish() override { program_.stop(part_.ended && !ended_ ? options_.grace : Seconds(0)); }
  std::string take_printed() override { return program_.take_printed(); }

 private:
  Status start() {
    part_ = TimedPart();
    ended_ = false;
    TRY_STATUS(program_.start());
    part_.started = last_ = program_.began();
    if (!marks_its_beginning_) part_.began = part_.started;
    return {};
  }

  /// Takes what it says until `done`, its end, or `stop`.
  template <class Done>
  Status listen(const std::stop_token& stop, Done done) {
    while (!done() && !ended_) {
      const auto heard = program_.listen(last_ + options_.patience, stop);
      if (heard.line) {
        ++part_.lines;
        TRY(const auto said, options_.reading.read(*heard.line));
        if (said.anything()) last_ = heard.at;
        part_.take(said, heard.at);
      } else if (heard.exit) {
        ended_ = true;
        if (heard.exit->signal != 0 || heard.exit->code != 0) {
          return tl::unexpected<Error>(program_.ended(*heard.exit, part_.began ? "in its timed part" : "before its timed part"));
        }
        if (part_.began && !part_.ended) part_.ended = heard.at;
      } else if (stop.stop_requested()) {
        return {};
      }
      const Seconds longest = options_.patience + std::max(kLongestPart, kLongestPartWindows * options_.window);
      if (heard.at - part_.started >= longest && !ended_ && !done()) {
        return fail(
            Errc::kTimeout,
            fmt::format("the command goes on and does not end, {:.4g} s after its start{}{}", (heard.at - part_.started).count(),
                        never_matched(), program_.last_words()),
            "a program that does not end by itself is read by its batches, or needs --pattern end=...; --command-timeout gives it longer");
      }
      if (heard.at - last_ >= options_.patience && !ended_) {
        return fail(Errc::kTimeout,
                    fmt::format("the command said nothing of its work for {:.4g} s{}{}", (heard.at - last_).count(), never_matched(),
                                program_.last_words()),
                    options_.reading.wants + "; --command-timeout gives it longer");
      }
    }
    return {};
  }

  /// Does what it said make a trial?
  Status judge() const {
    if (!part_.has_count()) {
      return fail(Errc::kCorrupt,
                  fmt::format("the command ended without saying how much it did{}{}", never_matched(), program_.last_words()),
                  options_.reading.wants);
    }
    for (const auto& metric : options_.wanted) {
      if (part_.has(metric)) continue;
      const std::string_view alias = find_metric(metric) != nullptr ? find_metric(metric)->alias : std::string_view(metric);
      return fail(
          Errc::kCorrupt,
          fmt::format("the command printed no {} latency, which the SLO is about{}{}", alias, never_matched(), program_.last_words()),
          options_.reading.wants);
    }
    return {};
  }

  /// ": no line of 12 matches p95_ms=REGEX"; the expressions of a preset nobody has to know.
  std::string never_matched() const {
    std::string out;
    const auto& patterns = options_.reading.patterns;
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      if (part_.matched.contains(i)) continue;
      out += out.empty() ? fmt::format(": no line of {} matches ", part_.lines) : ", ";
      out += options_.reading.name == "patterns" ? fmt::format("{}={}", patterns[i].meaning, patterns[i].regex) : patterns[i].meaning;
    }
    return out;
  }

  void remark(const Parts& parts, std::size_t latencies_wanted, Work& work) const {
    if (!marks_its_beginning_ && !part_.timed) {
      work.notes.push_back("the command never said when its timed part begins: its start counts as work");
    }
    if (parts.count() > 1) work.notes.push_back(fmt::format("the command was started {} times to fill the window", parts.count()));
    if (parts.count() > 1 && !work.summary.empty()) work.notes.push_back("percentiles are means of those it printed each time");
    if (parts.latencies() < latencies_wanted) {
      work.notes.push_back(
          fmt::format("{} latencies within the window's limit, {} are wanted: the command could make more each time it is started",
                      parts.latencies(), latencies_wanted));
    }
    std::string missing;
    for (const auto& pattern : options_.reading.patterns) {
      const auto index = static_cast<std::size_t>(&pattern - options_.reading.patterns.data());
      if (!part_.matched.contains(index) && pattern.meaning != "begin") missing += (missing.empty() ? "" : ", ") + pattern.meaning;
    }
    if (!missing.empty()) work.notes.push_back(fmt::format("the command printed nothing that matches {}", missing));
  }

  Clock& clock_;
  const CommandOptions options_;
  UserProgram program_;
  TimedPart part_;         ///< of what runs
  Clock::TimePoint last_;  ///< when it last said something of its work
  bool ended_ = false;     ///< with exit code 0
  bool marks_its_beginning_ = true;
};

}  // namespace

std::unique_ptr<Workload> execution_workload(Clock& clock, Launcher& launcher, CommandOptions options) {
  return std::make_unique<ExecutionWorkload>(clock, launcher, std::move(options));
}

}  // namespace polythrottle
