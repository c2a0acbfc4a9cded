#pragma once
// A service without an engine for tests of gRPC: model "types" has an input of every data type and echoes it, "held" answers when the test
// says so, "vector" takes one float32 [4] and refuses as it is told.

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "server/service.h"

namespace polythrottle::server {

class GrpcFakeService : public Service {
 public:
  GrpcFakeService() {
    for (const auto& row : data_types()) {
      const std::string type(row.name);
      types_->inputs.push_back({"in_" + type, type, {-1, 2}, {"batch", ""}});
      types_->outputs.push_back({"out_" + type, type, {-1, 2}, {"batch", ""}});
    }
    types_->runtime = "fake";
    vector_->inputs.push_back({"x", "float32", {4}, {""}});
    vector_->outputs.push_back({"y", "float32", {4}, {""}});
    vector_->runtime = "fake";
  }
  ~GrpcFakeService() override { release(); }

  ServerInfo info() const override { return {"polythrottle", "1.2.3", {"statistics", "model_repository"}}; }
  std::shared_ptr<const ModelInfo> model(std::string_view name, std::string_view version) const override {
    if (!version.empty() && version != "7") return nullptr;
    if (name == "types") return types_;
    if (name == "vector" || name == "held") return vector_;
    return nullptr;
  }
  std::string model_version(std::string_view) const override { return "7"; }
  bool ready() const override { return is_ready; }

  void infer(std::string_view model, std::string_view, InferRequest request, Answer answer) override {
    if (refusal) return answer(tl::unexpected<Failure>(*refusal));
    if (model == "held") {
      const std::lock_guard lock(mutex_);
      held_.emplace_back(std::move(request), std::move(answer));
      changed_.notify_all();
      return;
    }
    answer(echo(std::string(model), std::move(request)));
  }
  std::vector<ModelState> index() const override {
    return {{"types", "7", "READY", ""}, {"vector", "7", "READY", ""}, {"gone", "", "UNAVAILABLE", "unloaded"}};
  }
  tl::expected<void, Failure> load(std::string_view model, const std::string& path) override {
    if (model != "vector") return tl::unexpected<Failure>(Failure{Refusal::kNotFound, {Errc::kNotFound, "no such model", ""}});
    loaded = path;
    return {};
  }
  tl::expected<void, Failure> unload(std::string_view model) override {
    if (model != "vector") return tl::unexpected<Failure>(Failure{Refusal::kConflict, {Errc::kBusy, "it is in use", ""}});
    return {};
  }
  ModelStatistics statistics(std::string_view model) const override {
    ModelStatistics numbers;
    if (model == "vector") numbers = {10, 4, 9, 1, 900, 11, 300, 20, 500, 30, 1'700'000'000'123};
    return numbers;
  }
  std::size_t largest_request() const override { return 1024; }
  std::shared_ptr<const Snapshot> snapshot() const override { return nullptr; }
  tl::expected<std::uint64_t, Failure> submit(const job::Spec&) override { return tl::unexpected<Failure>(Failure{}); }
  std::vector<JobStatus> jobs() const override { return {}; }
  tl::expected<void, Failure> pause(std::uint64_t, bool) override { return tl::unexpected<Failure>(Failure{}); }
  tl::expected<void, Failure> cancel(std::uint64_t) override { return tl::unexpected<Failure>(Failure{}); }
  tl::expected<std::string, Failure> logs(std::uint64_t, std::size_t) const override { return tl::unexpected<Failure>(Failure{}); }
  tl::expected<std::vector<std::string>, Failure> why(std::uint64_t) const override { return tl::unexpected<Failure>(Failure{}); }

  /// Until so many requests of "held" wait for `release`.
  void wait_for_held(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return held_.size() >= count; });
  }
  /// Answers them all.
  void release() {
    std::vector<std::pair<InferRequest, Answer>> held;
    {
      const std::lock_guard lock(mutex_);
      held.swap(held_);
    }
    for (auto& [request, answer] : held) answer(echo("held", std::move(request)));
  }

  // Set before there are calls.
  bool is_ready = true;
  std::optional<Failure> refusal;
  std::string loaded = "nothing";
  std::optional<Seconds> last_timeout;

 private:
  InferResult echo(const std::string& model, InferRequest request) {
    last_timeout = request.timeout;
    InferResponse response{model, "7", request.id, {}};
    const auto& outputs = model == "types" ? types_->outputs : vector_->outputs;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const bool wanted = request.outputs.empty() || std::count(request.outputs.begin(), request.outputs.end(), outputs[i].name) != 0;
      if (!wanted) continue;
      response.outputs.push_back(std::move(request.inputs[i]));
      response.outputs.back().name = outputs[i].name;
    }
    return response;
  }

  std::shared_ptr<ModelInfo> types_ = std::make_shared<ModelInfo>();
  std::shared_ptr<ModelInfo> vector_ = std::make_shared<ModelInfo>();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<InferRequest, Answer>> held_;
};

}  // namespace polythrottle::server
