#pragma once
// A server that already runs, as load and tune are told of it.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/http_url.h"
#include "workload/oip_payload.h"

namespace polythrottle {

struct TargetFlags {
  std::string target, model;
  std::vector<std::string> inputs, dimensions;  ///< NAME=VALUE
  std::int64_t batch = 1;
  bool as_json = false;
  std::uint64_t seed = 0;
};

struct Target {
  HttpUrl server;
  ModelInfo model;
  std::vector<OipPayload> payloads;
  std::string payload_text;  ///< "binary tensors of 602112 bytes"
};

/// Asks the server for the model and makes requests for it. Errors: kInvalid for the flags; kNotFound, kIo, kTimeout, kCorrupt for a server
/// that is not there or has no such model.
Result<Target> open_target(const TargetFlags& flags);

}  // namespace polythrottle
