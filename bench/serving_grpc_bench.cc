// What our server adds to gRPC: an inference of a tiny tensor by a service that answers at once, in turn with a call that a bare server
// answers without looking at it. Both are callback servers of this process over loopback; p50 of each, and their ratio.
#if POLYTHROTTLE_HAVE_GRPC

#include <benchmark/benchmark.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include "open_inference.grpc.pb.h"
#include "server/grpc.h"
#include "server/grpc_fake_service.h"

namespace polythrottle::server {
namespace {

class Hello final : public inference::GRPCInferenceService::CallbackService {
  grpc::ServerUnaryReactor* ServerLive(grpc::CallbackServerContext* context, const inference::ServerLiveRequest*,
                                       inference::ServerLiveResponse* response) override {
    response->set_live(true);
    auto* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

double median(std::vector<double>& times) {
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

template <class Call>
double timed(Call call) {
  const auto begin = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void tiny_inference(benchmark::State& state) {
  Hello hello;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&hello);
  const auto bare = builder.BuildAndStart();
  GrpcFakeService service;
  const auto ours = serve_grpc(service, {});
  if (!bare || !ours) return state.SkipWithError("a server did not start");
  const auto stub_of = [](const std::string& address) {
    return inference::GRPCInferenceService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  };
  const auto to_bare = stub_of("127.0.0.1:" + std::to_string(port)), to_ours = stub_of((*ours)->address());

  inference::ModelInferRequest request;
  request.set_model_name("vector");
  auto& input = *request.add_inputs();
  input.set_name("x");
  input.set_datatype("FP32");
  input.add_shape(4);
  request.add_raw_input_contents(std::string(16, '\0'));
  bool failed = false;
  const auto greet = [&] {
    grpc::ClientContext context;
    inference::ServerLiveResponse response;
    failed = failed || !to_bare->ServerLive(&context, {}, &response).ok();
  };
  const auto infer = [&] {
    grpc::ClientContext context;
    inference::ModelInferResponse response;
    failed = failed || !to_ours->ModelInfer(&context, request, &response).ok();
  };
  for (int i = 0; i < 1000; ++i) greet(), infer();
  std::vector<double> hellos, inferences;
  for (auto _ : state) {
    hellos.push_back(timed(greet));
    inferences.push_back(timed(infer));
  }
  if (failed) return state.SkipWithError("a call failed");
  const double bare_p50 = median(hellos), ours_p50 = median(inferences);
  state.counters["hello_p50_us"] = bare_p50 * 1e6;
  state.counters["infer_p50_us"] = ours_p50 * 1e6;
  state.counters["ratio"] = ours_p50 / bare_p50;
}
BENCHMARK(tiny_inference)->UseRealTime()->Unit(benchmark::kMicrosecond)->MinTime(3.0);

}  // namespace
}  // namespace polythrottle::server

#endif
