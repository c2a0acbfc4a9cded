#pragma once
// Where a server listens: REST on a port and a Unix socket, gRPC on another port.

#include <CLI/App.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "server/service.h"

namespace polythrottle {

struct FrontFlags {
  std::string http = "127.0.0.1:8000", grpc = "127.0.0.1:8001", unix_socket;
  std::string certificate, key, token_file;
  bool insecure = false;
  int threads = 1;
};

void bind_fronts(CLI::App& command, FrontFlags& flags);
/// Are the words right, alone and together? Opens nothing. Errors: kInvalid.
Status check_fronts(const FrontFlags& flags);

class Fronts {
 public:
  virtual ~Fronts() = default;
  /// "http://127.0.0.1:8000", "grpc 127.0.0.1:8001", "unix:PATH".
  virtual std::vector<std::string> addresses() const = 0;
  virtual void stop(Seconds patience) = 0;
};
/// `service` outlives it. Errors: kBusy for a port in use; those of token and certificate files.
Result<std::unique_ptr<Fronts>> open_fronts(server::Service& service, const FrontFlags& flags);

}  // namespace polythrottle
