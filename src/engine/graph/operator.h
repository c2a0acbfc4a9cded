#pragma once
// What is known of operators: the shapes they make and the arithmetic they do. One table per family (elementwise.cc, layout.cc, ...).

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/graph/file.h"

namespace polythrottle::graph {

using Shape = std::vector<std::int64_t>;

/// What is known of a tensor before the graph runs.
struct Value {
  int type = 0;                                ///< an ElementType, or 0
  std::optional<Shape> shape;                  ///< no size is negative
  std::optional<std::vector<double>> numbers;  ///< its content, if it follows from sizes and constants and is small
  bool constant = false;                       ///< the same in every run: weights, and what is made of them alone
  double bytes = 0.0;                          ///< per element as stored; 0: as the type says

  bool known() const { return shape.has_value(); }
};
/// Number of elements; a double, so that absurd sizes do not overflow. 1 for a scalar.
double count(const Shape& shape);

/// A node about to run: its inputs as known so far, its outputs to be filled in.
struct Call {
  const Node& node;
  std::int64_t opset = 0;
  std::vector<const Value*> in;  ///< null where left out
  std::vector<Value> out;        ///< one for each output of the node, left-out ones included

  bool has(std::size_t index) const { return index < in.size() && in[index] != nullptr; }
  /// Shape of an input that `infer` was promised.
  const Shape& shape(std::size_t index) const { return *in[index]->shape; }
  /// Content of an input as whole numbers, if known.
  std::optional<std::vector<std::int64_t>> integers(std::size_t index) const;

  std::int64_t attribute(std::string_view name, std::int64_t otherwise) const;
  double attribute_number(std::string_view name, double otherwise) const;
  std::string attribute_text(std::string_view name, std::string_view otherwise) const;
  std::vector<std::int64_t> attribute_list(std::string_view name) const;
  bool has_attribute(std::string_view name) const { return node.attributes.find(name) != node.attributes.end(); }
  /// A list that moved from an attribute to an input in a later version, such as axes; nothing if it is in neither or not known, and
  /// `known` says whether that is because it was left out.
  std::optional<std::vector<std::int64_t>> list(std::string_view name, std::size_t index, bool& known) const;

  /// Fills in an output, if the node has that many.
  void make(std::size_t index, Shape shape, int type);
  /// An error that names the node: kCorrupt, "Conv 'stem': ...".
  tl::unexpected<Error> bad(const std::string& what) const;
};

/// Arithmetic of one run.
struct Work {
  double macs = 0.0;
  double other = 0.0;  ///< floating-point (or integer) operations that are no multiply-accumulate
};

/// How an operator touches memory.
enum class Role {
  kKernel,     ///< reads its inputs once, writes its outputs once
  kPointwise,  ///< likewise, element by element: fused into the operator whose result it is first to read
  kRows,       ///< reads of its first input only as much as it writes
  kView,       ///< gives the same elements another name or shape
};

/// `infer` is called when the shapes of all inputs that are there are known (and at least `least` are there); it leaves a shape unset that
/// depends on content that is not known. Errors: kCorrupt if the shapes do not fit. `work` is called when the outputs are known too.
struct Operator {
  std::string_view name;
  Role role = Role::kKernel;
  std::size_t least = 1;
  Status (*infer)(Call& call) = nullptr;
  Work (*work)(const Call& call) = nullptr;  ///< null: none
  std::string_view domain = {};              ///< "" is ONNX's own
};

/// Null if not known.
const Operator* find_operator(const Node& node);

std::span<const Operator> elementwise_operators();  // elementwise.cc
std::span<const Operator> layout_operators();       // layout.cc
std::span<const Operator> selection_operators();    // selection.cc
std::span<const Operator> product_operators();      // products.cc
std::span<const Operator> window_operators();       // windows.cc
std::span<const Operator> norm_operators();         // norms.cc
std::span<const Operator> attention_operators();    // attention.cc

/// Content of the outputs of a node whose inputs' content is known, where shapes are computed with it. `call.out` has its shapes.
void fold(Call& call);

/// The shape to which both are stretched (numpy's rule); nothing if they do not fit.
std::optional<Shape> broadcast(const Shape& a, const Shape& b);
/// `axis`, counted from the end if negative; nothing if it is outside.
std::optional<std::size_t> axis_of(std::int64_t axis, std::size_t rank);

}  // namespace polythrottle::graph
