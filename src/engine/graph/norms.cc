// Normalisation and softmax: each row is read to find out how to write it.

#include "engine/graph/operator.h"

namespace polythrottle::graph {
namespace {

Status same(Call& call) {
  call.make(0, call.shape(0), call.in[0]->type);
  return {};
}

/// Mean and inverse deviation of each row stand behind the result.
Status layer_norm(Call& call) {
  const Shape& x = call.shape(0);
  const auto axis = axis_of(call.attribute("axis", -1), x.size());
  if (!axis) return call.bad("its axis");
  call.make(0, x, call.in[0]->type);
  Shape rows = x;
  for (std::size_t at = *axis; at < rows.size(); ++at) rows[at] = 1;
  for (const std::size_t index : {1u, 2u}) call.make(index, rows, kFloat);
  return {};
}

/// com.microsoft SkipLayerNormalization: the sum of two tensors, normalised; the sum itself may be the fourth output.
Status skip_norm(Call& call) {
  auto shape = broadcast(call.shape(0), call.shape(1));
  if (!shape || shape->empty()) return call.bad("its inputs differ in shape");
  Shape rows = *shape;
  rows.back() = 1;
  for (const std::size_t index : {1u, 2u}) call.make(index, rows, kFloat);
  call.make(3, *shape, call.in[0]->type);
  call.make(0, std::move(*shape), call.in[0]->type);
  return {};
}

/// Sum, difference, square, sum, division, scale, shift.
Work norm_work(const Call& call) { return {.other = 7.0 * count(*call.out[0].shape)}; }
Work skip_norm_work(const Call& call) { return {.other = 8.0 * count(*call.out[0].shape)}; }
/// Square, sum, division, scale.
Work rms_work(const Call& call) { return {.other = 4.0 * count(*call.out[0].shape)}; }
/// Largest, difference, exponential, sum, division.
Work softmax_work(const Call& call) { return {.other = 5.0 * count(*call.out[0].shape)}; }
/// A sum of squares over `size` channels, a power, a division.
Work lrn_work(const Call& call) {
  return {.other = (2.0 * static_cast<double>(call.attribute("size", 1)) + 3.0) * count(*call.out[0].shape)};
}

constexpr std::string_view kMicrosoft = "com.microsoft";
constexpr Operator kOperators[] = {
    {"Softmax", Role::kKernel, 1, same, softmax_work},
    {"LogSoftmax", Role::kKernel, 1, same, softmax_work},
    {"Hardmax", Role::kKernel, 1, same, softmax_work},
    {"LayerNormalization", Role::kKernel, 2, layer_norm, norm_work},
    {"SimplifiedLayerNormalization", Role::kKernel, 2, layer_norm, rms_work},
    {"RMSNormalization", Role::kKernel, 2, layer_norm, rms_work},
    {"InstanceNormalization", Role::kKernel, 3, same, norm_work},
    {"GroupNormalization", Role::kKernel, 3, same, norm_work},
    {"MeanVarianceNormalization", Role::kKernel, 1, same, norm_work},
    {"LpNormalization", Role::kKernel, 1, same, rms_work},
    {"LRN", Role::kKernel, 1, same, lrn_work},
    {"LayerNormalization", Role::kKernel, 2, layer_norm, norm_work, kMicrosoft},
    {"GroupNorm", Role::kKernel, 3, same, norm_work, kMicrosoft},
    {"SkipLayerNormalization", Role::kKernel, 3, skip_norm, skip_norm_work, kMicrosoft},
    {"SkipSimplifiedLayerNormalization", Role::kKernel, 3, skip_norm, rms_work, kMicrosoft},
};

}  // namespace

std::span<const Operator> norm_operators() { return kOperators; }

}  // namespace polythrottle::graph
