#include "workload/command.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "workload/limit.h"
#include "workload/user_program.h"

namespace polythrottle {
namespace {

constexpr std::size_t kPipeful = 2 * Process::kLongestLine;  ///< bytes that may wait to be read, in the pipe and in the process's buffer
constexpr Seconds kClockSlack{1e-3};                         ///< the program's clock may be another, and rounded

/// A program that reports each batch and goes on until it is stopped.
class CommandWorkload final : public Workload {
 public:
  CommandWorkload(Clock& clock, Launcher& launcher, CommandOptions options)
      : clock_(clock), options_(std::move(options)), program_(clock, launcher, options_) {}

  std::span<const Parameter> parameters() const override { return options_.parameters; }

  Status configure(const Config& config) override {
    program_.stop();
    return program_.configure(config);
  }

  Status warm_up(std::stop_token stop) override {
    if (!program_.configured()) return fail(Errc::kInvalid, "the command has no valid setting yet");
    batches_ = 0;
    waiting_.clear();
    steady_ = true;
    TRY_STATUS(program_.start());
    const Seconds shortest = std::min(kShortestWarmUp, options_.longest_warm_up);
    Steadiness steadiness;
    std::optional<Clock::TimePoint> first;
    for (auto last = program_.began();;) {
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
    if (!program_.runs()) return fail(Errc::kInvalid, "the command does not run: it was not warmed up");
    Work work;
    if (!steady_) {
      work.notes.push_back(fmt::format("latency was not steady after {} s of warm-up", options_.longest_warm_up.count()));
    }
    // Batches that ended before the window opened.
    waiting_.clear();
    for (std::size_t bytes = 0; bytes < kPipeful;) {
      const auto heard = program_.listen(clock_.now(), stop);
      if (!heard.line) break;
      bytes += heard.line->size() + 1;
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
      const bool sampled = elapsed >= budget.at_least && work.completions.size() >= budget.samples;
      const bool broken = watch && watch->add(batch->latency);
      work.cut_short = broken && !sampled;
      if (broken || (sampled && (!budget.enough || budget.enough(work))) || elapsed >= budget.at_most) return work;
    }
  }

  void finish() override { program_.stop(); }
  std::string take_printed() override { return program_.take_printed(); }

 private:
  /// The next batch; nothing if `stop`. `last`: when the one before ended, or the program began.
  Result<std::optional<Completion>> next(Clock::TimePoint last, const std::stop_token& stop) {
    while (waiting_.empty()) {
      const auto heard = program_.listen(last + options_.patience, stop);
      if (heard.line) {
        auto said = options_.reading.read(*heard.line);
        if (!said) {
          said.error().what += fmt::format(" (batch {})", batches_ + 1);
          return tl::unexpected<Error>(std::move(said.error()));
        }
        TRY_STATUS(take(*said, heard.at));
      } else if (heard.exit) {
        return tl::unexpected<Error>(
            program_.ended(*heard.exit, fmt::format("after {} {}", batches_, batches_ == 1 ? "batch" : "batches")));
      } else if (stop.stop_requested()) {
        return std::nullopt;
      }
      if (waiting_.empty() && heard.at - last >= options_.patience) {
        return fail(Errc::kTimeout,
                    fmt::format("the command reported no batch for {:.4g} s{}", (heard.at - last).count(), program_.last_words()),
                    options_.reading.wants);
      }
    }
    const Completion batch = waiting_.front();
    waiting_.pop_front();
    return batch;
  }

  Status take(const Said& said, Clock::TimePoint at) {
    for (const Seconds latency : said.latencies) {
      if (latency > at - program_.began() + kClockSlack) {
        return fail(Errc::kCorrupt,
                    fmt::format("the command reports a batch of {:.4g} s, {:.4g} s after its start", latency.count(),
                                (at - program_.began()).count()),
                    options_.reading.name == "json" ? "latency_seconds is in seconds" : "is the pattern's unit right?");
      }
      ++batches_;
      waiting_.push_back({at, latency, static_cast<std::size_t>(said.inferences.value_or(program_.batch()))});
    }
    return {};
  }

  Clock& clock_;
  const CommandOptions options_;
  UserProgram program_;
  std::deque<Completion> waiting_;  ///< read, and not yet asked for
  std::size_t batches_ = 0;         ///< it has reported
  bool steady_ = true;              ///< what the last warm-up found
};

}  // namespace

std::unique_ptr<Workload> command_workload(Clock& clock, Launcher& launcher, CommandOptions options) {
  if (options.reading.talks) return step_workload(clock, launcher, std::move(options));
  if (options.reading.ends_by_itself) return execution_workload(clock, launcher, std::move(options));
  return std::make_unique<CommandWorkload>(clock, launcher, std::move(options));
}

}  // namespace polythrottle
