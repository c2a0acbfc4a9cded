#include "server/dispatcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace polythrottle::server {
namespace {

constexpr std::size_t kMostLatencies = 100'000;  // kept for the page between two of its looks

/// A wake-up or a batch that begins later than this is something that happens once in a long while; until so many were seen, what an idle
/// Linux does without tuning stands for them.
constexpr std::size_t kLags = 512;
constexpr Seconds kFirstLag{0.002};
/// The client's clock runs while its request and our answer are on their way, which we do not see: so much is left for that, at most.
constexpr Seconds kOnTheWay{0.001};
constexpr double kOfTheSlo = 0.02;

std::uint64_t nanoseconds(Seconds time) { return time > Seconds(0) ? static_cast<std::uint64_t>(time.count() * 1e9) : 0; }

/// Why a request was dropped, for the client.
Error words(serving::Cause cause, std::size_t queued) {
  switch (cause) {
    case serving::Cause::kExpired: return {Errc::kTimeout, "dropped: it waited past its deadline", "the server is overloaded"};
    case serving::Cause::kHopeless:
      return {Errc::kTimeout, "dropped: it could not be answered by its deadline any more", "give it a longer timeout, or send fewer"};
    case serving::Cause::kQueueFull: return {Errc::kBusy, fmt::format("dropped: the queue is full ({} wait)", queued), "send fewer"};
    case serving::Cause::kDraining: return {Errc::kBusy, "the server is going down", ""};
    default: return {Errc::kBusy, fmt::format("dropped: {}", serving::to_string(cause)), ""};
  }
}

std::vector<Tensor> rows_of(const std::vector<Tensor>& tensors, std::int64_t first, std::int64_t count, std::int64_t all) {
  if (first == 0 && count == all) return tensors;
  std::vector<Tensor> part;
  for (const auto& tensor : tensors) part.push_back(rows(tensor, first, count));
  return part;
}

Result<std::vector<std::vector<Tensor>>> run_guarded(Backend& backend, std::span<const Slice> slices) {
  try {
    auto outputs = backend.run(slices);
    if (outputs && outputs->size() != slices.size())
      return fail(Errc::kIo, "the engine answered another number of requests than it was given");
    return outputs;
  } catch (const std::exception& thrown) {
    return fail(Errc::kIo, fmt::format("the engine failed: {}", thrown.what()));
  }
}

}  // namespace

struct Dispatcher::Entry {
  InferRequest request;
  std::int64_t rows = 1;
  Answer answer;  // empty once it was called
  serving::Time arrived{0};
  std::optional<serving::Time> started;
  serving::Time deadline{0};
  std::int64_t answered = 0;                                          // rows
  std::vector<std::pair<std::int64_t, std::vector<Tensor>>> outputs;  // by first row
};

Dispatcher::Dispatcher(Clock& clock, DispatcherOptions options, std::unique_ptr<serving::Policy> policy,
                       std::unique_ptr<interference::Predictor> predictor, std::unique_ptr<serving::RowChoice> rows,
                       std::shared_ptr<Backend> backend)
    : clock_(clock),
      began_(clock.now()),
      options_(std::move(options)),
      core_(options_.core, std::move(policy), std::move(predictor), std::move(rows)),
      backend_(std::move(backend)) {
  lagged(kFirstLag);
  counts_.latency = counts_.queue = counts_.compute = latency_histogram();
  counts_.batch = size_histogram();
  counts_.error.bounds = {0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.5, 2.0, 5.0};
  counts_.error.counts.assign(counts_.error.bounds.size() + 1, 0);
  if (!options_.costs.empty()) {
    // Without a row that meets the SLO there is nothing to hold batches against.
    if (auto watch = serving::RowWatch::make(options_.costs, options_.core.slo)) watch_ = std::move(*watch);
  }
  engine_ = std::jthread([this](std::stop_token stop) { run_batches(std::move(stop)); });
  rows_ = std::jthread([this](std::stop_token stop) { run_rows(std::move(stop)); });
  time_ = std::jthread([this](std::stop_token stop) { run_timer(std::move(stop)); });
}

Dispatcher::~Dispatcher() { stop(Seconds(0)); }

void Dispatcher::infer(InferRequest request, std::int64_t rows, Answer answer) {
  auto entry = std::make_shared<Entry>();
  entry->request = std::move(request);
  entry->rows = rows;
  entry->answer = std::move(answer);
  Calls calls;
  {
    const std::lock_guard lock(mutex_);
    const auto time = now();
    ++counts_.requests;
    entry->arrived = time;
    entry->deadline = time + entry->request.timeout.value_or(options_.core.slo);
    if (stopping_) {
      refuse(entry, {Refusal::kNotReady, words(serving::Cause::kDraining, 0)}, calls);
    } else {
      for (std::int64_t row = 0; row < rows && entry->answer; ++row) {
        const auto id = next_request_++;
        items_.emplace(id, Item{entry, row});
        perform(core_.on_arrival(time, id, entry->deadline), calls);
      }
    }
  }
  for (const auto& call : calls) call();
}

void Dispatcher::swap(std::shared_ptr<Backend> backend) {
  const std::lock_guard lock(mutex_);
  backend_ = std::move(backend);
}

std::shared_ptr<Backend> Dispatcher::backend() const {
  const std::lock_guard lock(mutex_);
  return backend_;
}

Result<serving::JobId> Dispatcher::submit(serving::JobSpec job, RunStep run) {
  Calls calls;
  Result<serving::JobId> id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (job.deadline) *job.deadline = now() + *job.deadline;
    // The core may let the first step go at once: who runs it must be known by then. Ids are given in order.
    auto submitted = core_.submit(now(), std::move(job));
    if (!submitted) return tl::unexpected<Error>(submitted.error());
    id = submitted->id;
    jobs_.emplace(*id, RunningJob{std::move(run)});
    perform(std::move(submitted->actions), calls);
  }
  for (const auto& call : calls) call();
  return id;
}

void Dispatcher::pause(serving::JobId job, bool paused) {
  Calls calls;
  {
    const std::lock_guard lock(mutex_);
    if (!jobs_.contains(job)) return;
    perform(core_.pause(now(), job, paused), calls);
  }
  for (const auto& call : calls) call();
}

void Dispatcher::cancel(serving::JobId job) {
  Calls calls;
  {
    const std::lock_guard lock(mutex_);
    if (jobs_.erase(job) == 0) return;
    perform(core_.cancel(now(), job), calls);
  }
  for (const auto& call : calls) call();
}

std::optional<long> Dispatcher::items_left(serving::JobId job) const {
  const std::lock_guard lock(mutex_);
  for (const auto& pending : core_.jobs()) {
    if (pending.id == job) return pending.items_left();
  }
  return std::nullopt;
}

bool Dispatcher::calibrated() const {
  const std::lock_guard lock(mutex_);
  return core_.predictor().calibrated();
}

void Dispatcher::learn(const interference::Samples& samples) {
  const std::lock_guard lock(mutex_);
  core_.learn(samples);
}

bool Dispatcher::quiet() const {
  const std::lock_guard lock(mutex_);
  return items_.empty() && to_run_.empty() && core_.idle();
}

void Dispatcher::program_beside(bool begins) {
  const std::lock_guard lock(mutex_);
  beside_ += begins ? 1 : -1;
  ++upsets_;
}

void Dispatcher::unsure(bool begins) {
  Calls calls;
  {
    const std::lock_guard lock(mutex_);
    unsure_ += begins ? 1 : -1;
    set_lag();
    perform(core_.on_tick(now()), calls);  // what waits may have to go at once
  }
  for (const auto& call : calls) call();
}

interference::Speeds Dispatcher::speeds() const {
  const std::lock_guard lock(mutex_);
  return options_.core.rows[core_.row()].speeds;
}

void Dispatcher::alarm(serving::Alarm alarm) {
  Calls calls;
  {
    const std::lock_guard lock(mutex_);
    perform(core_.on_alarm(now(), alarm), calls);
  }
  for (const auto& call : calls) call();
}

void Dispatcher::set_slo(Seconds slo) {
  Calls calls;
  {
    const std::lock_guard lock(mutex_);
    perform(core_.set_slo(now(), slo), calls);
  }
  for (const auto& call : calls) call();
}

// With the lock held.
void Dispatcher::perform(std::vector<serving::Action> actions, Calls& calls) {
  wake_.reset();  // an event came before it
  for (auto& action : actions) {
    if (auto* const run = std::get_if<serving::RunBatch>(&action)) {
      to_run_.push_back(gather(*run));
      batches_.notify_one();
    } else if (const auto* const step = std::get_if<serving::RunStep>(&action)) {
      ++counts_.permits;
      ++beside_;
      ++upsets_;
      counts_.items += static_cast<std::uint64_t>(step->items);
      const auto found = jobs_.find(step->job);
      const auto done = [this, id = step->id, job = step->job](bool well) { step_done(id, job, well); };
      if (found == jobs_.end()) {
        calls.push_back([done] { done(false); });
      } else {
        calls.push_back([run = found->second.run, items = step->items, done] { run(items, done); });
      }
    } else if (const auto* const drop = std::get_if<serving::Drop>(&action)) {
      const auto found = items_.find(drop->request);
      if (found == items_.end()) continue;
      const auto entry = std::move(found->second.entry);
      items_.erase(found);
      if (entry->answer) ++counts_.drops[serving::to_string(drop->cause)];
      refuse(entry, {drop->cause == serving::Cause::kDraining ? Refusal::kNotReady : Refusal::kDropped, words(drop->cause, core_.queued())},
             calls);
    } else if (const auto* const apply = std::get_if<serving::Apply>(&action)) {
      to_apply_ = apply->row;
      ++upsets_;
      changes_.notify_one();
    } else if (const auto* const wake = std::get_if<serving::WakeAt>(&action)) {
      wake_ = wake->when;
    }
  }
  timer_.notify_one();
  if (core_.idle()) idle_.notify_all();
}

Dispatcher::Batch Dispatcher::gather(const serving::RunBatch& action) {
  Batch batch{action.id, action.requests.size(), {}, {}};
  if (!core_.records().empty()) {
    for (auto record = core_.records().rbegin(); record != core_.records().rend(); ++record) {
      if (record->act == serving::Act::kBatch && record->subject == action.id) {
        batch.predicted = record->predicted;
        break;
      }
    }
  }
  for (const auto id : action.requests) {
    const auto found = items_.find(id);
    if (found == items_.end()) continue;
    Item item = std::move(found->second);
    items_.erase(found);
    if (!item.entry->answer) continue;  // a row of it was dropped, and the request with it
    if (!batch.parts.empty() && batch.parts.back().entry == item.entry && batch.parts.back().first + batch.parts.back().count == item.row) {
      ++batch.parts.back().count;
    } else {
      batch.parts.push_back({item.entry, item.row, 1, {}});
    }
  }
  const auto time = now();
  batch.decided = time;
  for (auto& part : batch.parts) {
    part.inputs = rows_of(part.entry->request.inputs, part.first, part.count, part.entry->rows);
    if (!part.entry->started) part.entry->started = time;
  }
  return batch;
}

void Dispatcher::refuse(const std::shared_ptr<Entry>& entry, Failure failure, Calls& calls) {
  if (!entry->answer) return;
  if (failure.refusal != Refusal::kDropped) ++counts_.failed;
  ++statistics_.fail_count;
  statistics_.fail_ns += nanoseconds(now() - entry->arrived);
  calls.push_back([answer = std::exchange(entry->answer, nullptr), failure = std::move(failure)]() mutable {
    answer(tl::unexpected<Failure>(std::move(failure)));
  });
}

// With the lock held. The longest of the last few hundred is what to reckon with, but for half the SLO: the rest of it is for the batch.
void Dispatcher::lagged(Seconds lag) {
  lags_.push_back(std::max(lag, Seconds(0)));
  if (lags_.size() > kLags) lags_.pop_front();
  set_lag();
}

void Dispatcher::set_lag() {
  const Seconds most = options_.core.slo / 2;
  const Seconds away = std::min(kOnTheWay, options_.core.slo * kOfTheSlo);
  core_.set_lag(unsure_ > 0 ? most : std::min(*std::max_element(lags_.begin(), lags_.end()) + away, most));
}

// With the lock held. A batch after a rest meets cold caches and fallen clocks, and says nothing of what was measured back to back.
void Dispatcher::watch(const Batch& batch, Seconds began, Seconds ended, Calls& calls) {
  if (!watch_ || beside_ > 0 || to_apply_ || batch.upset != upsets_ || began - last_end_ > ended - began) return;
  const auto alarm = watch_->batch_done(ended, core_.row(), batch.size, ended - began);
  if (!alarm) return;
  perform(core_.on_alarm(ended, *alarm), calls);
  if (options_.stale && watch_->stale()) calls.push_back([tell = options_.stale, stale = *watch_->stale()] { tell(stale); });
}

// With the lock held. Answers what is complete.
void Dispatcher::finish(Batch& batch, Result<std::vector<std::vector<Tensor>>> outputs, Seconds began, Calls& calls) {
  const auto time = now();
  const Seconds took = time - began;
  ++statistics_.execution_count;
  counts_.batch.add(static_cast<double>(batch.size));
  counts_.compute.add(took.count());
  if (batch.predicted && *batch.predicted > Seconds(0)) counts_.error.add(took / *batch.predicted);
  for (std::size_t i = 0; i < batch.parts.size(); ++i) {
    auto& part = batch.parts[i];
    const auto entry = part.entry;
    if (!entry->answer) continue;
    if (!outputs) {
      const Error& error = outputs.error();
      const bool theirs = error.code == Errc::kInvalid;
      refuse(entry, {theirs ? Refusal::kInvalid : options_.upstream ? Refusal::kUpstream : Refusal::kInternal, error}, calls);
      continue;
    }
    entry->outputs.emplace_back(part.first, std::move((*outputs)[i]));
    entry->answered += part.count;
    if (entry->answered < entry->rows) continue;
    const Seconds latency = time - entry->arrived, queued = *entry->started - entry->arrived;
    ++counts_.answered;
    if (time > entry->deadline) ++counts_.late;
    counts_.latency.add(latency.count());
    counts_.queue.add(queued.count());
    if (latencies_.size() < kMostLatencies) latencies_.push_back(latency.count());
    ++statistics_.success_count;
    statistics_.inference_count += static_cast<std::uint64_t>(entry->rows);
    statistics_.success_ns += nanoseconds(latency);
    statistics_.queue_ns += nanoseconds(queued);
    statistics_.compute_infer_ns += nanoseconds(latency - queued);
    statistics_.last_inference_ms = static_cast<std::uint64_t>(clock_.wall_seconds() * 1e3);
    calls.push_back([entry, answer = std::exchange(entry->answer, nullptr)] {
      InferResponse response{{}, {}, entry->request.id, {}};
      auto& parts = entry->outputs;
      std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      for (std::size_t output = 0; output < parts.front().second.size(); ++output) {
        const auto& name = parts.front().second[output].name;
        const auto& wanted = entry->request.outputs;
        if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), name) == wanted.end()) continue;
        std::vector<Tensor> pieces;
        for (const auto& [first, tensors] : parts) pieces.push_back(tensors[output]);
        response.outputs.push_back(join(pieces));
      }
      answer(std::move(response));
    });
  }
}

void Dispatcher::run_batches(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (batches_.wait(lock, stop, [&] { return !to_run_.empty(); })) {
    Batch batch = std::move(to_run_.front());
    to_run_.pop_front();
    const auto backend = backend_;
    batch.upset = upsets_;
    lagged(now() - batch.decided);
    lock.unlock();
    const Seconds began = now();
    std::vector<Slice> slices;
    for (const auto& part : batch.parts) slices.push_back({part.inputs});
    auto outputs = run_guarded(*backend, slices);
    Calls calls;
    if (!outputs && slices.size() > 1) {
      // One bad request must not cost the others their answers: each is tried by itself.
      for (std::size_t i = 0; i < slices.size(); ++i) {
        Batch alone{batch.id, static_cast<std::size_t>(batch.parts[i].count), {}, {}};
        alone.parts.push_back(std::move(batch.parts[i]));
        const Slice own{alone.parts.front().inputs};
        const Seconds from = now();
        auto answered = run_guarded(*backend, {&own, 1});
        const std::lock_guard again(mutex_);
        finish(alone, std::move(answered), from, calls);
      }
      batch.parts.clear();
      lock.lock();
    } else {
      lock.lock();
      const Seconds ended = now();
      if (outputs) watch(batch, began, ended, calls);
      finish(batch, std::move(outputs), began, calls);
      last_end_ = ended;
    }
    perform(core_.on_batch_done(now(), batch.id), calls);
    lock.unlock();
    for (const auto& call : calls) call();
    lock.lock();
  }
}

void Dispatcher::step_done(serving::StepId step, serving::JobId job, bool done) {
  Calls calls;
  {
    const std::lock_guard lock(mutex_);
    --beside_;
    ++upsets_;
    perform(core_.on_step_done(now(), step), calls);
    if (!done && jobs_.erase(job) != 0) perform(core_.cancel(now(), job), calls);
  }
  for (const auto& call : calls) call();
}

void Dispatcher::run_rows(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (changes_.wait(lock, stop, [&] { return to_apply_.has_value(); })) {
    const std::size_t row = *std::exchange(to_apply_, std::nullopt);
    const auto& wanted = options_.core.rows[row];
    lock.unlock();
    bool well = false;
    try {
      well = options_.apply && options_.apply(wanted);
    } catch (const std::exception&) {
      well = false;
    }
    lock.lock();
    ++upsets_;
    Calls calls;
    perform(core_.on_applied(now(), row, well), calls);
    lock.unlock();
    for (const auto& call : calls) call();
    lock.lock();
  }
}

void Dispatcher::run_timer(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (!wake_) {
      timer_.wait(lock, stop, [&] { return wake_.has_value(); });
      continue;
    }
    const auto when = *wake_;
    const Seconds left = when - now();
    if (left > Seconds(0)) {
      timer_.wait_for(lock, stop, left, [&] { return wake_ != when; });
      if (wake_ != when || now() < when) continue;
    }
    wake_.reset();
    Calls calls;
    lagged(now() - when);
    perform(core_.on_tick(now()), calls);
    lock.unlock();
    for (const auto& call : calls) call();
    lock.lock();
  }
}

void Dispatcher::describe(Snapshot& snapshot) const {
  const std::lock_guard lock(mutex_);
  snapshot.requests = counts_.requests;
  snapshot.answered = counts_.answered;
  snapshot.late = counts_.late;
  snapshot.failed = counts_.failed;
  snapshot.drops = counts_.drops;
  snapshot.permits = counts_.permits;
  snapshot.items = counts_.items;
  snapshot.latency = counts_.latency;
  snapshot.queue = counts_.queue;
  snapshot.compute = counts_.compute;
  snapshot.batch = counts_.batch;
  snapshot.error = counts_.error;
  snapshot.queued = core_.queued();
  snapshot.rate = core_.arrivals(now()).rate;
  snapshot.row = core_.row();
  snapshot.slo = options_.core.slo.count();
  snapshot.holds = 0;
  for (const auto& record : core_.records()) {
    if (record.act == serving::Act::kHoldStep) ++snapshot.holds;
    if (record.act == serving::Act::kRow) ++snapshot.switches[serving::to_string(record.cause)];
  }
}

ModelStatistics Dispatcher::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

std::vector<std::string> Dispatcher::decisions(std::size_t most) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  const auto& records = core_.records();
  for (auto record = records.rbegin(); record != records.rend() && out.size() < most; ++record) {
    // Between two of its steps a job is paused by us; when its owner did it, its state says so.
    if (record->cause == serving::Cause::kPaused) continue;
    if (record->act == serving::Act::kStep || record->act == serving::Act::kHoldStep || record->act == serving::Act::kRow ||
        record->act == serving::Act::kDrop) {
      out.push_back(serving::sentence(*record));
    }
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::optional<std::string> Dispatcher::why_no_step() const {
  const std::lock_guard lock(mutex_);
  const auto& records = core_.records();
  for (auto record = records.rbegin(); record != records.rend(); ++record) {
    if (record->act == serving::Act::kStep) return std::nullopt;
    if (record->act == serving::Act::kHoldStep && record->cause != serving::Cause::kPaused) return serving::reason(*record);
  }
  return std::nullopt;
}

std::vector<double> Dispatcher::take_latencies() {
  const std::lock_guard lock(mutex_);
  return std::exchange(latencies_, {});
}

void Dispatcher::stop(Seconds patience) {
  Calls calls;
  {
    std::unique_lock lock(mutex_);
    if (std::exchange(stopping_, true)) return;
    perform(core_.drain(now()), calls);
    lock.unlock();
    for (const auto& call : calls) call();
    calls.clear();
    lock.lock();
    idle_.wait_for(lock, patience, [&] { return items_.empty() && core_.idle(); });
    // A batch that runs is waited for below: its engine cannot be interrupted.
  }
  for (auto* const thread : {&engine_, &rows_, &time_}) {
    thread->request_stop();
    if (thread->joinable()) thread->join();
  }
  {
    const std::lock_guard lock(mutex_);
    for (auto& batch : to_run_) {
      for (auto& part : batch.parts) refuse(part.entry, {Refusal::kNotReady, words(serving::Cause::kDraining, 0)}, calls);
    }
    to_run_.clear();
    for (auto& [id, item] : items_) refuse(item.entry, {Refusal::kNotReady, words(serving::Cause::kDraining, 0)}, calls);
    items_.clear();
  }
  for (const auto& call : calls) call();
}

}  // namespace polythrottle::server
