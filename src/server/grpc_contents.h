#pragma once
// Elements of a tensor that stand in a message as numbers instead of bytes. Only where the build has gRPC.

#include "base/result.h"
#include "engine/tensor.h"

namespace inference {
class InferTensorContents;
}

namespace polythrottle::server {

/// The elements of `tensor` (its type and shape are set, its bytes are not) from typed contents. Errors: kInvalid where their number is not
/// that of the shape (before anything is allocated), one is outside the type's range, another type's list is filled, or the type has none
/// (16-bit floats).
Result<Bytes> read_contents(const Tensor& tensor, const inference::InferTensorContents& contents);

/// Most bytes that an element in typed contents takes, over its bytes in a tensor. At least 1.
double longest_on_the_wire(DataType type);

}  // namespace polythrottle::server
