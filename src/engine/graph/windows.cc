// Pooling and reductions: many elements become one.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "engine/graph/operator.h"

namespace polythrottle::graph {
namespace {

Status pool(Call& call) {
  const Shape& x = call.shape(0);
  auto window = call.attribute_list("kernel_shape");
  if (x.size() < 3 || window.size() != x.size() - 2)
    return call.bad(fmt::format("its window does not fit data of shape [{}]", fmt::join(x, ",")));
  const std::size_t axes = window.size();
  auto strides = call.attribute_list("strides"), pads = call.attribute_list("pads"), dilations = call.attribute_list("dilations");
  strides.resize(axes, 1);
  dilations.resize(axes, 1);
  pads.resize(2 * axes, 0);
  const auto automatic = call.attribute_text("auto_pad", "NOTSET");
  const bool ceil = call.attribute("ceil_mode", 0) != 0;
  Shape out{x[0], x[1]};
  for (std::size_t axis = 0; axis < axes; ++axis) {
    const double size = static_cast<double>(x[axis + 2]), stride = static_cast<double>(strides[axis]);
    const double reach = static_cast<double>(dilations[axis]) * static_cast<double>(window[axis] - 1) + 1.0;
    if (stride < 1.0 || window[axis] < 1 || dilations[axis] < 1) return call.bad("a window, stride or dilation below 1");
    const double before = static_cast<double>(pads[axis]);
    const double padded = automatic == "VALID" ? size : size + before + static_cast<double>(pads[axis + axes]);
    double steps = (padded - reach) / stride;
    steps = ceil ? std::ceil(steps) : std::floor(steps);
    if (ceil && steps * stride >= size + before) steps -= 1.0;  // no window begins behind the data
    const double extent = automatic.starts_with("SAME") ? std::ceil(size / stride) : steps + 1.0;
    if (!(extent >= 0.0 && extent < 0x1p53)) return call.bad("its window is larger than the data");
    out.push_back(static_cast<std::int64_t>(extent));
  }
  call.make(0, out, call.in[0]->type);
  call.make(1, std::move(out), kInt64);  // MaxPool's indices
  return {};
}
Work pool_work(const Call& call) {
  double window = 1.0;
  for (const auto size : call.attribute_list("kernel_shape")) window *= static_cast<double>(size);
  return {.other = window * count(*call.out[0].shape)};
}

Status pool_all(Call& call) {
  Shape to = call.shape(0);
  if (to.size() < 3) return call.bad("it has no axes to pool");
  for (std::size_t axis = 2; axis < to.size(); ++axis) to[axis] = 1;
  call.make(0, std::move(to), call.in[0]->type);
  return {};
}
Status pool_all_quantized(Call& call) {
  Shape to = call.shape(0);
  if (to.size() < 3) return call.bad("it has no axes to pool");
  const bool channels_last = call.attribute("channels_last", 0) != 0;
  for (std::size_t axis = 2; axis < to.size(); ++axis) to[channels_last ? axis - 1 : axis] = 1;
  call.make(0, std::move(to), call.in[0]->type);
  return {};
}

Status reduce(Call& call) {
  bool known = true;
  const auto axes = call.list("axes", 1, known);
  if (!known) return {};
  const Shape& from = call.shape(0);
  const bool keep = call.attribute("keepdims", 1) != 0;
  std::vector<bool> gone(from.size(), false);
  if (axes && !axes->empty()) {
    for (const auto axis : *axes) {
      const auto at = axis_of(axis, from.size());
      if (!at) return call.bad(fmt::format("axis {} of [{}]", axis, fmt::join(from, ",")));
      gone[*at] = true;
    }
  } else if (call.attribute("noop_with_empty_axes", 0) == 0) {
    gone.assign(from.size(), true);
  }
  Shape to;
  for (std::size_t axis = 0; axis < from.size(); ++axis) {
    if (!gone[axis]) {
      to.push_back(from[axis]);
    } else if (keep) {
      to.push_back(1);
    }
  }
  call.make(0, std::move(to), call.in[0]->type);
  return {};
}
Status arg_extreme(Call& call) {
  Shape to = call.shape(0);
  const auto axis = axis_of(call.attribute("axis", 0), to.size());
  if (!axis) return call.bad("its axis");
  if (call.attribute("keepdims", 1) != 0) {
    to[*axis] = 1;
  } else {
    to.erase(to.begin() + static_cast<std::ptrdiff_t>(*axis));
  }
  call.make(0, std::move(to), kInt64);
  return {};
}

/// One operation for each element read.
Work one_read(const Call& call) { return {.other = count(call.shape(0))}; }
Work two_read(const Call& call) { return {.other = 2.0 * count(call.shape(0))}; }

constexpr Operator kOperators[] = {
    {"MaxPool", Role::kKernel, 1, pool, pool_work},
    {"AveragePool", Role::kKernel, 1, pool, pool_work},
    {"LpPool", Role::kKernel, 1, pool, pool_work},
    {"GlobalAveragePool", Role::kKernel, 1, pool_all, one_read},
    {"GlobalMaxPool", Role::kKernel, 1, pool_all, one_read},
    {"GlobalLpPool", Role::kKernel, 1, pool_all, two_read},
    {"QLinearAveragePool", Role::kKernel, 1, pool, pool_work, "com.microsoft"},
    {"QLinearGlobalAveragePool", Role::kKernel, 1, pool_all_quantized, one_read, "com.microsoft"},
    {"ReduceSum", Role::kKernel, 1, reduce, one_read},
    {"ReduceMean", Role::kKernel, 1, reduce, one_read},
    {"ReduceMax", Role::kKernel, 1, reduce, one_read},
    {"ReduceMin", Role::kKernel, 1, reduce, one_read},
    {"ReduceProd", Role::kKernel, 1, reduce, one_read},
    {"ReduceL1", Role::kKernel, 1, reduce, two_read},
    {"ReduceL2", Role::kKernel, 1, reduce, two_read},
    {"ReduceSumSquare", Role::kKernel, 1, reduce, two_read},
    {"ReduceLogSum", Role::kKernel, 1, reduce, one_read},
    {"ReduceLogSumExp", Role::kKernel, 1, reduce, two_read},
    {"ArgMax", Role::kKernel, 1, arg_extreme, one_read},
    {"ArgMin", Role::kKernel, 1, arg_extreme, one_read},
};

}  // namespace

std::span<const Operator> window_operators() { return kOperators; }

}  // namespace polythrottle::graph
