// Convolutions, matrix products, recurrent layers.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/graph/operator.h"

namespace polythrottle::graph {
namespace {

/// Which inputs hold the activations and the weights.
struct Operands {
  std::size_t data = 0;
  std::size_t weights = 1;
};

/// What strides, pads and dilations make of the spatial axes.
Status convolve(Call& call, Operands at, int type) {
  const Shape& x = call.shape(at.data);
  const Shape& w = call.shape(at.weights);
  if (x.size() < 3 || w.size() != x.size()) {
    return call.bad(fmt::format("data of shape [{}] and weights of shape [{}]", fmt::join(x, ","), fmt::join(w, ",")));
  }
  const auto groups = call.attribute("group", 1);
  if (groups < 1 || w[0] % groups != 0 || x[1] % groups != 0 || w[1] != x[1] / groups) {
    return call.bad(fmt::format("{} channels in {} groups do not fit weights of shape [{}]", x[1], groups, fmt::join(w, ",")));
  }
  const std::size_t axes = x.size() - 2;
  auto strides = call.attribute_list("strides"), pads = call.attribute_list("pads"), dilations = call.attribute_list("dilations");
  strides.resize(axes, 1);
  dilations.resize(axes, 1);
  pads.resize(2 * axes, 0);
  const auto automatic = call.attribute_text("auto_pad", "NOTSET");
  Shape out{x[0], w[0]};
  for (std::size_t axis = 0; axis < axes; ++axis) {
    const double stride = static_cast<double>(strides[axis]);
    const double reach = static_cast<double>(dilations[axis]) * static_cast<double>(w[axis + 2] - 1) + 1.0;
    const double size = static_cast<double>(x[axis + 2]);
    if (stride < 1.0 || dilations[axis] < 1) return call.bad("a stride or dilation below 1");
    double extent = 0.0;
    if (automatic.starts_with("SAME")) {
      extent = std::ceil(size / stride);
    } else {
      const double padded = size + (automatic == "VALID" ? 0.0 : static_cast<double>(pads[axis]) + static_cast<double>(pads[axis + axes]));
      extent = std::floor((padded - reach) / stride) + 1.0;
    }
    if (!(extent >= 0.0 && extent < 0x1p53)) return call.bad("its window is larger than the data");
    out.push_back(static_cast<std::int64_t>(extent));
  }
  call.make(0, std::move(out), type);
  return {};
}
Status conv(Call& call) { return convolve(call, {}, call.in[0]->type); }
Status conv_integer(Call& call) { return convolve(call, {}, kInt32); }
Status conv_quantized(Call& call) { return convolve(call, {0, 3}, call.in[0]->type); }

/// Each output element sums over the filter and the channels of its group.
Work convolve_work(const Call& call, Operands at) {
  const Shape& w = call.shape(at.weights);
  const double outputs = count(*call.out[0].shape);
  return {.macs = w[0] == 0 ? 0.0 : outputs * count(w) / static_cast<double>(w[0])};
}
Work conv_work(const Call& call) { return convolve_work(call, {}); }
Work conv_quantized_work(const Call& call) { return convolve_work(call, {0, 3}); }

Status conv_transpose(Call& call) {
  const Shape& x = call.shape(0);
  const Shape& w = call.shape(1);
  if (x.size() < 3 || w.size() != x.size() || w[0] != x[1]) {
    return call.bad(fmt::format("data of shape [{}] and weights of shape [{}]", fmt::join(x, ","), fmt::join(w, ",")));
  }
  const std::size_t axes = x.size() - 2;
  auto strides = call.attribute_list("strides"), pads = call.attribute_list("pads"), dilations = call.attribute_list("dilations");
  auto extra = call.attribute_list("output_padding");
  const auto wanted = call.attribute_list("output_shape");
  strides.resize(axes, 1);
  dilations.resize(axes, 1);
  extra.resize(axes, 0);
  pads.resize(2 * axes, 0);
  const bool same = call.attribute_text("auto_pad", "NOTSET").starts_with("SAME");
  Shape out{x[0], 0};
  const double channels = static_cast<double>(w[1]) * static_cast<double>(call.attribute("group", 1));
  if (!(channels >= 0.0 && channels < 0x1p53)) return call.bad("its groups");
  out[1] = static_cast<std::int64_t>(channels);
  for (std::size_t axis = 0; axis < axes; ++axis) {
    const auto d = [](std::int64_t value) { return static_cast<double>(value); };
    double extent = d(strides[axis]) * (d(x[axis + 2]) - 1.0) + d(extra[axis]) + d(dilations[axis]) * (d(w[axis + 2]) - 1.0) + 1.0 -
                    d(pads[axis]) - d(pads[axis + axes]);
    if (same) extent = d(x[axis + 2]) * d(strides[axis]);
    if (wanted.size() >= axes) extent = d(wanted[wanted.size() - axes + axis]);
    if (!(extent >= 0.0 && extent < 0x1p53)) return call.bad("its output would have a negative size");
    out.push_back(static_cast<std::int64_t>(extent));
  }
  call.make(0, std::move(out), call.in[0]->type);
  return {};
}
/// Each input element is spread over the filter and the channels of its group.
Work conv_transpose_work(const Call& call) {
  const Shape& w = call.shape(1);
  return {.macs = w[0] == 0 ? 0.0 : count(call.shape(0)) * count(w) / static_cast<double>(w[0])};
}

/// numpy's matmul, the operands turned if asked.
Status multiply(Call& call, Operands at, int type, bool turn_a = false, bool turn_b = false) {
  Shape a = call.shape(at.data), b = call.shape(at.weights);
  if (a.empty() || b.empty()) return call.bad("a product of a scalar");
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(a.begin(), 1);
  if (column) b.push_back(1);
  if (turn_a) std::swap(a[a.size() - 1], a[a.size() - 2]);
  if (turn_b) std::swap(b[b.size() - 1], b[b.size() - 2]);
  if (a.back() != b[b.size() - 2]) {
    return call.bad(fmt::format("a product of [{}] and [{}]", fmt::join(call.shape(at.data), ","), fmt::join(call.shape(at.weights), ",")));
  }
  auto out = broadcast(Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2));
  if (!out) return call.bad("its batches cannot be broadcast");
  if (!row) out->push_back(a[a.size() - 2]);
  if (!column) out->push_back(b.back());
  call.make(0, std::move(*out), type);
  return {};
}
Status matmul(Call& call) { return multiply(call, {}, call.in[0]->type); }
Status matmul_integer(Call& call) { return multiply(call, {}, kInt32); }
Status matmul_integer_to_float(Call& call) { return multiply(call, {}, kFloat); }
Status matmul_quantized(Call& call) { return multiply(call, {0, 3}, call.in[0]->type); }
Status matmul_fused(Call& call) {
  if (call.attribute("transBatchA", 0) != 0 || call.attribute("transBatchB", 0) != 0) return {};
  return multiply(call, {}, call.in[0]->type, call.attribute("transA", 0) != 0, call.attribute("transB", 0) != 0);
}
Work matmul_work_of(const Call& call, std::size_t data, bool turned) {
  const Shape& a = call.shape(data);
  const std::size_t depth = turned && a.size() > 1 ? a.size() - 2 : a.size() - 1;
  return {.macs = count(*call.out[0].shape) * static_cast<double>(a[depth])};
}
Work matmul_work(const Call& call) { return matmul_work_of(call, 0, false); }
Work matmul_fused_work(const Call& call) { return matmul_work_of(call, 0, call.attribute("transA", 0) != 0); }

Status gemm(Call& call) {
  if (call.shape(0).size() != 2 || call.shape(1).size() != 2) return call.bad("Gemm multiplies matrices");
  return multiply(call, {}, call.in[0]->type, call.attribute("transA", 0) != 0, call.attribute("transB", 0) != 0);
}

/// Weights of a few bits in blocks: [N, blocks, bytes of a block] stands for a K x N matrix.
Status matmul_bits(Call& call) {
  const auto depth = call.attribute("K", 0), columns = call.attribute("N", 0);
  Shape out = call.shape(0);
  if (out.empty() || out.back() != depth || columns < 1) return call.bad("K or N does not fit its data");
  out.back() = columns;
  call.make(0, std::move(out), call.in[0]->type);
  return {};
}

/// Einsum with single letters and "...", the common forms.
struct Terms {
  std::vector<std::string> in;
  std::string out;
};
std::optional<Terms> einsum_terms(const Call& call) {
  for (const auto* one : call.in) {
    if (one == nullptr) return std::nullopt;
  }
  std::string text = call.attribute_text("equation", "");
  std::erase(text, ' ');
  if (text.find('.') != std::string::npos) return std::nullopt;
  const auto arrow = text.find("->");
  Terms terms{{""}, ""};
  for (const char letter : text.substr(0, arrow)) {
    if (letter == ',') {
      terms.in.emplace_back();
    } else {
      terms.in.back() += letter;
    }
  }
  if (arrow != std::string::npos) {
    terms.out = text.substr(arrow + 2);
  } else {  // the letters that occur once, in order
    std::map<char, int> seen;
    for (const auto& term : terms.in)
      for (const char letter : term) ++seen[letter];
    for (const auto& [letter, times] : seen)
      if (times == 1) terms.out += letter;
  }
  return terms.in.size() == call.in.size() ? std::optional(terms) : std::nullopt;
}
std::optional<std::map<char, std::int64_t>> einsum_sizes(const Call& call, const Terms& terms) {
  std::map<char, std::int64_t> sizes;
  for (std::size_t index = 0; index < terms.in.size(); ++index) {
    const Shape& shape = call.shape(index);
    if (shape.size() != terms.in[index].size()) return std::nullopt;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
      auto& size = sizes.try_emplace(terms.in[index][axis], shape[axis]).first->second;
      if (size == 1) size = shape[axis];
      if (shape[axis] != size && shape[axis] != 1) return std::nullopt;
    }
  }
  return sizes;
}
Status einsum(Call& call) {
  const auto terms = einsum_terms(call);
  if (!terms) return {};
  const auto sizes = einsum_sizes(call, *terms);
  if (!sizes) return call.bad("its equation does not fit its inputs");
  Shape out;
  for (const char letter : terms->out) {
    const auto it = sizes->find(letter);
    if (it == sizes->end()) return call.bad("its equation makes an axis of nothing");
    out.push_back(it->second);
  }
  call.make(0, std::move(out), call.in[0]->type);
  return {};
}
/// Two operands: one multiply-accumulate for each combination of indices. More are counted as if multiplied from left to right at once.
Work einsum_work(const Call& call) {
  const auto terms = einsum_terms(call);
  const auto sizes = terms ? einsum_sizes(call, *terms) : std::nullopt;
  if (!sizes) return {};
  double combinations = 1.0;
  for (const auto& [letter, size] : *sizes) combinations *= static_cast<double>(size);
  const auto operands = static_cast<double>(terms->in.size());
  return operands < 2.0 ? Work{.other = combinations} : Work{.macs = combinations * (operands - 1.0)};
}

/// RNN, GRU, LSTM: data [time, items, size], weights [directions, gates * hidden, size], recurrent [directions, gates * hidden, hidden].
Status recurrent(Call& call) {
  const Shape& x = call.shape(0);
  const Shape& w = call.shape(1);
  const Shape& r = call.shape(2);
  if (x.size() != 3 || w.size() != 3 || r.size() != 3 || w[2] != x[2]) return call.bad("its weights do not fit its data");
  const bool items_first = call.attribute("layout", 0) == 1;
  const auto time = x[items_first ? 1 : 0], items = x[items_first ? 0 : 1], hidden = r[2], directions = w[0];
  const int type = call.in[0]->type;
  call.make(0, items_first ? Shape{items, time, directions, hidden} : Shape{time, directions, items, hidden}, type);
  for (const std::size_t state : {1u, 2u}) {
    call.make(state, items_first ? Shape{items, directions, hidden} : Shape{directions, items, hidden}, type);
  }
  return {};
}
Work recurrent_work(const Call& call) {
  const Shape& x = call.shape(0);
  const double steps = static_cast<double>(x[0]) * static_cast<double>(x[1]);
  // Gates are combined with some operations each, little beside the products: one for each gate's output.
  const double gates = static_cast<double>(call.shape(2)[0]) * static_cast<double>(call.shape(2)[1]);
  return {.macs = steps * (count(call.shape(1)) + count(call.shape(2))), .other = steps * gates};
}

constexpr std::string_view kMicrosoft = "com.microsoft";
constexpr Operator kOperators[] = {
    {"Conv", Role::kKernel, 2, conv, conv_work},
    {"ConvInteger", Role::kKernel, 2, conv_integer, conv_work},
    {"QLinearConv", Role::kKernel, 8, conv_quantized, conv_quantized_work},
    {"ConvTranspose", Role::kKernel, 2, conv_transpose, conv_transpose_work},
    {"FusedConv", Role::kKernel, 2, conv, conv_work, kMicrosoft},
    {"MatMul", Role::kKernel, 2, matmul, matmul_work},
    {"MatMulInteger", Role::kKernel, 2, matmul_integer, matmul_work},
    {"QLinearMatMul", Role::kKernel, 8, matmul_quantized, matmul_work},
    {"Gemm", Role::kKernel, 2, gemm, matmul_fused_work},
    {"FusedGemm", Role::kKernel, 2, gemm, matmul_fused_work, kMicrosoft},
    {"FusedMatMul", Role::kKernel, 2, matmul_fused, matmul_fused_work, kMicrosoft},
    {"TransposeMatMul", Role::kKernel, 2, matmul_fused, matmul_fused_work, kMicrosoft},
    {"MatMulIntegerToFloat", Role::kKernel, 4, matmul_integer_to_float, matmul_work, kMicrosoft},
    {"DynamicQuantizeMatMul", Role::kKernel, 3, matmul, matmul_work, kMicrosoft},
    {"MatMulNBits", Role::kKernel, 3, matmul_bits, matmul_work, kMicrosoft},
    {"Einsum", Role::kKernel, 1, einsum, einsum_work},
    {"LSTM", Role::kKernel, 3, recurrent, recurrent_work},
    {"GRU", Role::kKernel, 3, recurrent, recurrent_work},
    {"RNN", Role::kKernel, 3, recurrent, recurrent_work},
};

}  // namespace

std::span<const Operator> product_operators() { return kOperators; }

}  // namespace polythrottle::graph
