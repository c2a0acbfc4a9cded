#pragma once
// Elements of a tensor as a JSON array, as an answer of the Open Inference Protocol has them without its binary extension.

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "engine/tensor.h"

namespace polythrottle {

/// A flat array. Errors: kUnsupported for what JSON cannot hold (16-bit floats, infinity, strings that are not UTF-8).
Result<nlohmann::json> to_json_elements(const Tensor& tensor);

/// `tensor` has name, type and shape, and gets its bytes. `data`: flat, or nested as deep as the shape. Errors: kInvalid where number, type
/// or range of the elements is another; kUnsupported as above.
Status from_json_elements(const nlohmann::json& data, Tensor& tensor);

}  // namespace polythrottle
