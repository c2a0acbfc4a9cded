#include "workload/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "workload/limit.h"

namespace polythrottle {
namespace {

constexpr Seconds kLeastWarmUp{1};
constexpr std::size_t kWarm = 20;       // answers before a window, where `longest_warm_up` allows them
constexpr Seconds kBehind{2};           // requests of so much time without an answer: it cannot keep up
constexpr std::size_t kFewest = 20;     // requests under way that are none too many in any case
constexpr std::size_t kAllFailed = 10;  // failures with no answer at all: the server is not there

class ServerWorkload final : public Workload {
 public:
  ServerWorkload(Clock& clock, ServerLoad load) : clock_(clock), o_(std::move(load)) {}

  std::span<const Parameter> parameters() const override { return {}; }
  Status configure(const Config&) override { return {}; }

  Status warm_up(std::stop_token stop) override {
    if (behind_) TRY_STATUS(drain(stop));
    std::size_t answered = 0;
    Failures failures;
    OipLoadOptions load = o_.load;
    load.duration = o_.longest_warm_up;
    const OipLoadWatch watch{
        .ended =
            [&](const Exchange& exchange) {
              answered += exchange.outcome == Exchange::Outcome::kAnswered;
              failures.add(exchange);
              return exchange.ended >= kLeastWarmUp && answered >= kWarm ? Go::kNoMore : Go::kOn;
            },
        .tick =
            [&](Seconds now, std::size_t under_way, std::size_t) {
              // The window says so; here it would only take long.
              if (too_many(under_way) && now >= kLeastWarmUp) {
                behind_ = true;
                return Go::kStop;
              }
              return failures.hopeless(answered) ? Go::kStop : Go::kOn;
            }};
    TRY(const auto run, run_oip_load(clock_, std::move(load), watch, stop));
    (void)run;
    if (stop.stop_requested() || answered > 0) return {};
    return failures.error(o_.load.server);
  }

  Result<Work> run(const Budget& budget, std::stop_token stop) override {
    Work work;
    Failures failures;
    std::optional<LimitWatch> limit;
    if (budget.limit) limit.emplace(*budget.limit, budget.quantile);
    work.began = clock_.now();
    std::optional<Seconds> closed;
    std::size_t not_answered = 0;
    OipLoadOptions load = o_.load;
    load.duration = budget.at_most;
    const auto close = [&](Seconds now, Go how) {
      if (!closed) closed = now;
      return how;
    };
    const OipLoadWatch watch{
        .ended =
            [&](const Exchange& exchange) {
              const bool answered = exchange.outcome == Exchange::Outcome::kAnswered;
              const Seconds latency = answered ? exchange.latency() : std::max(exchange.latency(), o_.load.patience);
              const std::size_t inferences = answered ? static_cast<std::size_t>(o_.inferences) : 0;
              if (exchange.outcome == Exchange::Outcome::kUnanswered) {
                work.completions.push_back({work.began + exchange.ended, exchange.latency(), 0});
                return Go::kStop;
              }
              if (closed && exchange.scheduled > *closed) return Go::kNoMore;
              // What was under way when the window closed belongs to it.
              work.completions.push_back({work.began + std::min(exchange.ended, closed.value_or(exchange.ended)), latency, inferences});
              work.inferences += inferences;
              not_answered += !answered;
              failures.add(exchange);
              if (closed) return Go::kNoMore;
              const bool broken = limit && limit->add(latency);
              if (exchange.ended < budget.at_least) return Go::kOn;
              if (broken && work.completions.size() < budget.samples) {
                work.cut_short = true;
                return close(exchange.ended, Go::kNoMore);
              }
              work.ended = work.began + exchange.ended;
              const bool sampled = work.completions.size() >= budget.samples && (!budget.enough || budget.enough(work));
              return sampled ? close(exchange.ended, Go::kNoMore) : Go::kOn;
            },
        .tick =
            [&](Seconds now, std::size_t under_way, std::size_t) {
              if (too_many(under_way) && now >= std::min(budget.at_least, kBehind)) {
                work.saturated = true;
                return close(now, Go::kStop);
              }
              if (failures.hopeless(work.inferences)) return close(now, Go::kStop);
              return closed || now >= budget.at_most ? close(now, Go::kNoMore) : Go::kOn;
            }};
    TRY(const auto ran, run_oip_load(clock_, std::move(load), watch, stop));
    work.began = ran.began;
    work.ended = ran.began + closed.value_or(ran.ended - ran.began);
    behind_ = work.saturated;
    if (work.inferences == 0 && !work.saturated && !stop.stop_requested())
      return tl::unexpected<Error>(failures.error(o_.load.server).error());
    if (work.saturated) {
      work.notes.push_back(fmt::format("the server cannot keep up with {:.3g} requests per second", o_.load.arrivals.rate()));
    } else if (not_answered > 0) {
      work.notes.push_back(fmt::format("{} of {} requests were dropped or failed, and count as answered after {:g} s: {}", not_answered,
                                       work.completions.size(), o_.load.patience.count(), failures.words()));
    }
    return work;
  }

 private:
  /// What the server said to those it did not answer.
  class Failures {
   public:
    void add(const Exchange& exchange) {
      // What we ended ourselves says nothing of the server, and would hide what does.
      if (exchange.outcome == Exchange::Outcome::kAnswered || exchange.outcome == Exchange::Outcome::kUnanswered) return;
      ++count_;
      last_ = exchange.reason;
    }
    bool hopeless(std::size_t answered) const { return answered == 0 && count_ >= kAllFailed; }
    const std::string& words() const { return last_; }
    Status error(const HttpUrl& server) const {
      return fail(Errc::kIo,
                  fmt::format("load on http://{}: nothing was answered{}{}", server.authority(), last_.empty() ? "" : ": ", last_),
                  "is the server up, and its model loaded?");
    }

   private:
    std::size_t count_ = 0;
    std::string last_;
  };

  bool too_many(std::size_t under_way) const {
    return under_way > std::max(kFewest, static_cast<std::size_t>(o_.load.arrivals.rate() * kBehind.count()));
  }

  /// One request alone is answered when those before it are: servers take them in their order.
  Status drain(std::stop_token stop) {
    OipLoadOptions load = o_.load;
    TRY(load.arrivals, Arrivals::uniform(1.0));
    load.duration = o_.longest_drain;
    load.patience = o_.longest_drain;
    TRY(const auto run,
        run_oip_load(
            clock_, std::move(load),
            {.ended = [](const Exchange& exchange) { return exchange.outcome == Exchange::Outcome::kAnswered ? Go::kStop : Go::kOn; },
             .tick = [&](Seconds now, std::size_t, std::size_t) { return now >= o_.longest_drain ? Go::kStop : Go::kOn; }},
            stop));
    (void)run;
    behind_ = false;
    return {};
  }

  Clock& clock_;
  ServerLoad o_;
  bool behind_ = false;  // the last window left it with requests
};

}  // namespace

std::unique_ptr<Workload> server_workload(Clock& clock, ServerLoad load) {
  return std::make_unique<ServerWorkload>(clock, std::move(load));
}

}  // namespace polythrottle
