#pragma once
// The Open Inference Protocol over gRPC.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/units.h"
#include "server/service.h"
#include "server/token.h"

namespace polythrottle::server {

struct GrpcOptions {
  std::string address = "127.0.0.1:0";  ///< "HOST:PORT", port 0 for any that is free; "unix:PATH", made with mode 0600
  std::string certificate, key;         ///< PEM text; both or none. With them TLS
  std::optional<Token> token;           ///< every call but ServerLive and ServerReady names it: `authorization: Bearer WORD`
  std::size_t concurrent = 4096;        ///< inferences under way; one more is UNAVAILABLE
  int streams = 1024;                   ///< calls under way on one connection; one more waits
  Seconds handshake = Seconds(10);      ///< for a client that has connected to begin
};

/// Listens from its making on, on threads of gRPC's.
class GrpcServer {
 public:
  virtual ~GrpcServer() = default;  ///< stop(0)
  /// The address that was bound, as a client takes it: "127.0.0.1:41237", "unix:/run/p.sock".
  virtual const std::string& address() const = 0;
  /// Takes no more calls; those under way may end within `patience`, then they are cancelled. Returns when the service has answered all
  /// it was asked. A second call does nothing.
  virtual void stop(Seconds patience) = 0;
};

/// `service` must outlive it. A message is at most as large as the largest request of the models that are loaded now. Errors: kBusy
/// (address in use), kPermission, kInvalid (address; certificate without key), kCorrupt (certificate or key), kUnsupported (a build without
/// gRPC), kIo.
Result<std::unique_ptr<GrpcServer>> serve_grpc(Service& service, const GrpcOptions& options);

}  // namespace polythrottle::server
