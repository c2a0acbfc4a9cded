// The server in front of a client of others, over gRPC.
#if POLYTHROTTLE_HAVE_GRPC

#include "server/grpc.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "e2e/process.h"
#include "peer/python.h"
#include "server/grpc_fake_service.h"

namespace polythrottle::server {
namespace {

TEST(GrpcPeer, AClientInPythonFindsEveryAnswerRight) {
  SKIP_WITHOUT_PYTHON("grpc, grpc_tools, numpy");
  GrpcFakeService service;
  const auto server = serve_grpc(service, {});
  ASSERT_TRUE(server) << server.error().text();
  const auto folder = std::filesystem::path(testing::TempDir()) / ("oip_client." + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  e2e::Process client({peer::kPython, POLYTHROTTLE_SOURCE_DIR "/tests/peer/oip_client.py",
                       POLYTHROTTLE_SOURCE_DIR "/src/server/open_inference.proto", folder.string(), (*server)->address()});
  const std::string errors = client.errors();
  std::string said, line;
  while (!(line = client.line()).empty()) said += line + "\n";
  EXPECT_EQ(client.wait(), 0) << said << errors;
  EXPECT_NE(said.find("ok still live"), std::string::npos) << said;
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace polythrottle::server

#endif
