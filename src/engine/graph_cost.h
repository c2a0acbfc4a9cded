#pragma once
// What a network asks of a device, counted on its ONNX graph: multiply-accumulates, memory traffic, arithmetic intensity.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace polythrottle {

struct Traffic {
  double elements = 0.0;
  double bytes = 0.0;  ///< by the width of each tensor's type
  Traffic& operator+=(const Traffic& other);
};

/// One kernel: an operator and the element-wise ones behind it that an inference library runs with it. All of one batch.
struct KernelCost {
  std::string name;       ///< of its first node
  std::string operators;  ///< "Conv + Sigmoid + Mul"
  std::vector<std::int64_t> output;
  double macs = 0.0;   ///< multiply-accumulates
  double flops = 0.0;  ///< two for each of them, and the other operations
  Traffic weights;     ///< constants read
  Traffic inputs;      ///< read of what other kernels wrote, and of the graph's inputs; rows of a table that are looked up
  Traffic outputs;     ///< written for other kernels or as outputs of the graph
};

/// Operators that are in no total.
struct NotCounted {
  std::string type;  ///< with its domain if that is not ONNX's own
  std::string why;
  std::size_t nodes = 0;
};

struct GraphCost {
  std::int64_t batch = 1;
  bool batch_is_free = false;
  std::vector<KernelCost> kernels;      ///< in the order of the graph
  std::vector<NotCounted> not_counted;  ///< the totals are lower bounds unless this is empty
  std::vector<std::string> notes;       ///< what was assumed, such as how often a loop's body runs

  /// Sums over the kernels, of one batch.
  double macs() const;
  double flops() const;
  Traffic weights() const;
  /// Inputs and outputs of all kernels.
  Traffic activations() const;
  /// Multiply-accumulates per element moved once (eq. 1 of arXiv 2310.19991, its three sums taken over the network). 0 if nothing moves.
  double intensity() const;
};

struct GraphCostOptions {
  std::map<std::string, std::int64_t> dimensions;  ///< value of each free axis other than the batch's, by its name or as INPUT[AXIS]
  std::optional<std::int64_t> batch;               ///< 1 if the batch is free and nothing is given
};

/// Counts the graph in a file (docs/graph-cost.md says how). Weights are not read, external data are not opened. Errors: kNotFound,
/// kPermission, kIo, kCorrupt (no ONNX model, or sizes that do not fit), kUnsupported (larger than 2 GiB, inputs without a rank), kInvalid
/// (a free axis without a value, named; a name or batch the model has not).
Result<GraphCost> count_graph(const std::string& path, const GraphCostOptions& options);
/// The same of a file's content.
Result<GraphCost> count_graph_bytes(std::string_view bytes, const std::string& name, const GraphCostOptions& options);

}  // namespace polythrottle
