#pragma once
// The calls of the protocol, answered from the service. Only where the build has gRPC.

#include <cstddef>
#include <memory>
#include <optional>

#include "server/service.h"
#include "server/token.h"

namespace grpc {
class Service;
}

namespace polythrottle::server {

/// Made for one grpc::Server, which must end first. No call blocks a thread of gRPC's: an inference is answered from the service's thread,
/// loading and unloading are done one at a time on a thread of its own.
class GrpcCalls {
 public:
  virtual ~GrpcCalls() = default;
  virtual grpc::Service& calls() = 0;
};
/// `concurrent`: inferences under way. `service` outlives it.
std::unique_ptr<GrpcCalls> make_grpc_calls(Service& service, std::size_t concurrent, std::optional<Token> token);

}  // namespace polythrottle::server
