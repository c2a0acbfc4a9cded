#pragma once
// The network as an ONNX file, and the weights of one that was written before. libtorch has no exporter in C++; a network of seven
// layers is written down by hand, from the format's description (github.com/onnx/onnx, docs/IR.md).

#include <cstdint>
#include <map>
#include <string>
#include <vector>

struct Weights {
  std::vector<std::int64_t> shape;
  std::vector<float> values;  ///< row-major
};
using WeightMap = std::map<std::string, Weights>;  ///< "conv1.weight", "conv1.bias", ...

/// Input "image" [N, 1, 8, 8], output "scores" [N, 10]. Appears under `path` whole or not at all. Throws std::runtime_error.
void write_onnx(const std::string& path, const WeightMap& weights);
/// Throws std::runtime_error.
WeightMap read_onnx(const std::string& path);
