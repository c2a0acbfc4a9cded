// Operators that work element by element.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/graph/operator.h"

namespace polythrottle::graph {
namespace {

Status same(Call& call) {
  call.make(0, call.shape(0), call.in[0]->type);
  return {};
}
Status same_bool(Call& call) {
  call.make(0, call.shape(0), kBool);
  return {};
}
Status cast(Call& call) {
  call.make(0, call.shape(0), static_cast<int>(call.attribute("to", kFloat)));
  return {};
}
Status cast_like(Call& call) {
  call.make(0, call.shape(0), call.has(1) ? call.in[1]->type : 0);
  return {};
}
Status quantize(Call& call) {
  call.make(0, call.shape(0), call.has(2) ? call.in[2]->type : static_cast<int>(call.attribute("output_dtype", kUint8)));
  return {};
}
Status dequantize(Call& call) {
  call.make(0, call.shape(0), call.has(1) ? call.in[1]->type : kFloat);
  // Weights are kept as small as the file has them.
  if (call.in[0]->constant && !call.out.empty()) call.out[0].bytes = element_bytes(call.in[0]->type);
  return {};
}
Status dynamic_quantize(Call& call) {
  call.make(0, call.shape(0), kUint8);
  call.make(1, {}, kFloat);
  call.make(2, {}, kUint8);
  return {};
}

Result<Shape> stretched(const Call& call, std::initializer_list<std::size_t> which) {
  Shape shape;
  for (const auto index : which) {
    auto next = broadcast(shape, call.shape(index));
    if (!next) return call.bad(fmt::format("[{}] and [{}] cannot be broadcast", fmt::join(shape, ","), fmt::join(call.shape(index), ",")));
    shape = std::move(*next);
  }
  return shape;
}
Status two(Call& call) {
  TRY(auto shape, stretched(call, {0, 1}));
  call.make(0, std::move(shape), call.in[0]->type);
  return {};
}
Status comparison(Call& call) {
  TRY(auto shape, stretched(call, {0, 1}));
  call.make(0, std::move(shape), kBool);
  return {};
}
Status where(Call& call) {
  TRY(auto shape, stretched(call, {0, 1, 2}));
  call.make(0, std::move(shape), call.in[1]->type);
  return {};
}
Status many(Call& call) {
  Shape shape;
  for (std::size_t index = 0; index < call.in.size(); ++index) {
    if (!call.has(index)) continue;
    auto next = broadcast(shape, call.shape(index));
    if (!next) return call.bad("its inputs cannot be broadcast");
    shape = std::move(*next);
  }
  call.make(0, std::move(shape), call.in[0]->type);
  return {};
}
/// Operands at 0 and 3, each followed by its scale and zero point (com.microsoft QLinearAdd).
Status quantized_two(Call& call) {
  if (!call.has(3)) return call.bad("its second operand is missing");
  TRY(auto shape, stretched(call, {0, 3}));
  call.make(0, std::move(shape), call.in[0]->type);
  return {};
}

/// One operation for each element written.
Work one_each(const Call& call) { return {.other = count(*call.out[0].shape)}; }
Work many_each(const Call& call) { return {.other = count(*call.out[0].shape) * static_cast<double>(call.in.size() - 1)}; }
/// Scale and shift.
Work two_each(const Call& call) { return {.other = 2.0 * count(*call.out[0].shape)}; }

constexpr Operator unary(std::string_view name, std::string_view domain = {}) {
  return {name, Role::kPointwise, 1, same, one_each, domain};
}
constexpr Operator binary(std::string_view name, std::string_view domain = {}) {
  return {name, Role::kPointwise, 2, two, one_each, domain};
}
constexpr Operator compare(std::string_view name) { return {name, Role::kPointwise, 2, comparison, one_each}; }
constexpr std::string_view kMicrosoft = "com.microsoft";

constexpr Operator kOperators[] = {
    unary("Relu"),
    unary("LeakyRelu"),
    unary("Sigmoid"),
    unary("Tanh"),
    unary("Erf"),
    unary("Exp"),
    unary("Log"),
    unary("Sqrt"),
    unary("Neg"),
    unary("Abs"),
    unary("Clip"),
    unary("HardSigmoid"),
    unary("HardSwish"),
    unary("Elu"),
    unary("Selu"),
    unary("Celu"),
    unary("Softplus"),
    unary("Softsign"),
    unary("Gelu"),
    unary("Mish"),
    unary("Swish"),
    unary("ThresholdedRelu"),
    unary("Shrink"),
    unary("Sin"),
    unary("Cos"),
    unary("Tan"),
    unary("Asin"),
    unary("Acos"),
    unary("Atan"),
    unary("Sinh"),
    unary("Cosh"),
    unary("Asinh"),
    unary("Acosh"),
    unary("Atanh"),
    unary("Reciprocal"),
    unary("Floor"),
    unary("Ceil"),
    unary("Round"),
    unary("Sign"),
    unary("Not"),
    unary("BitwiseNot"),
    unary("Gelu", kMicrosoft),
    unary("FastGelu", kMicrosoft),
    unary("QuickGelu", kMicrosoft),
    unary("BiasGelu", kMicrosoft),
    unary("QLinearSigmoid", kMicrosoft),
    unary("QLinearLeakyRelu", kMicrosoft),
    binary("Add"),
    binary("Sub"),
    binary("Mul"),
    binary("Div"),
    binary("Pow"),
    binary("Mod"),
    binary("PRelu"),
    binary("And"),
    binary("Or"),
    binary("Xor"),
    binary("BitShift"),
    binary("BitwiseAnd"),
    binary("BitwiseOr"),
    binary("BitwiseXor"),
    compare("Equal"),
    compare("Greater"),
    compare("Less"),
    compare("GreaterOrEqual"),
    compare("LessOrEqual"),
    Operator{"IsNaN", Role::kPointwise, 1, same_bool, one_each},
    Operator{"IsInf", Role::kPointwise, 1, same_bool, one_each},
    Operator{"Where", Role::kPointwise, 3, where, one_each},
    Operator{"Min", Role::kPointwise, 1, many, many_each},
    Operator{"Max", Role::kPointwise, 1, many, many_each},
    Operator{"Sum", Role::kPointwise, 1, many, many_each},
    Operator{"Mean", Role::kPointwise, 1, many, many_each},
    Operator{"Cast", Role::kPointwise, 1, cast},
    Operator{"CastLike", Role::kPointwise, 1, cast_like},
    Operator{"BatchNormalization", Role::kPointwise, 5, same, two_each},
    Operator{"QuantizeLinear", Role::kPointwise, 2, quantize, two_each},
    Operator{"DequantizeLinear", Role::kPointwise, 2, dequantize, two_each},
    Operator{"QuantizeLinear", Role::kPointwise, 2, quantize, two_each, kMicrosoft},
    Operator{"DequantizeLinear", Role::kPointwise, 2, dequantize, two_each, kMicrosoft},
    // It looks for the largest and the smallest element first.
    Operator{"DynamicQuantizeLinear", Role::kKernel, 1, dynamic_quantize,
             [](const Call& c) { return Work{.other = 4.0 * count(c.shape(0))}; }},
    Operator{"QLinearAdd", Role::kPointwise, 1, quantized_two, one_each, kMicrosoft},
    Operator{"QLinearMul", Role::kPointwise, 1, quantized_two, one_each, kMicrosoft},
};

}  // namespace

std::span<const Operator> elementwise_operators() { return kOperators; }

}  // namespace polythrottle::graph
