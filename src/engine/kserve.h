#pragma once
// A gateway: the model runs in another server that speaks the Open Inference Protocol over HTTP (Triton, MLServer, KServe, another of us).

#include <memory>
#include <string>

#include "base/result.h"
#include "base/units.h"
#include "engine/backend.h"

namespace polythrottle {

struct KserveOptions {
  std::string url;                         ///< "http://HOST:PORT"; what follows the port is put before "/v2"
  std::string model;                       ///< as the upstream calls it
  std::string version;                     ///< "" for the one that the upstream chooses
  Seconds timeout = Seconds(30);           ///< for one answer, from the connecting on
  std::size_t largest_answer = 1U << 30U;  ///< bytes; a longer one is kIo
};

/// Asks the upstream for the model's metadata; batches are free where the first axis of all its inputs and outputs is. Tensors travel as
/// bytes where the upstream has the binary extension, else as JSON. Connections are kept; one that the upstream closed meanwhile is made
/// anew, once. A batch of one request is not copied. Errors, also of `run`: kTimeout and kIo (with the address and what happened), kInvalid
/// where the upstream says that the request is wrong; kNotFound for the model, kInvalid for the url, kCorrupt for what is no answer of
/// this protocol, kUnsupported for a data type that it has and we have not.
Result<std::unique_ptr<Backend>> open_kserve(const KserveOptions& options);

}  // namespace polythrottle
