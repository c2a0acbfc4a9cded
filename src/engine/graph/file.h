#pragma once
// What an ONNX file says about its graph: operators, attributes, shapes. Weights stay on the disk.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace polythrottle::graph {

/// Numbers of a tensor are kept up to this many: enough for shapes, axes and scales, which decide the sizes of other tensors.
inline constexpr std::size_t kKeptNumbers = 4096;

/// Element types by the numbers of TensorProto.DataType (ONNX, onnx.proto).
enum ElementType : int {
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kInt32 = 6,
  kInt64 = 7,
  kBool = 9,
  kFloat16 = 10,
  kDouble = 11,
  kBfloat16 = 16,
};
/// Bytes of one element; half a byte for the four-bit types. 0 if the type is unknown or has no width (strings).
double element_bytes(int type);
bool is_integer(int type);

/// A constant in the file.
struct Tensor {
  std::string name;
  int type = 0;
  std::vector<std::int64_t> dims;              ///< none negative
  std::optional<std::vector<double>> numbers;  ///< if they are in the file and no more than kKeptNumbers
};

/// One axis as declared: a size, a name, or neither.
struct Axis {
  std::optional<std::int64_t> size;
  std::string name;
};
/// A declared tensor; without `axes` not even the rank is known.
struct ValueInfo {
  std::string name;
  int type = 0;
  std::optional<std::vector<Axis>> axes;
};

struct Graph;
struct Attribute {
  std::optional<std::int64_t> integer;
  std::optional<double> number;
  std::optional<std::string> text;
  std::optional<Tensor> tensor;
  std::vector<std::int64_t> integers;
  std::vector<double> numbers;
  std::vector<std::string> texts;
  std::vector<Graph> graph;  ///< at most one
};
struct Node {
  std::string name, type, domain;            ///< domain "" is ONNX's own
  std::vector<std::string> inputs, outputs;  ///< "" where an optional one is left out
  std::map<std::string, Attribute, std::less<>> attributes;
};
struct Graph {
  std::vector<Node> nodes;  ///< in an order in which they can run, as ONNX demands; not checked here
  std::vector<Tensor> initializers;
  std::vector<ValueInfo> inputs, outputs, values;
};
struct Model {
  std::int64_t opset = 0;  ///< version of ONNX's own operators
  Graph graph;
};

/// Reads a file of the user's, of at most 2 GiB (what protobuf allows); files beside it with external data are never opened, and what is
/// kept in memory is bounded (256 MiB) whatever the file says. Errors: kNotFound, kPermission, kIo; kCorrupt (no ONNX model, truncated, a
/// negative size); kUnsupported (too large).
Result<Model> read_onnx(const std::string& path);
/// The same of bytes in memory; `name` is what errors call it.
Result<Model> parse_onnx(std::string_view bytes, const std::string& name);

}  // namespace polythrottle::graph
