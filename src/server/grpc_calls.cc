#include "server/grpc_calls.h"

#if POLYTHROTTLE_HAVE_GRPC

#include <fmt/format.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "open_inference.grpc.pb.h"
#include "server/grpc_messages.h"

namespace polythrottle::server {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

grpc::Status status(const Failure& failure) {
  return {static_cast<grpc::StatusCode>(status_of(failure.refusal).grpc), failure.error.text()};
}
grpc::Status status(Refusal refusal, Errc code, std::string what, std::string hint = {}) {
  return status(Failure{refusal, {code, std::move(what), std::move(hint)}});
}
/// Why there is no such model to ask.
grpc::Status no_model(const Service& service, const std::string& name, const std::string& version) {
  for (const auto& model : service.index()) {
    if (model.name != name || model.state == "READY" || !version.empty()) continue;
    return status(Refusal::kNotReady, Errc::kBusy,
                  fmt::format("model '{}' is not ready: {}", name, model.reason.empty() ? model.state : model.reason));
  }
  return status(Refusal::kNotFound, Errc::kNotFound,
                version.empty() ? fmt::format("no model '{}'", name) : fmt::format("no version '{}' of a model '{}'", version, name));
}

/// The messages of one call. The request may outlive the call: tensors point into it.
class InferMessages : public grpc::MessageHolder<inference::ModelInferRequest, inference::ModelInferResponse> {
 public:
  InferMessages() {
    set_request(request_.get());
    set_response(&response_);
  }
  void Release() override { delete this; }
  std::shared_ptr<const inference::ModelInferRequest> shared_request() const { return request_; }

 private:
  std::shared_ptr<inference::ModelInferRequest> request_ = std::make_shared<inference::ModelInferRequest>();
  inference::ModelInferResponse response_;
};
class InferAllocator : public grpc::MessageAllocator<inference::ModelInferRequest, inference::ModelInferResponse> {
 public:
  grpc::MessageHolder<inference::ModelInferRequest, inference::ModelInferResponse>* AllocateMessages() override {
    return new InferMessages;
  }
};

/// What blocks, one after the other on a thread of its own.
class Worker {
 public:
  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
  }
  void post(std::function<void()> work) {
    {
      const std::lock_guard lock(mutex_);
      if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
      work_.push_back(std::move(work));
    }
    changed_.notify_one();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return ending_ || !work_.empty(); });
      if (work_.empty()) return;
      const auto work = std::move(work_.front());
      work_.pop_front();
      lock.unlock();
      work();
      lock.lock();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
  bool ending_ = false;
  std::thread thread_;
};

/// Ends by itself when the call is over; whether the client has gone does not matter, for the service answers once in any case.
class Reactor final : public ServerUnaryReactor {
 public:
  void OnDone() override { delete this; }
};

class Calls final : public GrpcCalls, public inference::GRPCInferenceService::CallbackService {
 public:
  Calls(server::Service& service, std::size_t concurrent, std::optional<Token> token)
      : service_(service), concurrent_(concurrent), token_(std::move(token)) {
    SetMessageAllocatorFor_ModelInfer(&allocator_);
  }
  grpc::Service& calls() override { return *this; }

  ServerUnaryReactor* ServerLive(CallbackServerContext* context, const inference::ServerLiveRequest*,
                                 inference::ServerLiveResponse* response) override {
    return open(*context, [&] { response->set_live(true); });
  }
  ServerUnaryReactor* ServerReady(CallbackServerContext* context, const inference::ServerReadyRequest*,
                                  inference::ServerReadyResponse* response) override {
    return open(*context, [&] { response->set_ready(service_.ready()); });
  }
  ServerUnaryReactor* ModelReady(CallbackServerContext* context, const inference::ModelReadyRequest* request,
                                 inference::ModelReadyResponse* response) override {
    return answer(*context, [&] {
      response->set_ready(service_.ready() && service_.model(request->name(), request->version()));
      return grpc::Status::OK;
    });
  }
  ServerUnaryReactor* ServerMetadata(CallbackServerContext* context, const inference::ServerMetadataRequest*,
                                     inference::ServerMetadataResponse* response) override {
    return answer(*context, [&] {
      const auto info = service_.info();
      response->set_name(info.name);
      response->set_version(info.version);
      for (const auto& extension : info.extensions) response->add_extensions(extension);
      return grpc::Status::OK;
    });
  }
  ServerUnaryReactor* ModelMetadata(CallbackServerContext* context, const inference::ModelMetadataRequest* request,
                                    inference::ModelMetadataResponse* response) override {
    return answer(*context, [&] {
      const auto model = service_.model(request->name(), request->version());
      if (!model) return no_model(service_, request->name(), request->version());
      write_metadata(*model, request->name(), service_.model_version(request->name()), *response);
      return grpc::Status::OK;
    });
  }
  ServerUnaryReactor* ModelStatistics(CallbackServerContext* context, const inference::ModelStatisticsRequest* request,
                                      inference::ModelStatisticsResponse* response) override {
    return answer(*context, [&] {
      if (!request->name().empty() && !service_.model(request->name(), request->version()))
        return no_model(service_, request->name(), request->version());
      for (const auto& model : service_.index()) {
        if (model.state != "READY" || (!request->name().empty() && model.name != request->name())) continue;
        write_statistics(service_.statistics(model.name), model.name, model.version, *response->add_model_stats());
      }
      return grpc::Status::OK;
    });
  }
  ServerUnaryReactor* RepositoryIndex(CallbackServerContext* context, const inference::RepositoryIndexRequest* request,
                                      inference::RepositoryIndexResponse* response) override {
    return answer(*context, [&] {
      for (const auto& model : service_.index()) {
        if (request->ready() && model.state != "READY") continue;
        auto& entry = *response->add_models();
        entry.set_name(model.name);
        entry.set_version(model.version);
        entry.set_state(model.state);
        entry.set_reason(model.reason);
      }
      return grpc::Status::OK;
    });
  }
  ServerUnaryReactor* RepositoryModelLoad(CallbackServerContext* context, const inference::RepositoryModelLoadRequest* request,
                                          inference::RepositoryModelLoadResponse*) override {
    return later(*context, [this, request] {
      std::string path;
      for (const auto& [name, value] : request->parameters()) {
        if (name != "path" || !value.has_string_param()) {
          return status(Refusal::kUnsupported, Errc::kUnsupported, fmt::format("parameter '{}' is not supported", name),
                        "a model is loaded from its file, or from the one that the string parameter 'path' names");
        }
        path = value.string_param();
      }
      const auto loaded = service_.load(request->model_name(), path);
      return loaded ? grpc::Status::OK : status(loaded.error());
    });
  }
  ServerUnaryReactor* RepositoryModelUnload(CallbackServerContext* context, const inference::RepositoryModelUnloadRequest* request,
                                            inference::RepositoryModelUnloadResponse*) override {
    return later(*context, [this, request] {
      const auto unloaded = service_.unload(request->model_name());
      return unloaded ? grpc::Status::OK : status(unloaded.error());
    });
  }

  ServerUnaryReactor* ModelInfer(CallbackServerContext* context, const inference::ModelInferRequest*,
                                 inference::ModelInferResponse* response) override {
    auto* const reactor = new Reactor;
    const auto refusal = admit(*context);
    if (!refusal.ok()) {
      reactor->Finish(refusal);
      return reactor;
    }
    if (under_way_.fetch_add(1) >= concurrent_) {
      under_way_.fetch_sub(1);
      reactor->Finish(
          status(Refusal::kDropped, Errc::kBusy, fmt::format("{} inferences are under way already", concurrent_), "try again later"));
      return reactor;
    }
    const auto message = static_cast<InferMessages*>(context->GetRpcAllocatorState())->shared_request();
    const auto finish = [this, reactor](const grpc::Status& outcome) {
      under_way_.fetch_sub(1);
      reactor->Finish(outcome);
    };
    const auto model = service_.model(message->model_name(), message->model_version());
    if (!model) {
      finish(no_model(service_, message->model_name(), message->model_version()));
      return reactor;
    }
    auto request = read_request(message, *model);
    if (!request) {
      finish(status(request.error()));
      return reactor;
    }
    service_.infer(message->model_name(), message->model_version(), std::move(*request), [finish, response](InferResult result) {
      if (result) write_response(*result, *response);
      finish(result ? grpc::Status::OK : status(result.error()));
    });
    return reactor;
  }

 private:
  grpc::Status admit(const CallbackServerContext& context) const {
    if (!token_) return grpc::Status::OK;
    const auto& metadata = context.client_metadata();
    const auto found = metadata.find("authorization");
    if (found != metadata.end() && token_->admits({found->second.data(), found->second.size()})) return grpc::Status::OK;
    return status(Refusal::kForbidden, Errc::kPermission, found == metadata.end() ? "no token" : "wrong token",
                  "send the metadata 'authorization: Bearer TOKEN'");
  }
  /// For whoever only asks whether the server is well, which needs no token.
  template <class Act>
  ServerUnaryReactor* open(CallbackServerContext&, Act act) {
    auto* const reactor = new Reactor;
    act();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  template <class Act>
  ServerUnaryReactor* answer(CallbackServerContext& context, Act act) {
    auto* const reactor = new Reactor;
    auto outcome = admit(context);
    if (outcome.ok()) outcome = act();
    reactor->Finish(outcome);
    return reactor;
  }
  /// Request and response live until the reactor is finished.
  ServerUnaryReactor* later(CallbackServerContext& context, std::function<grpc::Status()> act) {
    auto* const reactor = new Reactor;
    const auto refusal = admit(context);
    if (refusal.ok()) {
      worker_.post([reactor, act = std::move(act)] { reactor->Finish(act()); });
    } else {
      reactor->Finish(refusal);
    }
    return reactor;
  }

  server::Service& service_;  // the base class has a Service too
  const std::size_t concurrent_;
  const std::optional<Token> token_;
  std::atomic<std::size_t> under_way_ = 0;
  InferAllocator allocator_;
  Worker worker_;
};

}  // namespace

std::unique_ptr<GrpcCalls> make_grpc_calls(Service& service, std::size_t concurrent, std::optional<Token> token) {
  return std::make_unique<Calls>(service, concurrent, std::move(token));
}

}  // namespace polythrottle::server

#endif
