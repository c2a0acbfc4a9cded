// Attention as one operator (ONNX Runtime's contrib operators).

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/graph/operator.h"

namespace polythrottle::graph {
namespace {

/// com.microsoft Attention: data [items, tokens, in], weights [in, queries + keys + values], bias. The three are one product.
struct Widths {
  std::int64_t queries, values;
};
std::optional<Widths> widths(const Call& call) {
  const auto given = call.attribute_list("qkv_hidden_sizes");
  const Shape& w = call.shape(1);
  if (w.size() != 2) return std::nullopt;
  if (given.size() == 3 && given[0] > 0 && given[2] > 0) return Widths{given[0], given[2]};
  if (w[1] % 3 != 0) return std::nullopt;
  return Widths{w[1] / 3, w[1] / 3};
}
Status attention(Call& call) {
  const Shape& x = call.shape(0);
  const auto wide = widths(call);
  if (x.size() != 3 || !wide || call.shape(1)[0] != x[2]) {
    return call.bad(fmt::format("data of shape [{}] and weights of shape [{}]", fmt::join(x, ","), fmt::join(call.shape(1), ",")));
  }
  if (call.has(4)) return {};  // keys of earlier tokens
  call.make(0, {x[0], x[1], wide->values}, call.in[0]->type);
  return {};
}
/// Scores and context of all heads together; each score goes through a softmax.
Work heads(double items, double tokens, double keys, double query_width, double value_width, double head_count) {
  const double pairs = items * tokens * keys;
  return {.macs = pairs * (query_width + value_width), .other = 5.0 * pairs * head_count};
}
Work attention_work(const Call& call) {
  const Shape& x = call.shape(0);
  const auto wide = widths(call);
  Work work = heads(static_cast<double>(x[0]), static_cast<double>(x[1]), static_cast<double>(x[1]), static_cast<double>(wide->queries),
                    static_cast<double>(wide->values), static_cast<double>(call.attribute("num_heads", 1)));
  work.macs += static_cast<double>(x[0]) * static_cast<double>(x[1]) * count(call.shape(1));
  return work;
}

/// com.microsoft MultiHeadAttention: queries, keys and values [items, tokens, width], already projected.
Status multi_head(Call& call) {
  const Shape& q = call.shape(0);
  if (q.size() != 3 || !call.has(1) || !call.has(2) || call.shape(1).size() != 3 || call.shape(2).size() != 3 || call.has(6)) return {};
  call.make(0, {q[0], q[1], call.shape(2)[2]}, call.in[0]->type);
  return {};
}
Work multi_head_work(const Call& call) {
  const Shape& q = call.shape(0);
  return heads(static_cast<double>(q[0]), static_cast<double>(q[1]), static_cast<double>(call.shape(1)[1]), static_cast<double>(q[2]),
               static_cast<double>(call.shape(2)[2]), static_cast<double>(call.attribute("num_heads", 1)));
}

constexpr Operator kOperators[] = {
    {"Attention", Role::kKernel, 2, attention, attention_work, "com.microsoft"},
    {"MultiHeadAttention", Role::kKernel, 1, multi_head, multi_head_work, "com.microsoft"},
};

}  // namespace

std::span<const Operator> attention_operators() { return kOperators; }

}  // namespace polythrottle::graph
