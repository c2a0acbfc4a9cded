#pragma once
// Inference requests with random inputs, ready to be sent over the Open Inference Protocol's REST form.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "engine/engine.h"

namespace polythrottle {

struct OipPayloadOptions {
  std::int64_t batch = 1;                     ///< of a model whose batch is free
  std::map<std::string, std::int64_t> sizes;  ///< of other free axes, by their names in ModelInfo: "INPUT[AXIS]"
  std::map<std::string, double> constants;    ///< inputs filled with one number
  bool as_json = false;                       ///< plain JSON instead of the binary tensor extension
  std::uint64_t seed = 0;
};

struct OipPayload {
  std::string body;
  std::optional<std::size_t> head;  ///< bytes of JSON before the tensors' own: Inference-Header-Content-Length; nullopt: all is JSON
};

/// One request: reals are standard normal, whole numbers and truth values 0 or 1 (valid as a token and as a mask), strings a letter; the
/// same for the same seed. Errors: kInvalid for a name that the model has not, a free axis without a size, a size below 1, a number that
/// the input's type cannot hold; kUnsupported for 16-bit floats as JSON.
Result<OipPayload> oip_payload(const ModelInfo& model, const OipPayloadOptions& options);

}  // namespace polythrottle
