#pragma once
// Runs one batch of one loaded model.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace polythrottle {

struct TensorInfo {
  std::string name;
  std::string type;                     ///< "float32", "int64", ...
  std::vector<std::int64_t> shape;      ///< -1 where free
  std::vector<std::string> dimensions;  ///< symbolic name per axis, "" where fixed; a nameless free axis is called INPUT[AXIS]
};

struct ModelInfo {
  std::string path;
  std::string sha256;   ///< of the file
  std::string runtime;  ///< "ONNX Runtime 1.26.0 (CPU)", with where it was found
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
  std::optional<std::int64_t> fixed_batch;  ///< the batch is not free: only this one
};

struct EngineOptions {
  int threads = 1;                                 ///< intra-op threads, >= 1
  std::string provider = "cpu";                    ///< "cpu", "cuda", "tensorrt"
  std::map<std::string, std::int64_t> dimensions;  ///< value of each free dimension other than the batch
  std::map<std::string, double> inputs;            ///< inputs filled with one constant instead of random data
  std::uint64_t seed = 0;                          ///< of the random input data
};

/// One loaded session with its input data. Used by one thread at a time; several engines may run side by side.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual const ModelInfo& model() const = 0;
  /// Allocates random inputs for this batch size; later `run`s use them. Errors: kOutOfRange if the batch is fixed to another.
  virtual Status prepare(std::int64_t batch) = 0;
  /// One inference of the prepared batch, outputs discarded. Errors: kIo with the runtime's words.
  virtual Status run() = 0;
};

/// What is in the file, without running it. Errors: kNotFound, kCorrupt (truncated, no ONNX file), kUnsupported (an operator this runtime
/// lacks, or the runtime itself is absent: with what would help), kInvalid (unknown name in dimensions or inputs, with the names there are;
/// a free dimension without a value).
Result<ModelInfo> inspect_onnx(const std::string& path, const EngineOptions& options);
Result<std::unique_ptr<Engine>> open_onnx(const std::string& path, const EngineOptions& options);

/// The runtime library that would be used ("ONNX Runtime 1.26.0, /path"), or why there is none and what would help.
Result<std::string> onnx_runtime();

}  // namespace polythrottle
