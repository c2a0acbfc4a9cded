#include "workload/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <deque>
#include <exception>
#include <latch>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

#include "workload/limit.h"
#include "workload/steadiness.h"

namespace polythrottle {
namespace {

constexpr std::size_t kMaxWaiting = 10'000;  ///< requests; more than these and the device will not catch up
constexpr double kMaxWaitingShare = 0.05;    ///< of the requests so far
constexpr Seconds kLongestNap{0.1};          ///< so that a stop is noticed
constexpr double kInstant = 1e-7;            ///< seconds; times closer than this are the same time

/// What the instances of one run have in common.
struct Tally {
  Work& work;  ///< grows under the mutex
  std::mutex mutex{};
  std::optional<LimitWatch> watch{};
  std::atomic<bool> over{false};  ///< no further batch

  void add(const Completion& completion) {
    work.completions.push_back(completion);
    work.inferences += completion.inferences;
  }
  /// Is the shortest run over, with the sample that was asked for? Under the mutex.
  bool sampled(const Budget& budget, Seconds elapsed) const {
    return elapsed >= budget.at_least && work.completions.size() >= budget.samples;
  }
};

/// Requests that have come or will come next, and what decides when a batch of them starts. Seconds from the start of the run.
class Queue {
 public:
  Queue(Arrivals schedule, std::size_t batch, double delay) : schedule_(std::move(schedule)), batch_(batch), delay_(delay) {
    schedule_.restart();
  }

  /// Knows every request up to `now`, and always the next batch.
  void look_ahead(double now) {
    while (requests_.size() < batch_ || (requests_.back() <= now + kInstant && requests_.size() <= kMaxWaiting + batch_)) {
      requests_.push_back(schedule_.next().count());
    }
  }
  double next() const { return requests_.front(); }
  /// When a free instance starts the next batch.
  double due() const { return std::min(requests_[batch_ - 1], next() + delay_); }
  /// Requests that have come by `now` and are not taken.
  std::size_t waiting(double now) const {
    const auto end = std::upper_bound(requests_.begin(), requests_.end(), now + kInstant);
    return static_cast<std::size_t>(end - requests_.begin());
  }
  std::size_t taken() const { return taken_; }
  std::vector<double> take(std::size_t count) {
    const auto end = requests_.begin() + static_cast<std::ptrdiff_t>(count);
    std::vector<double> requests(requests_.begin(), end);
    requests_.erase(requests_.begin(), end);
    taken_ += count;
    return requests;
  }

 private:
  Arrivals schedule_;
  std::size_t batch_;
  double delay_;
  std::deque<double> requests_;
  std::size_t taken_ = 0;
};

class ModelWorkload final : public Workload {
 public:
  ModelWorkload(Clock& clock, EngineFactory factory, ModelOptions options, std::vector<Parameter> parameters)
      : clock_(clock), factory_(std::move(factory)), options_(std::move(options)), parameters_(std::move(parameters)) {}

  std::span<const Parameter> parameters() const override { return parameters_; }

  Status configure(const Config& config) override {
    batch_ = 0;
    steady_ = true;
    TRY(const int batch, level(config, parameters_[0]));
    TRY(const int threads, level(config, parameters_[1]));
    TRY(const int instances, level(config, parameters_[2]));
    if (threads != threads_ || engines_.size() != static_cast<std::size_t>(instances)) {
      engines_.clear();  // first, so that two sets never share the memory
      threads_ = threads;
      for (int i = 0; i < instances; ++i) {
        auto engine = factory_(threads, options_.seed + static_cast<std::uint64_t>(i));
        if (!engine) {
          engines_.clear();
          return tl::unexpected<Error>(engine.error());
        }
        engines_.push_back(std::move(*engine));
      }
    }
    for (const auto& engine : engines_) TRY_STATUS(engine->prepare(batch));
    batch_ = batch;
    return {};
  }

  Status warm_up(std::stop_token stop) override {
    TRY_STATUS(configured());
    std::atomic<std::size_t> steady_instances{0};
    std::atomic<bool> failed{false};
    Clock::TimePoint began;
    const auto outcome = on_all_instances(began, [&](Engine& engine) -> Status {
      Steadiness steadiness;
      bool steady = false;
      const auto over = [&] { return stop.stop_requested() || failed || clock_.now() - began >= kLongestWarmUp; };
      const auto run = [&]() -> Status {
        auto done = engine.run();
        if (!done) failed = true;
        return done;
      };
      if (options_.arrivals) {
        // Batches of every size will come, and the first of each size lets the runtime plan its memory.
        for (int size = 1; size < batch_ && !options_.fixed_batch && !over(); ++size) {
          TRY_STATUS(engine.prepare(size));
          TRY_STATUS(run());
        }
        TRY_STATUS(engine.prepare(batch_));
      }
      do {
        const auto before = clock_.now();
        TRY_STATUS(run());
        const auto after = clock_.now();
        steadiness.add((after - before).count());
        if (!steady && after - began >= kShortestWarmUp && steadiness.steady()) {
          steady = true;
          ++steady_instances;
        }
        // All go on until the last is steady: they share the machine.
      } while (steady_instances < engines_.size() && !over());
      return {};
    });
    steady_ = steady_instances == engines_.size() || stop.stop_requested();
    return outcome;
  }

  Result<Work> run(const Budget& budget, std::stop_token stop) override {
    TRY_STATUS(configured());
    for (const auto& engine : engines_) TRY_STATUS(engine->prepare(batch_));
    Work work;
    if (options_.fixed_batch) work.notes.push_back(fmt::format("the model's batch is fixed to {}", *options_.fixed_batch));
    if (!steady_) {
      work.notes.push_back(fmt::format("latency was not steady after {} s of warm-up", kLongestWarmUp.count()));
    }
    Tally tally{.work = work};
    TRY_STATUS(options_.arrivals ? run_open(budget, stop, tally, work) : run_closed(budget, stop, tally, work));
    std::stable_sort(work.completions.begin(), work.completions.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
    if (!work.completions.empty()) work.ended = std::max(work.ended, work.completions.back().at);
    return work;
  }

 private:
  /// The level that `config` asks of a parameter.
  static Result<int> level(const Config& config, const Parameter& parameter) {
    const auto wanted = config.get(parameter.name);
    if (!wanted) return static_cast<int>(std::get<double>(parameter.levels.front()));
    if (std::find(parameter.levels.begin(), parameter.levels.end(), *wanted) == parameter.levels.end()) {
      return fail(Errc::kOutOfRange, fmt::format("{}={} is not one of its levels", parameter.name, to_text(*wanted)));
    }
    return static_cast<int>(std::get<double>(*wanted));
  }

  Status configured() const {
    if (batch_ == 0) return fail(Errc::kInvalid, "the model has no valid setting yet");
    return {};
  }

  /// Calls `body(engine)` for every instance at once, each on its own thread, and answers the first error. `began` is set before.
  template <class Body>
  Status on_all_instances(Clock::TimePoint& began, Body body) {
    std::vector<Status> outcomes(engines_.size());
    std::latch go(1);
    bool cancelled = false;
    {
      std::vector<std::jthread> threads;
      const auto call = [&](std::size_t i) {
        go.wait();
        if (cancelled) return;
        try {
          outcomes[i] = body(*engines_[i]);
        } catch (const std::exception& error) {
          outcomes[i] = fail(Errc::kIo, fmt::format("instance {}: {}", i, error.what()));
        }
      };
      try {
        for (std::size_t i = 0; i < engines_.size(); ++i) threads.emplace_back(call, i);
      } catch (const std::exception& error) {
        cancelled = true;
        outcomes[0] = fail(Errc::kIo, fmt::format("start {} instances: {}", engines_.size(), error.what()));
      }
      began = clock_.now();
      go.count_down();
    }
    for (auto& outcome : outcomes) {
      if (!outcome) return outcome;
    }
    return {};
  }

  Status run_closed(const Budget& budget, const std::stop_token& stop, Tally& tally, Work& work) {
    work.completions.reserve(budget.samples + engines_.size());
    if (budget.limit) tally.watch.emplace(*budget.limit, budget.quantile);
    const auto& began = work.began;
    const auto outcome = on_all_instances(work.began, [&](Engine& engine) -> Status {
      while (!tally.over && !stop.stop_requested()) {
        const auto before = clock_.now();
        if (auto done = engine.run(); !done) {
          tally.over = true;
          return done;
        }
        const auto after = clock_.now();
        const std::lock_guard lock(tally.mutex);
        tally.add({after, after - before, static_cast<std::size_t>(batch_)});
        const bool broken = tally.watch && tally.watch->add(after - before);
        if (tally.over) return {};  // another instance ended it; what ran until then counts
        const bool sampled = tally.sampled(budget, after - began);
        // A sample that is whole stands, however slow: then nobody needs the rest of it.
        if (broken && !sampled) work.cut_short = true;
        if (broken || (sampled && (!budget.enough || budget.enough(work))) || after - began >= budget.at_most) tally.over = true;
      }
      return {};
    });
    work.ended = work.began;
    return outcome;
  }

  Status run_open(const Budget& budget, const std::stop_token& stop, Tally& tally, Work& work) {
    work.completions.reserve(budget.samples + static_cast<std::size_t>(batch_));
    if (budget.limit) tally.watch.emplace(*budget.limit, budget.quantile, static_cast<std::size_t>(batch_));
    // Whoever holds `queue_mutex` is the one free instance that waits for requests; the others that are free wait for the mutex.
    std::mutex queue_mutex;
    Queue queue(*options_.arrivals, static_cast<std::size_t>(batch_), options_.batch_delay.count());
    const auto& began = work.began;
    constexpr double kNever = std::numeric_limits<double>::infinity();
    double admitted_until = kNever;  // no batch starts for a request that comes later; it may fill one up
    double closed_at = 0.0;          // when it was known that no further batch starts
    double last_idle = 0.0;
    std::vector<double> left_waiting;

    /// Decides whether the window ends; sets `tally.over` if no further batch is to start.
    const auto close_if_due = [&](double now) {
      const auto close = [&] {
        tally.over = true;
        closed_at = now;
      };
      if (tally.over || stop.stop_requested()) return close();
      const std::size_t waiting = queue.waiting(std::min(now, admitted_until));
      if (waiting > kMaxWaiting) {
        work.saturated = true;
      } else if (admitted_until == kNever) {
        const auto enough = [&] {
          const std::lock_guard lock(tally.mutex);
          return tally.sampled(budget, Seconds(now)) && (!budget.enough || budget.enough(work));
        };
        if (now < budget.at_most.count() && !enough()) return;
        admitted_until = now;
        // A burst at the end leaves requests behind too; a device that cannot keep up has not been idle for long.
        const double allowed =
            std::max(2.0 * batch_ * static_cast<double>(engines_.size()), kMaxWaitingShare * static_cast<double>(queue.taken() + waiting));
        work.saturated = static_cast<double>(waiting) > allowed && last_idle < now / 2;
      }
      if (work.saturated) {
        left_waiting = queue.take(waiting);
        close();
      } else if (now >= budget.at_most.count()) {
        if (waiting > 0)
          work.notes.push_back(fmt::format("{} requests were still waiting when the window closed, and are not counted", waiting));
        close();
      } else if (queue.next() > admitted_until + kInstant) {
        close();
      }
    };

    const auto outcome = on_all_instances(work.began, [&](Engine& engine) -> Status {
      for (;;) {
        std::vector<double> requests;
        {
          const std::lock_guard lock(queue_mutex);
          for (;;) {
            if (tally.over) return {};
            const double now = (clock_.now() - began).count();
            queue.look_ahead(now);
            close_if_due(now);
            if (tally.over) return {};
            if (queue.due() <= now + kInstant) {
              requests = queue.take(std::min(static_cast<std::size_t>(batch_), queue.waiting(now)));
              break;
            }
            last_idle = now;
            double wake = std::min(queue.due(), now + kLongestNap.count());
            for (const auto time : {budget.at_least.count(), budget.at_most.count()}) {
              if (time > now + kInstant) wake = std::min(wake, time);
            }
            clock_.sleep_until(began + Seconds(wake));
          }
        }
        const auto size = static_cast<std::int64_t>(options_.fixed_batch ? batch_ : static_cast<std::int64_t>(requests.size()));
        auto done = engine.prepare(size);
        if (done) done = engine.run();
        if (!done) {
          tally.over = true;
          return done;
        }
        const auto after = clock_.now();
        const std::lock_guard lock(tally.mutex);
        for (const double request : requests) {
          const auto latency = after - (began + Seconds(request));
          tally.add({after, latency, 1});
          // Latencies of neighbours in a queue resemble each other, so a verdict waits for the shortest window.
          if (tally.watch && tally.watch->add(latency) && !tally.over && after - began >= budget.at_least &&
              work.completions.size() < budget.samples) {
            work.cut_short = true;
          }
        }
        if (work.cut_short) tally.over = true;
      }
    });
    work.ended = work.began + Seconds(std::max(closed_at, admitted_until == kNever ? 0.0 : admitted_until));
    for (const double request : left_waiting) {
      work.completions.push_back({work.ended, work.ended - (work.began + Seconds(request)), 0});
    }
    if (work.saturated) {
      work.notes.push_back(fmt::format("the device cannot keep up with {:.3g} requests per second: {} waited when the window closed",
                                       options_.arrivals->rate(), left_waiting.size()));
    }
    return outcome;
  }

  Clock& clock_;
  EngineFactory factory_;
  ModelOptions options_;
  std::vector<Parameter> parameters_;  // batch, threads, instances
  std::vector<std::unique_ptr<Engine>> engines_;
  int threads_ = 0;
  int batch_ = 0;       // 0: not configured
  bool steady_ = true;  // what the last warm-up found
};

Status check_levels(const char* name, const std::vector<int>& levels) {
  bool fine = !levels.empty() && levels.front() >= 1;
  for (std::size_t i = 1; i < levels.size(); ++i) fine = fine && levels[i] > levels[i - 1];
  if (!fine) return fail(Errc::kInvalid, fmt::format("levels of {}", name), "give positive whole numbers in ascending order");
  return {};
}

}  // namespace

std::vector<int> parallelism_levels(int cpus) {
  std::vector<int> levels;
  for (int level = 1; level < cpus; level *= 2) levels.push_back(level);
  levels.push_back(std::max(cpus, 1));
  return levels;
}

Result<std::unique_ptr<Workload>> model_workload(Clock& clock, EngineFactory engines, ModelOptions options) {
  if (options.fixed_batch) {
    if (*options.fixed_batch < 1 || *options.fixed_batch > std::numeric_limits<int>::max()) {
      return fail(Errc::kInvalid, fmt::format("a model with a fixed batch of {}", *options.fixed_batch));
    }
    options.batches = {static_cast<int>(*options.fixed_batch)};
  }
  if (options.threads.empty()) options.threads = parallelism_levels(options.cpus);
  if (options.instances.empty()) options.instances = parallelism_levels(options.cpus);
  TRY_STATUS(check_levels("batch", options.batches));
  TRY_STATUS(check_levels("threads", options.threads));
  TRY_STATUS(check_levels("instances", options.instances));
  if (!(options.batch_delay.count() >= 0.0) || !std::isfinite(options.batch_delay.count())) {
    return fail(Errc::kInvalid, fmt::format("a batch delay of {} s", options.batch_delay.count()), "give 0 or more");
  }
  const auto parameter = [](const char* name, Role role, const std::vector<int>& levels, const char* help) {
    Parameter made{name, "", role, {}, help};
    for (const int level : levels) made.levels.emplace_back(static_cast<double>(level));
    return made;
  };
  std::vector<Parameter> parameters = {
      parameter("batch", Role::kBatch, options.batches,
                options.fixed_batch ? "inferences at a time; the model fixes it" : "inferences at a time"),
      parameter("threads", Role::kParallelism, options.threads, "threads of one instance"),
      parameter("instances", Role::kParallelism, options.instances, "copies of the model that run side by side"),
  };
  return std::make_unique<ModelWorkload>(clock, std::move(engines), std::move(options), std::move(parameters));
}

}  // namespace polythrottle
