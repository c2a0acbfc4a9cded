// The server and a client in one process, over loopback and a Unix socket.
#if POLYTHROTTLE_HAVE_GRPC

#include "server/grpc.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "open_inference.grpc.pb.h"
#include "server/grpc_fake_service.h"
#include "server/self_signed.h"

namespace polythrottle::server {
namespace {

using inference::GRPCInferenceService;
using testing::HasSubstr;

std::string scratch(const std::string& name) { return testing::TempDir() + "grpc." + std::to_string(getpid()) + "." + name; }

class Grpc : public testing::Test {
 protected:
  void serve(GrpcOptions options = {}) {
    auto served = serve_grpc(service, options);
    ASSERT_TRUE(served) << served.error().text();
    server = std::move(*served);
    stub = client();
  }
  std::unique_ptr<GRPCInferenceService::Stub> client() const {
    return GRPCInferenceService::NewStub(grpc::CreateChannel(server->address(), grpc::InsecureChannelCredentials()));
  }
  static inference::ModelInferRequest vector(const std::string& model, std::size_t bytes = 16) {
    inference::ModelInferRequest request;
    request.set_model_name(model);
    request.set_id("first");
    auto& input = *request.add_inputs();
    input.set_name("x");
    input.set_datatype("FP32");
    input.add_shape(4);
    request.add_raw_input_contents(std::string(bytes, 'e'));
    return request;
  }
  grpc::Status infer(const inference::ModelInferRequest& request) {
    grpc::ClientContext context;
    return stub->ModelInfer(&context, request, &response);
  }

  GrpcFakeService service;
  std::unique_ptr<GrpcServer> server;
  std::unique_ptr<GRPCInferenceService::Stub> stub;
  inference::ModelInferResponse response;
};

TEST_F(Grpc, SaysWhatIsThere) {
  serve();
  grpc::ClientContext c[6];
  inference::ServerLiveResponse live;
  ASSERT_TRUE(stub->ServerLive(&c[0], {}, &live).ok());
  EXPECT_TRUE(live.live());
  inference::ServerReadyResponse ready;
  ASSERT_TRUE(stub->ServerReady(&c[1], {}, &ready).ok());
  EXPECT_TRUE(ready.ready());
  inference::ServerMetadataResponse server_metadata;
  ASSERT_TRUE(stub->ServerMetadata(&c[2], {}, &server_metadata).ok());
  EXPECT_EQ(server_metadata.version(), "1.2.3");
  EXPECT_EQ(server_metadata.extensions_size(), 2);
  inference::ModelMetadataRequest of;
  of.set_name("types");
  inference::ModelMetadataResponse metadata;
  ASSERT_TRUE(stub->ModelMetadata(&c[3], of, &metadata).ok());
  ASSERT_EQ(metadata.inputs_size(), 14);
  EXPECT_EQ(metadata.inputs(13).datatype(), "BYTES");
  EXPECT_EQ(metadata.inputs(13).shape(0), -1);
  EXPECT_EQ(metadata.versions(0), "7");
  of.set_version("8");
  const auto none = stub->ModelMetadata(&c[4], of, &metadata);
  EXPECT_EQ(none.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(none.error_message(), "no version '8' of a model 'types'");
  inference::ModelReadyRequest is;
  is.set_name("nothing");
  inference::ModelReadyResponse model_ready;
  ASSERT_TRUE(stub->ModelReady(&c[5], is, &model_ready).ok());
  EXPECT_FALSE(model_ready.ready());
}

TEST_F(Grpc, StatisticsAreThoseOfTheService) {
  serve();
  grpc::ClientContext c[2];
  inference::ModelStatisticsRequest of;
  inference::ModelStatisticsResponse all;
  ASSERT_TRUE(stub->ModelStatistics(&c[0], of, &all).ok());
  EXPECT_EQ(all.model_stats_size(), 2);  // of those that are loaded
  of.set_name("vector");
  inference::ModelStatisticsResponse one;
  ASSERT_TRUE(stub->ModelStatistics(&c[1], of, &one).ok());
  ASSERT_EQ(one.model_stats_size(), 1);
  const auto& numbers = one.model_stats(0);
  EXPECT_EQ(numbers.inference_count(), 10U);
  EXPECT_EQ(numbers.execution_count(), 4U);
  EXPECT_EQ(numbers.last_inference(), 1'700'000'000'123U);
  EXPECT_EQ(numbers.inference_stats().success().count(), 9U);
  EXPECT_EQ(numbers.inference_stats().success().ns(), 900U);
  EXPECT_EQ(numbers.inference_stats().queue().ns(), 300U);
  EXPECT_EQ(numbers.inference_stats().compute_infer().ns(), 500U);
}

TEST_F(Grpc, RepositoryIsListedLoadedAndUnloaded) {
  serve();
  grpc::ClientContext c[6];
  inference::RepositoryIndexRequest which;
  inference::RepositoryIndexResponse index;
  ASSERT_TRUE(stub->RepositoryIndex(&c[0], which, &index).ok());
  EXPECT_EQ(index.models_size(), 3);
  which.set_ready(true);
  inference::RepositoryIndexResponse ready;
  ASSERT_TRUE(stub->RepositoryIndex(&c[1], which, &ready).ok());
  EXPECT_EQ(ready.models_size(), 2);
  inference::RepositoryModelLoadRequest load;
  inference::RepositoryModelLoadResponse loaded;
  load.set_model_name("vector");
  (*load.mutable_parameters())["path"].set_string_param("/models/new.onnx");
  ASSERT_TRUE(stub->RepositoryModelLoad(&c[2], load, &loaded).ok());
  EXPECT_EQ(service.loaded, "/models/new.onnx");
  (*load.mutable_parameters())["config"].set_string_param("{}");
  EXPECT_EQ(stub->RepositoryModelLoad(&c[3], load, &loaded).error_code(), grpc::StatusCode::UNIMPLEMENTED);
  inference::RepositoryModelUnloadRequest unload;
  inference::RepositoryModelUnloadResponse unloaded;
  unload.set_model_name("vector");
  EXPECT_TRUE(stub->RepositoryModelUnload(&c[4], unload, &unloaded).ok());
  unload.set_model_name("types");
  const auto refused = stub->RepositoryModelUnload(&c[5], unload, &unloaded);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(refused.error_message(), "it is in use");
}

TEST_F(Grpc, InferenceGivesBackTheBytes) {
  serve();
  auto request = vector("vector");
  (*request.mutable_parameters())["timeout"].set_int64_param(2'000'000);
  const auto status = infer(request);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.id(), "first");
  EXPECT_EQ(response.model_name(), "vector");
  EXPECT_EQ(response.model_version(), "7");
  ASSERT_EQ(response.outputs_size(), 1);
  EXPECT_EQ(response.outputs(0).name(), "y");
  EXPECT_EQ(response.outputs(0).datatype(), "FP32");
  EXPECT_EQ(response.raw_output_contents(0), std::string(16, 'e'));
  EXPECT_EQ(service.last_timeout, Seconds(2.0));
}

TEST_F(Grpc, EveryRefusalHasItsCode) {
  serve();
  EXPECT_EQ(infer(vector("nothing")).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(infer(vector("vector", 15)).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  for (const auto refusal : {Refusal::kInvalid, Refusal::kNotFound, Refusal::kDropped, Refusal::kNotReady, Refusal::kTooLarge,
                             Refusal::kUnsupported, Refusal::kForbidden, Refusal::kConflict, Refusal::kUpstream, Refusal::kInternal}) {
    service.refusal = Failure{refusal, {Errc::kIo, "what", "hint"}};
    const auto status = infer(vector("vector"));
    EXPECT_EQ(static_cast<int>(status.error_code()), status_of(refusal).grpc);
    EXPECT_EQ(status.error_message(), "what; hint");
  }
}

TEST_F(Grpc, AMessageLargerThanTheLargestRequestIsRefused) {
  serve();
  const auto status = infer(vector("vector", 10 * 1024 + 64 * 1024 + 1));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(Grpc, AMessageThatGrowsWhenUnpackedIsRefused) {
  serve();
  grpc::ClientContext context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  const auto status = stub->ModelInfer(&context, vector("vector", 10'000'000), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << status.error_message();
}

TEST_F(Grpc, OneInferenceTooManyIsRefusedAtOnce) {
  serve({.concurrent = 2});
  std::vector<std::future<grpc::Status>> held;
  for (int i = 0; i < 2; ++i) {
    held.push_back(std::async(std::launch::async, [&] {
      grpc::ClientContext context;
      inference::ModelInferResponse mine;
      return stub->ModelInfer(&context, vector("held"), &mine);
    }));
  }
  service.wait_for_held(2);
  const auto status = infer(vector("held"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("2 inferences are under way"));
  service.release();
  for (auto& one : held) EXPECT_TRUE(one.get().ok());
  EXPECT_TRUE(infer(vector("vector")).ok());
}

TEST_F(Grpc, AClientThatVanishesLeavesNothingBehind) {
  serve();
  {
    grpc::ClientContext context;
    auto gone = std::async(std::launch::async, [&] {
      inference::ModelInferResponse mine;
      return stub->ModelInfer(&context, vector("held"), &mine);
    });
    service.wait_for_held(1);
    context.TryCancel();
    EXPECT_EQ(gone.get().error_code(), grpc::StatusCode::CANCELLED);
  }
  service.release();  // answers into a call that nobody waits for
  EXPECT_TRUE(infer(vector("vector")).ok());
}

TEST_F(Grpc, StopLetsCallsEnd) {
  serve();
  auto held = std::async(std::launch::async, [&] { return infer(vector("held")); });
  service.wait_for_held(1);
  std::thread stopping([&] { server->stop(Seconds(60)); });
  service.release();
  stopping.join();
  EXPECT_TRUE(held.get().ok());
  EXPECT_EQ(infer(vector("vector")).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(Grpc, TokenIsAskedOfEveryCallButHealth) {
  const std::string path = scratch("token"), word = "0123456789abcdef";
  std::ofstream(path) << word << "\n";
  std::filesystem::permissions(path, std::filesystem::perms::owner_read);
  const auto token = Token::read(path);
  ASSERT_TRUE(token) << token.error().text();
  serve({.token = *token});
  EXPECT_EQ(infer(vector("vector")).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  for (const std::string given : {"Bearer 0123456789abcde", "Bearer 0123456789abcdeF", "0123456789abcdef", "Bearer 0123456789abcdef"}) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", given);
    EXPECT_EQ(stub->ModelInfer(&context, vector("vector"), &response).ok(), given == "Bearer " + word) << given;
  }
  grpc::ClientContext c[3];
  inference::ServerMetadataResponse metadata;
  EXPECT_EQ(stub->ServerMetadata(&c[0], {}, &metadata).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  inference::RepositoryModelUnloadRequest unload;
  inference::RepositoryModelUnloadResponse unloaded;
  EXPECT_EQ(stub->RepositoryModelUnload(&c[1], unload, &unloaded).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  inference::ServerReadyResponse ready;
  EXPECT_TRUE(stub->ServerReady(&c[2], {}, &ready).ok());
  std::filesystem::remove(path);
}

TEST_F(Grpc, TlsTakesOnlyClientsOfTheCertificate) {
  const std::string certificate = scratch("cert"), key = scratch("key");
  make_certificate(certificate, key);
  const auto text = [](const std::string& path) {
    std::ifstream in(path);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  serve({.certificate = text(certificate), .key = text(key)});
  EXPECT_EQ(infer(vector("vector")).error_code(), grpc::StatusCode::UNAVAILABLE);  // without TLS
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("localhost");
  const auto trusting = grpc::SslCredentials({.pem_root_certs = text(certificate), .pem_private_key = "", .pem_cert_chain = ""});
  stub = GRPCInferenceService::NewStub(grpc::CreateCustomChannel(server->address(), trusting, arguments));
  const auto status = infer(vector("vector"));
  EXPECT_TRUE(status.ok()) << status.error_message();
  const auto other = serve_grpc(service, {.certificate = text(certificate), .key = text(certificate)});
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().text(), HasSubstr("TLS key: no private key"));
  std::filesystem::remove(certificate);
  std::filesystem::remove(key);
}

TEST_F(Grpc, AnUnloadedModelIsNotReady) {
  serve();
  const auto status = infer(vector("gone"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "model 'gone' is not ready: unloaded");
}

TEST_F(Grpc, APortIsNotShared) {
  serve();
  const auto second = serve_grpc(service, {.address = server->address()});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kBusy) << second.error().text();
  EXPECT_THAT(second.error().text(), HasSubstr(server->address()));
}

TEST_F(Grpc, UnixSocketIsTheOwnersAndNotTaken) {
  const std::string path = scratch("sock");
  serve({.address = "unix:" + path});
  EXPECT_TRUE(infer(vector("vector")).ok());
  const auto mode = std::filesystem::status(path).permissions();
  EXPECT_EQ(mode, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  const auto second = serve_grpc(service, {.address = "unix:" + path});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kBusy);
  server->stop(Seconds(0));
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(Grpc, AFileInThePlaceOfTheSocketIsLeftAlone) {
  const std::string path = scratch("file");
  std::ofstream(path) << "mine";
  const auto refused = serve_grpc(service, {.address = "unix:" + path});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("a file that is no socket"));
  EXPECT_TRUE(std::filesystem::exists(path));
  std::filesystem::remove(path);
}

TEST_F(Grpc, WhatIsNoAddressIsSaid) {
  for (const std::string address : {"", "localhost", ":80", "localhost:", "localhost:x", "localhost:70000", "unix:"}) {
    const auto refused = serve_grpc(service, {.address = address});
    ASSERT_FALSE(refused) << address;
    EXPECT_EQ(refused.error().code, Errc::kInvalid) << refused.error().text();
  }
  const auto half = serve_grpc(service, {.certificate = "x"});
  ASSERT_FALSE(half);
  EXPECT_THAT(half.error().text(), HasSubstr("needs a certificate and its key"));
  const auto broken = serve_grpc(service, {.certificate = "x", .key = "y"});
  ASSERT_FALSE(broken);
  EXPECT_EQ(broken.error().code, Errc::kCorrupt);
}

}  // namespace
}  // namespace polythrottle::server

#endif
