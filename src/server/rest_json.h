#pragma once
// The JSON of an inference request, read so that no element of a tensor becomes an object of its own, and none is kept before it is known
// to be wanted: one walk finds everything but the elements and counts those, a second one writes them where they belong.

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "engine/tensor.h"

namespace polythrottle::server {

struct RequestHead {
  nlohmann::json document;            ///< without the elements: "data" of an input is null
  std::vector<std::size_t> elements;  ///< in "data" of the input so numbered; kNoData where it has none
  static constexpr std::size_t kNoData = static_cast<std::size_t>(-1);
};

/// Errors: kInvalid (no JSON object; a key twice in one object; deeper or with more members than any request needs).
Result<RequestHead> read_request_head(std::string_view text);

/// Writes the elements into `tensors` (name, type and shape given; one per input, in the request's order), those that have data. `data` is
/// flat, or nested as the shape says. Errors: kInvalid, naming the input, the element, what was expected and what came. FP16 and
/// BF16 have no JSON form (Triton refuses them, too): they come as binary data.
Status read_elements(std::string_view text, const RequestHead& head, std::vector<Tensor>& tensors);

}  // namespace polythrottle::server
