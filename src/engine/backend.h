#pragma once
// Answers requests: a loaded model whose inputs come from outside, as Engine (engine.h) is one that is fed random data to be measured.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/tensor.h"

namespace polythrottle {

/// Part of a request: some rows of all its inputs, which were checked against the model (names, types, shapes, bytes) and stand in the
/// model's order. Where the model's batch is fixed or it has none, a slice is a whole request.
struct Slice {
  std::span<const Tensor> inputs;
};

/// Safe from several threads, each with its own batch.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual const ModelInfo& model() const = 0;
  /// One batch of all slices together; the outputs of each, in their order, all outputs of the model in its order. Errors: kIo with the
  /// runtime's words; kTimeout, kIo for an upstream that does not answer; kInvalid where the model refused these inputs. One error is that
  /// of all slices.
  virtual Result<std::vector<std::vector<Tensor>>> run(std::span<const Slice> slices) = 0;
};

/// ONNX Runtime in this process. Inputs of a batch of one slice are bound where they lie. Errors: those of open_onnx.
Result<std::unique_ptr<Backend>> open_onnx_backend(const std::string& path, const EngineOptions& options);

/// Are these inputs what the model takes? Each by name, once; type; every fixed axis; bytes. Puts them into the model's order. The batch is
/// axis 0 of every input (where the model has one), the same for all, from 1. Answers it; 1 where the model has no batch axis or a fixed
/// one. Errors: kInvalid that names the input, what was expected and what came.
Result<std::int64_t> check_inputs(const ModelInfo& model, std::vector<Tensor>& inputs);
/// The same before there are any bytes: from names, types and shapes alone, so that nothing is allocated for what will be refused.
Result<std::int64_t> check_input_shapes(const ModelInfo& model, std::span<const TensorInfo> inputs);
/// Has every input and output a free first axis of one batch?
bool batchable(const ModelInfo& model);

}  // namespace polythrottle
