#include "server/jobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace polythrottle::server {
namespace {

constexpr Seconds kLook{0.5};  // between two looks at whether to stop, while a program is slow to offer
constexpr std::size_t kMostWords = 100;
constexpr long kOpenEnded = 1'000'000;  // optimizer steps, for a job that does not say how many

tl::unexpected<Failure> refuse(Refusal refusal, Errc code, std::string what, std::string hint = {}) {
  return tl::unexpected<Failure>(Failure{refusal, Error{code, std::move(what), std::move(hint)}});
}
tl::unexpected<Failure> no_such(std::uint64_t job) {
  return refuse(Refusal::kNotFound, Errc::kNotFound, fmt::format("there is no job {}", job));
}

/// How much a program slows batches down is not known while this lives.
class Unsure {
 public:
  explicit Unsure(Dispatcher& dispatcher) : dispatcher_(dispatcher) { dispatcher_.unsure(true); }
  ~Unsure() { dispatcher_.unsure(false); }
  Unsure(const Unsure&) = delete;
  Unsure& operator=(const Unsure&) = delete;

 private:
  Dispatcher& dispatcher_;
};

}  // namespace

struct Jobs::Entry {
  JobStatus status;
  std::jthread thread;
  bool running = false;  // the thread is in `run`
  bool paused = false, cancelled = false;
  std::optional<serving::JobId> core;  // while it is submitted there
  std::optional<int> permit;           // items the core lets it do ...
  StepDone done;                       // ... and whom to tell
  std::condition_variable_any changed;
  std::uint64_t turn = 0;       // goes up when a run ends: permits for an earlier one are of no use
  job::Job* program = nullptr;  // while the thread has one
};

Jobs::Jobs(Clock& clock, job::Store& store, Dispatcher& dispatcher, JobsOptions options)
    : clock_(clock), store_(store), dispatcher_(dispatcher), options_(std::move(options)) {
  for (auto& record : store_.records()) {
    auto entry = std::make_shared<Entry>();
    auto& status = entry->status;
    status.id = record.id;
    status.spec = record.spec;
    status.state = record.state;
    status.kind = record.kind;
    status.steps_done = record.steps_done;
    status.steps = record.steps;
    status.submitted = record.submitted;
    status.ended = record.ended;
    status.exit_code = record.exit_code;
    status.why = record.why;
    entries_.emplace(record.id, std::move(entry));
  }
}

Jobs::~Jobs() { stop(); }

tl::expected<std::uint64_t, Failure> Jobs::submit(const job::Spec& spec) {
  const auto kind = job::find_kind(spec.kind);
  if (!kind) return tl::unexpected<Failure>(Failure{refusal_of(kind.error().code), kind.error()});
  if (spec.deadline && (*kind)->name != std::string_view("step")) {
    return refuse(Refusal::kInvalid, Errc::kInvalid, "job: a deadline is for jobs that say how much they do",
                  "kind 'step' does (docs/step-protocol.md)");
  }
  const std::lock_guard lock(mutex_);
  if (stopping_) return refuse(Refusal::kNotReady, Errc::kBusy, "the server is going down");
  const auto record = store_.add(spec, clock_.wall_seconds());
  if (!record) return tl::unexpected<Failure>(Failure{Refusal::kInternal, record.error()});
  auto entry = std::make_shared<Entry>();
  entry->status.id = record->id;
  entry->status.spec = spec;
  entry->status.kind = (*kind)->name;
  entry->status.submitted = record->submitted;
  entries_.emplace(record->id, entry);
  start(entry);
  return record->id;
}

// With the lock held.
void Jobs::start(const std::shared_ptr<Entry>& entry) {
  entry->paused = entry->cancelled = false;
  entry->status.steps_done = 0;  // it does everything again, unless it kept where it was itself
  entry->status.steps.reset();
  entry->status.ended.reset();
  entry->status.exit_code.reset();
  entry->running = true;
  set(*entry, job::State::kStarting, "it was started and has not yet offered a step");
  if (entry->thread.joinable()) ended_.push_back(std::move(entry->thread));  // an earlier run's, on its way out
  entry->thread = std::jthread([this, entry](std::stop_token stop) { run(entry, std::move(stop)); });
}

// With the lock held.
void Jobs::set(Entry& entry, job::State state, std::string why) {
  const bool told = entry.status.state != state;
  entry.status.state = state;
  entry.status.why = std::move(why);
  if (job::is_over(state)) entry.status.ended = clock_.wall_seconds();
  // Waiting and stepping alternate many times a second, and a restart makes the same of both.
  if (told && state != job::State::kStepping && state != job::State::kWaiting) save(entry);
}

void Jobs::save(Entry& entry) {
  const auto& status = entry.status;
  job::Record record{status.id,    status.spec,      status.state, status.kind,      status.steps_done,
                     status.steps, status.submitted, status.ended, status.exit_code, status.why};
  // A full disk must not stop what runs; the state is written again with the next change.
  (void)store_.save(record);
}

void Jobs::run(const std::shared_ptr<Entry>& entry, std::stop_token stop) {
  job::Spec spec;
  {
    const std::lock_guard lock(mutex_);
    spec = entry->status.spec;
  }
  Status outcome;
  std::optional<int> exit;
  {
    std::unique_ptr<job::Job> program;
    const auto kind = job::find_kind(spec.kind);
    auto started = kind ? (*kind)->start(spec, store_.work_folder(entry->status.id), store_.output_path(entry->status.id))
                        : Result<std::unique_ptr<job::Job>>(tl::unexpected<Error>(kind.error()));
    if (started) {
      program = std::move(*started);
      dispatcher_.program_beside(true);
      {
        const std::lock_guard lock(mutex_);
        entry->program = program.get();
        if (stop.stop_requested()) program->cut();
      }
      outcome = serve_steps(entry, *program, stop);
      exit = program->ended();
      const std::lock_guard lock(mutex_);
      entry->program = nullptr;
    } else {
      outcome = tl::unexpected<Error>(started.error());
    }
    const bool ran = program != nullptr;
    program.reset();  // whatever is left of it ends here
    if (ran) dispatcher_.program_beside(false);
  }
  std::optional<serving::JobId> core;
  StepDone done;
  {
    const std::lock_guard lock(mutex_);
    ++entry->turn;
    core = std::exchange(entry->core, std::nullopt);
    done = std::exchange(entry->done, nullptr);
    entry->permit.reset();
    entry->status.exit_code = exit;
    if (entry->cancelled) {
      set(*entry, job::State::kCancelled, "it was cancelled");
    } else if (stop.stop_requested()) {
      set(*entry, job::State::kInterrupted, "the server ended; 'resume' starts it again");
    } else if (!outcome) {
      set(*entry, job::State::kFailed, outcome.error().text());
    } else if (exit && *exit != 0) {
      set(*entry, job::State::kFailed, fmt::format("it ended with exit code {}", *exit));
    } else {
      set(*entry, job::State::kDone, "it ended by itself");
    }
    entry->running = false;
  }
  if (done) done(false);
  if (core) dispatcher_.cancel(*core);
}

Status Jobs::serve_steps(const std::shared_ptr<Entry>& entry, job::Job& program, std::stop_token stop) {
  auto bounded = clock_.now();
  const auto interrupted = [&] { return stop.stop_requested() || entry->cancelled; };
  // Its next offer, or nothing where it ended or is to end.
  const auto next = [&](Seconds patience) -> Result<std::optional<job::Offer>> {
    const auto deadline = clock_.now() + patience;
    for (;;) {
      auto offer = program.next(kLook);
      if (offer || offer.error().code != Errc::kTimeout || clock_.now() > deadline) return offer;
      const std::lock_guard lock(mutex_);
      if (interrupted()) return std::optional<job::Offer>();
    }
  };
  auto unsure = std::make_unique<Unsure>(dispatcher_);
  TRY(auto offer, next(options_.start_up));
  if (!offer) return {};
  interference::WorkCost cost = offer->cost.value_or(interference::WorkCost{});
  const bool sliced = program.kind() != "step";
  if (!offer->cost || (!dispatcher_.calibrated() && !options_.simulated)) {
    {
      const std::lock_guard lock(mutex_);
      set(*entry, job::State::kStepping, "its first steps are run beside batches, to learn how the two slow each other down");
    }
    CoRunOptions co{.inference = options_.inference,
                    .batch_alone = options_.batch_alone,
                    .speeds = dispatcher_.speeds(),
                    .largest_batch = options_.largest_batch,
                    .patience = options_.patience,
                    .dimensions = options_.dimensions,
                    .stop = stop};
    if (dispatcher_.calibrated() || options_.simulated) co.beside = 0;
    co.quiet = [&] { return dispatcher_.quiet(); };
    const auto backend = dispatcher_.backend();
    // Two jobs at once would learn of each other.
    const std::lock_guard one(co_runs_);
    if (stop.stop_requested()) return {};
    TRY(auto runs, make_co_runs(program, *offer, *backend, clock_, co));
    dispatcher_.learn(runs.samples);
    if (runs.over) return {};
    cost = runs.cost;
    const std::lock_guard lock(mutex_);
    entry->status.steps_done += runs.items / offer->items;
    offer = runs.next;
  }
  unsure.reset();
  for (;;) {
    serving::JobSpec spec{.name = entry->status.spec.name,
                          .cost = cost,
                          .items = offer->items,
                          .steps = offer->open_ended ? kOpenEnded : offer->steps,
                          .pieces = offer->pieces,
                          .deadline = {}};
    if (entry->status.spec.deadline && !offer->open_ended) {
      const double passed = clock_.wall_seconds() - entry->status.submitted;
      spec.deadline = *entry->status.spec.deadline - Seconds(passed);
    }
    const auto let = [this, entry, turn = entry->turn](int items, StepDone done) {
      {
        const std::lock_guard lock(mutex_);
        if (entry->turn == turn) {
          entry->permit = items;
          entry->done = std::exchange(done, nullptr);
          entry->changed.notify_all();
        }
      }
      if (done) done(false);  // it ended meanwhile
    };
    TRY(const auto core, dispatcher_.submit(spec, let));
    bool paused = false;
    {
      const std::lock_guard lock(mutex_);
      entry->core = core;
      if (!offer->open_ended) entry->status.steps = entry->status.steps_done + offer->steps;
      paused = entry->paused;
      set(*entry, paused ? job::State::kPaused : job::State::kWaiting, paused ? "it was paused" : "it waits for its turn");
    }
    if (paused) dispatcher_.pause(core, true);
    int of_step = 0;
    for (;;) {
      int items = 0;
      StepDone done;
      {
        std::unique_lock lock(mutex_);
        entry->changed.wait(lock, stop, [&] { return entry->permit || entry->cancelled; });
        if (interrupted()) return {};
        items = *std::exchange(entry->permit, std::nullopt);
        done = std::exchange(entry->done, nullptr);
        set(*entry, job::State::kStepping, fmt::format("it was let {} of the {} items of a step", items, offer->items));
      }
      const auto took = program.run(items, options_.patience);
      if (!took) {
        done(false);
        const bool ended = sliced && program.ended().has_value();
        return ended ? Status() : tl::unexpected<Error>(took.error());
      }
      {
        const std::lock_guard lock(mutex_);
        of_step += items;
        if (of_step >= offer->items) {
          of_step = 0;
          ++entry->status.steps_done;
        }
        if (!entry->paused) set(*entry, job::State::kWaiting, "it waits for its turn");
      }
      if (clock_.now() - bounded > kLook) {
        (void)store_.bound_output(entry->status.id);  // a disk that cannot is found out when it is full
        bounded = clock_.now();
      }
      // What it does between two steps is not of the step's time: the core is told that the step is over, and to give none until the job
      // asks for one.
      if (!sliced) dispatcher_.pause(core, true);
      done(true);
      const auto further = next(options_.patience);
      if (!further) return tl::unexpected<Error>(further.error());
      if (!*further) return {};
      bool go_on = false;
      {
        const std::lock_guard lock(mutex_);
        go_on = !entry->paused;
      }
      if (!sliced && go_on) dispatcher_.pause(core, false);
      if (!dispatcher_.items_left(core)) {  // through with what it had said: it offers more
        offer = *further;
        break;
      }
    }
  }
}

std::shared_ptr<Jobs::Entry> Jobs::find(std::uint64_t job) const {
  const auto found = entries_.find(job);
  return found == entries_.end() ? nullptr : found->second;
}

std::vector<JobStatus> Jobs::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<JobStatus> out;
  const auto why = dispatcher_.why_no_step();
  for (const auto& [id, entry] : entries_) {
    out.push_back(entry->status);
    if (why && entry->status.state == job::State::kWaiting) out.back().why += ": " + *why;
  }
  return out;
}

tl::expected<void, Failure> Jobs::pause(std::uint64_t job, bool paused) {
  std::optional<serving::JobId> core;
  {
    const std::lock_guard lock(mutex_);
    const auto entry = find(job);
    if (!entry) return no_such(job);
    if (job::is_over(entry->status.state)) {
      return refuse(Refusal::kConflict, Errc::kInvalid, fmt::format("job {} is {}", job, job::to_string(entry->status.state)));
    }
    if (!paused && entry->status.state == job::State::kInterrupted) {
      if (stopping_) return refuse(Refusal::kNotReady, Errc::kBusy, "the server is going down");
      start(entry);
      return {};
    }
    entry->paused = paused;
    if (paused) {
      set(*entry, job::State::kPaused, "it was paused");
    } else if (entry->status.state == job::State::kPaused) {
      set(*entry, job::State::kWaiting, "it waits for its turn");
    }
    core = entry->core;
  }
  // Not with the lock held: the core may answer with a permit, which takes it.
  if (core) dispatcher_.pause(*core, paused);
  return {};
}

tl::expected<void, Failure> Jobs::cancel(std::uint64_t job) {
  const std::lock_guard lock(mutex_);
  const auto entry = find(job);
  if (!entry) return no_such(job);
  if (job::is_over(entry->status.state))
    return refuse(Refusal::kConflict, Errc::kInvalid, fmt::format("job {} is {}", job, job::to_string(entry->status.state)));
  if (!entry->running) {
    set(*entry, job::State::kCancelled, "it was cancelled");
    return {};
  }
  entry->cancelled = true;
  entry->thread.request_stop();
  entry->changed.notify_all();
  if (entry->program != nullptr) entry->program->cut();
  return {};
}

tl::expected<std::string, Failure> Jobs::logs(std::uint64_t job, std::size_t offset) const {
  {
    const std::lock_guard lock(mutex_);
    if (!find(job)) return no_such(job);
  }
  auto text = store_.read_output(job, offset);
  if (!text) return tl::unexpected<Failure>(Failure{Refusal::kInternal, text.error()});
  return std::move(*text);
}

tl::expected<std::vector<std::string>, Failure> Jobs::why(std::uint64_t job) const {
  std::string words;
  {
    const std::lock_guard lock(mutex_);
    const auto entry = find(job);
    if (!entry) return no_such(job);
    words = fmt::format("job {} is {}: {}", job, job::to_string(entry->status.state), entry->status.why);
  }
  auto out = dispatcher_.decisions(kMostWords);
  out.push_back(std::move(words));
  return out;
}

void Jobs::stop() {
  std::vector<std::jthread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    threads = std::exchange(ended_, {});
    for (auto& [id, entry] : entries_) {
      if (!entry->thread.joinable()) continue;
      entry->thread.request_stop();
      entry->changed.notify_all();
      if (entry->program != nullptr) entry->program->cut();
      threads.push_back(std::move(entry->thread));
    }
  }
  threads.clear();  // joins
}

}  // namespace polythrottle::server
