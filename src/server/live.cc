#include "server/live.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/jobs.h"

namespace polythrottle::server {
namespace {

constexpr Seconds kInterval{1.0};
/// Tensors of a request to a model with free axes may be so large: there is no other bound.
constexpr std::size_t kFreeAxes = 64u << 20;

tl::unexpected<Failure> refuse(Refusal refusal, Errc code, std::string what, std::string hint = {}) {
  return tl::unexpected<Failure>(Failure{refusal, Error{code, std::move(what), std::move(hint)}});
}

bool alike(const std::vector<TensorInfo>& a, const std::vector<TensorInfo>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.name == y.name && x.type == y.type && x.shape == y.shape; });
}

tl::unexpected<Failure> no_jobs() {
  return refuse(Refusal::kUnsupported, Errc::kUnsupported, "this server takes no jobs", "start it with --jobs FOLDER");
}

double quantile(std::vector<double>& sorted, double q) {
  return sorted[static_cast<std::size_t>(q * static_cast<double>(sorted.size() - 1))];
}

}  // namespace

LiveService::LiveService(Clock& clock, LiveOptions options, Dispatcher& dispatcher, Sampler* sampler, Jobs* jobs)
    : clock_(clock),
      options_(std::move(options)),
      dispatcher_(dispatcher),
      sampler_(sampler),
      jobs_(jobs),
      began_(clock.wall_seconds()),
      model_(std::make_shared<ModelInfo>(dispatcher.backend()->model())),
      path_(options_.path) {
  publish();
  ticker_ = clock_.every(kInterval, [this] { publish(); });
}

LiveService::~LiveService() { ticker_.reset(); }

bool LiveService::known(std::string_view name, std::string_view version) const {
  return loaded_ && name == options_.name && (version.empty() || version == std::to_string(version_));
}

ServerInfo LiveService::info() const {
  return {
      "polythrottle", options_.program, {"binary_tensor_data", "statistics", "model_repository", "model_repository(unload_dependents)"}};
}

std::shared_ptr<const ModelInfo> LiveService::model(std::string_view name, std::string_view version) const {
  const std::lock_guard lock(mutex_);
  return known(name, version) ? model_ : nullptr;
}

std::string LiveService::model_version(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  return name == options_.name ? std::to_string(version_) : "";
}

bool LiveService::ready() const {
  const std::lock_guard lock(mutex_);
  return loaded_ && !closed_;
}

void LiveService::infer(std::string_view model, std::string_view version, InferRequest request, Answer answer) {
  std::shared_ptr<const ModelInfo> about;
  std::string answered;
  std::optional<Failure> failure;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) {
      failure = Failure{Refusal::kNotReady, Error{Errc::kBusy, "the server is going down", ""}};
    } else if (!known(model, version)) {
      failure =
          Failure{Refusal::kNotFound,
                  Error{Errc::kNotFound,
                        fmt::format("there is no model '{}'{}", model, version.empty() ? "" : fmt::format(" of version {}", version)), ""}};
    } else {
      about = model_;
      answered = std::to_string(version_);
    }
  }
  if (!failure) {
    for (const auto& wanted : request.outputs) {
      const auto is = [&](const auto& output) { return output.name == wanted; };
      if (std::none_of(about->outputs.begin(), about->outputs.end(), is)) {
        failure = Failure{Refusal::kInvalid, Error{Errc::kInvalid, fmt::format("the model has no output '{}'", wanted), ""}};
      }
    }
    if (request.timeout && !(*request.timeout > Seconds(0))) {
      failure = Failure{Refusal::kInvalid, Error{Errc::kInvalid, "the timeout is not positive", ""}};
    }
  }
  std::int64_t rows = 1;
  if (!failure) {
    const auto checked = check_inputs(*about, request.inputs);
    if (checked) {
      rows = batchable(*about) ? *checked : 1;
    } else {
      failure = Failure{Refusal::kInvalid, checked.error()};
    }
  }
  if (failure) return answer(tl::unexpected<Failure>(std::move(*failure)));
  dispatcher_.infer(std::move(request), rows,
                    [answer = std::move(answer), name = options_.name, version = std::move(answered)](InferResult result) {
                      if (result) {
                        result->model = name;
                        result->version = version;
                      }
                      answer(std::move(result));
                    });
}

std::vector<ModelState> LiveService::index() const {
  const std::lock_guard lock(mutex_);
  return {{options_.name, std::to_string(version_), loaded_ ? "READY" : "UNAVAILABLE", loaded_ ? "" : "unloaded"}};
}

tl::expected<void, Failure> LiveService::load(std::string_view model, const std::string& path) {
  if (model != options_.name) {
    return refuse(Refusal::kNotFound, Errc::kNotFound, fmt::format("there is no model '{}'", model),
                  fmt::format("this server has '{}'", options_.name));
  }
  if (!options_.open) return refuse(Refusal::kUnsupported, Errc::kUnsupported, "this engine has no file to load again");
  const std::lock_guard one(loading_);
  const std::string from = path.empty() ? path_ : path;
  auto backend = options_.open(from);
  if (!backend) return tl::unexpected<Failure>(Failure{refusal_of(backend.error().code), backend.error()});
  const auto& about = (*backend)->model();
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return refuse(Refusal::kNotReady, Errc::kBusy, "the server is going down");
    if (!alike(about.inputs, model_->inputs) || !alike(about.outputs, model_->outputs)) {
      return refuse(Refusal::kConflict, Errc::kInvalid, fmt::format("{} has other inputs or outputs than the model that is served", from),
                    "start another server for it");
    }
    model_ = std::make_shared<ModelInfo>(about);
    path_ = from;
    version_ += loaded_ ? 1 : 0;
    loaded_ = true;
  }
  dispatcher_.swap(std::move(*backend));
  return {};
}

tl::expected<void, Failure> LiveService::unload(std::string_view model) {
  const std::lock_guard lock(mutex_);
  if (model != options_.name) return refuse(Refusal::kNotFound, Errc::kNotFound, fmt::format("there is no model '{}'", model));
  if (!options_.open) return refuse(Refusal::kUnsupported, Errc::kUnsupported, "this engine could not load it again");
  loaded_ = false;
  return {};
}

ModelStatistics LiveService::statistics(std::string_view) const { return dispatcher_.statistics(); }

std::size_t LiveService::largest_request() const {
  const std::lock_guard lock(mutex_);
  std::size_t bytes = 0;
  for (const auto& input : model_->inputs) {
    const auto* const type = find_data_type(input.type);
    // The batch is free: as many rows as there are usual ones in the largest power of two of batches.
    auto shape = input.shape;
    const bool free_rows = !shape.empty() && shape.front() < 0;
    if (free_rows) shape.front() = 1024;
    const auto count = element_count(shape);
    if (!count || !type || type->size == 0) return kFreeAxes;
    bytes += static_cast<std::size_t>(*count) * type->size;
  }
  return std::min(bytes, std::size_t{1} << 30);
}

std::shared_ptr<const Snapshot> LiveService::snapshot() const {
  const std::lock_guard lock(mutex_);
  return snapshot_;
}

void LiveService::publish() {
  const std::lock_guard one(sampling_);
  auto next = std::make_shared<Snapshot>();
  next->time = clock_.wall_seconds();
  next->up = next->time - began_;
  next->model = options_.name;
  next->engine = options_.engine;
  next->policy = options_.policy;
  next->device = options_.device;
  dispatcher_.describe(*next);
  if (sampler_ != nullptr) sampler_->sample(*next);
  if (options_.configuration) next->configuration = options_.configuration(next->row);
  if (options_.knobs) next->knobs = options_.knobs();
  auto latencies = dispatcher_.take_latencies();
  if (!latencies.empty()) {
    std::sort(latencies.begin(), latencies.end());
    next->p50 = quantile(latencies, 0.5);
    next->p95 = quantile(latencies, 0.95);
    next->p99 = quantile(latencies, 0.99);
  }
  for (const auto& job : jobs()) {
    next->jobs.push_back({job.id, job.spec.name, job::to_string(job.state), job.why, job.steps_done, job.steps});
  }
  const std::lock_guard lock(mutex_);
  next->version = std::to_string(version_);
  next->ready = loaded_ && !closed_;
  snapshot_ = std::move(next);
}

tl::expected<std::uint64_t, Failure> LiveService::submit(const job::Spec& spec) {
  if (jobs_ == nullptr) return no_jobs();
  return jobs_->submit(spec);
}

std::vector<JobStatus> LiveService::jobs() const { return jobs_ == nullptr ? std::vector<JobStatus>() : jobs_->list(); }

tl::expected<void, Failure> LiveService::pause(std::uint64_t job, bool paused) {
  if (jobs_ == nullptr) return no_jobs();
  return jobs_->pause(job, paused);
}

tl::expected<void, Failure> LiveService::cancel(std::uint64_t job) {
  if (jobs_ == nullptr) return no_jobs();
  return jobs_->cancel(job);
}

tl::expected<std::string, Failure> LiveService::logs(std::uint64_t job, std::size_t offset) const {
  if (jobs_ == nullptr) return no_jobs();
  return jobs_->logs(job, offset);
}

tl::expected<std::vector<std::string>, Failure> LiveService::why(std::uint64_t job) const {
  if (jobs_ == nullptr) return no_jobs();
  return jobs_->why(job);
}

void LiveService::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

}  // namespace polythrottle::server
