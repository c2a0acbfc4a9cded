#pragma once
// An inference request of the Open Inference Protocol's REST form, with Triton's binary tensor data extension, from bytes and to bytes.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/http.h"
#include "server/service.h"

namespace polythrottle::server {

struct RestInferRequest {
  InferRequest request;
  std::vector<std::string> binary;  ///< outputs wanted as binary data
  bool binary_by_default = false;   ///< those that were not named, too
  std::vector<std::string> json;    ///< outputs wanted as JSON whatever the default is
};

/// `body` holds JSON, and behind its first `json_size` bytes (nullopt: all) the binary data of those inputs that say so, in their order.
/// Names, types, shapes and sizes are checked against the model before memory is taken for tensors. Binary tensors share `body` where
/// their elements are aligned in it. Failures: kInvalid, kUnsupported, with what was expected and what came.
tl::expected<RestInferRequest, Failure> parse_infer(const ModelInfo& model, std::shared_ptr<const std::string> body,
                                                    std::optional<std::size_t> json_size);

/// Failures: kUnsupported for an output that JSON has no form for.
tl::expected<HttpResponse, Failure> render_infer(const InferResponse& response, const RestInferRequest& request);

}  // namespace polythrottle::server
