#pragma once
// A service for tests of front ends: one model, "fake", that answers its inputs, and jobs that do nothing.

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/service.h"

namespace polythrottle::server {

/// Inputs "a" [-1,2] and outputs "b" of one type each, as named in the protocol: {"FP32", "INT64"} has a0, a1 and b0, b1.
inline ModelInfo echo_model(const std::vector<std::string>& types) {
  ModelInfo model{.path = "fake.onnx", .sha256 = "", .runtime = "ONNX Runtime 0 (fake)", .inputs = {}, .outputs = {}, .fixed_batch = {}};
  for (std::size_t i = 0; i < types.size(); ++i) {
    const std::string type(find_oip_data_type(types[i])->name);
    model.inputs.push_back({"a" + std::to_string(i), type, {-1, 2}, {"batch", ""}});
    model.outputs.push_back({"b" + std::to_string(i), type, {-1, 2}, {"batch", ""}});
  }
  return model;
}

class FakeService : public Service {
 public:
  explicit FakeService(ModelInfo model = echo_model({"FP32"})) : info_(std::make_shared<const ModelInfo>(std::move(model))) {}
  ~FakeService() override {
    for (std::thread& thread : threads_) thread.join();
  }

  /// Answers instead of the echo where it is set.
  std::function<InferResult(const InferRequest&)> on_infer;
  bool on_another_thread = false;
  bool is_ready = true;
  std::vector<InferRequest> asked;

  ServerInfo info() const override { return {"polythrottle", "0.0", {"binary_tensor_data", "statistics", "model_repository"}}; }
  std::shared_ptr<const ModelInfo> model(std::string_view name, std::string_view version) const override {
    return loaded_ && name == "fake" && (version.empty() || version == "1") ? info_ : nullptr;
  }
  std::string model_version(std::string_view) const override { return "1"; }
  bool ready() const override { return is_ready; }

  void infer(std::string_view, std::string_view, InferRequest request, Answer answer) override {
    const std::lock_guard lock(mutex_);
    asked.push_back(request);
    auto work = [this, request = std::move(request), answer = std::move(answer)] { answer(on_infer ? on_infer(request) : echo(request)); };
    if (!on_another_thread) return work();
    threads_.emplace_back(std::move(work));
  }

  std::vector<ModelState> index() const override { return {{"fake", "1", loaded_ ? "READY" : "UNAVAILABLE", loaded_ ? "" : "unloaded"}}; }
  tl::expected<void, Failure> load(std::string_view name, const std::string& path) override {
    if (name != "fake") return no("model", std::string(name));
    if (!path.empty() && path != "fake.onnx") return no("file", path);
    loaded_ = true;
    return {};
  }
  tl::expected<void, Failure> unload(std::string_view name) override {
    if (name != "fake") return no("model", std::string(name));
    loaded_ = false;
    return {};
  }
  ModelStatistics statistics(std::string_view) const override {
    return {.inference_count = 6,
            .execution_count = 3,
            .success_count = 5,
            .fail_count = 1,
            .success_ns = 50,
            .fail_ns = 10,
            .queue_ns = 5,
            .compute_input_ns = 6,
            .compute_infer_ns = 7,
            .compute_output_ns = 8,
            .last_inference_ms = 9};
  }
  std::size_t largest_request() const override { return 1000; }
  std::shared_ptr<const Snapshot> snapshot() const override { return std::make_shared<const Snapshot>(); }

  tl::expected<std::uint64_t, Failure> submit(const job::Spec& spec) override {
    const std::lock_guard lock(mutex_);
    if (!jobs_.empty()) return tl::unexpected(Failure{Refusal::kConflict, Error{Errc::kBusy, "a job runs already", "cancel it, or wait"}});
    jobs_.push_back(
        {.id = 1, .spec = spec, .state = job::State::kWaiting, .kind = "signal", .steps = 10, .submitted = 1e9, .why = "no slack yet"});
    return 1;
  }
  std::vector<JobStatus> jobs() const override {
    const std::lock_guard lock(mutex_);
    return jobs_;
  }
  tl::expected<void, Failure> pause(std::uint64_t job, bool paused) override {
    return set(job, paused ? job::State::kPaused : job::State::kWaiting);
  }
  tl::expected<void, Failure> cancel(std::uint64_t job) override { return set(job, job::State::kCancelled); }
  tl::expected<std::string, Failure> logs(std::uint64_t job, std::size_t offset) const override {
    if (job != 1) return no("job", std::to_string(job));
    const std::string all = "one\ntwo\n";
    return all.substr(std::min(offset, all.size()));
  }
  tl::expected<std::vector<std::string>, Failure> why(std::uint64_t job) const override {
    if (job != 1) return no("job", std::to_string(job));
    return std::vector<std::string>{"held: the queue is long", "let: 2 items"};
  }

  InferResponse echo(const InferRequest& request) const {
    InferResponse response{"fake", "1", request.id, {}};
    for (std::size_t i = 0; i < request.inputs.size(); ++i) {
      Tensor tensor = request.inputs[i];
      tensor.name = info_->outputs[i].name;
      const auto& wanted = request.outputs;
      if (wanted.empty() || std::find(wanted.begin(), wanted.end(), tensor.name) != wanted.end()) response.outputs.push_back(tensor);
    }
    return response;
  }

 private:
  static tl::unexpected<Failure> no(const std::string& kind, const std::string& name) {
    return tl::unexpected(Failure{Refusal::kNotFound, Error{Errc::kNotFound, "there is no " + kind + " '" + name + "'", ""}});
  }
  tl::expected<void, Failure> set(std::uint64_t job, job::State state) {
    const std::lock_guard lock(mutex_);
    if (jobs_.empty() || job != 1) return no("job", std::to_string(job));
    jobs_.front().state = state;
    return {};
  }

  const std::shared_ptr<const ModelInfo> info_;
  std::atomic<bool> loaded_ = true;
  mutable std::mutex mutex_;
  std::vector<JobStatus> jobs_;
  std::vector<std::thread> threads_;
};

}  // namespace polythrottle::server
