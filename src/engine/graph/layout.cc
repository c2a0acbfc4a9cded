// Operators that give elements another place, shape or name.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "engine/graph/operator.h"

namespace polythrottle::graph {
namespace {

Status same(Call& call) {
  call.make(0, call.shape(0), call.in[0]->type);
  if (call.out.size() > 1) call.make(1, call.shape(0), kBool);  // Dropout's mask
  return {};
}

Status reshape(Call& call) {
  bool known = true;
  const auto wanted = call.list("shape", 1, known);  // an attribute before opset 5
  if (!wanted) return known ? Status(call.bad("no shape is given")) : Status();
  const Shape& from = call.shape(0);
  const bool zero_is_zero = call.attribute("allowzero", 0) != 0;
  Shape to;
  std::optional<std::size_t> open;
  for (std::size_t axis = 0; axis < wanted->size(); ++axis) {
    std::int64_t size = (*wanted)[axis];
    if (size == 0 && !zero_is_zero) {
      if (axis >= from.size()) return call.bad("it keeps an axis that its input has not");
      size = from[axis];
    } else if (size == -1) {
      if (open) return call.bad("two sizes are left open");
      open = axis;
      size = 1;
    } else if (size < 0) {
      return call.bad(fmt::format("a size of {}", size));
    }
    to.push_back(size);
  }
  const double have = count(from), used = count(to);
  if (open) {
    const double rest = used == 0.0 ? 0.0 : have / used;
    if (rest != std::floor(rest) || rest >= 0x1p53)
      return call.bad(fmt::format("[{}] cannot become [{}]", fmt::join(from, ","), fmt::join(*wanted, ",")));
    to[*open] = static_cast<std::int64_t>(rest);
  } else if (have != used) {
    return call.bad(fmt::format("[{}] cannot become [{}]", fmt::join(from, ","), fmt::join(*wanted, ",")));
  }
  call.make(0, std::move(to), call.in[0]->type);
  return {};
}

Status flatten(Call& call) {
  const Shape& from = call.shape(0);
  const auto axis = call.attribute("axis", 1);
  const auto rank = static_cast<std::int64_t>(from.size());
  const auto at = axis < 0 ? axis + rank : axis;
  if (at < 0 || at > rank) return call.bad("its axis");
  const double left = count(Shape(from.begin(), from.begin() + at)), right = count(Shape(from.begin() + at, from.end()));
  if (left >= 0x1p53 || right >= 0x1p53) return call.bad("too many elements");
  call.make(0, {static_cast<std::int64_t>(left), static_cast<std::int64_t>(right)}, call.in[0]->type);
  return {};
}

Status squeeze(Call& call) {
  bool known = true;
  const auto axes = call.list("axes", 1, known);
  if (!known) return {};
  const Shape& from = call.shape(0);
  std::vector<bool> gone(from.size(), false);
  if (axes) {
    for (const auto axis : *axes) {
      const auto at = axis_of(axis, from.size());
      if (!at || from[*at] != 1) return call.bad(fmt::format("axis {} of [{}]", axis, fmt::join(from, ",")));
      gone[*at] = true;
    }
  } else {
    for (std::size_t axis = 0; axis < from.size(); ++axis) gone[axis] = from[axis] == 1;
  }
  Shape to;
  for (std::size_t axis = 0; axis < from.size(); ++axis) {
    if (!gone[axis]) to.push_back(from[axis]);
  }
  call.make(0, std::move(to), call.in[0]->type);
  return {};
}

Status unsqueeze(Call& call) {
  bool known = true;
  const auto axes = call.list("axes", 1, known);
  if (!known) return {};
  if (!axes) return call.bad("no axes are given");
  const Shape& from = call.shape(0);
  std::vector<bool> added(from.size() + axes->size(), false);
  for (const auto axis : *axes) {
    const auto at = axis_of(axis, added.size());
    if (!at || added[*at]) return call.bad(fmt::format("axis {}", axis));
    added[*at] = true;
  }
  Shape to;
  std::size_t next = 0;
  for (const bool one : added) to.push_back(one ? 1 : from[next++]);
  call.make(0, std::move(to), call.in[0]->type);
  return {};
}

Status transpose(Call& call) {
  const Shape& from = call.shape(0);
  auto order = call.attribute_list("perm");
  if (order.empty()) {
    for (std::size_t axis = from.size(); axis-- > 0;) order.push_back(static_cast<std::int64_t>(axis));
  }
  std::vector<bool> used(from.size(), false);
  if (order.size() != from.size()) return call.bad("perm does not fit its input");
  Shape to;
  for (const auto axis : order) {
    const auto at = axis_of(axis, from.size());
    if (!at || used[*at]) return call.bad("perm is no permutation");
    used[*at] = true;
    to.push_back(from[*at]);
  }
  call.make(0, std::move(to), call.in[0]->type);
  return {};
}

Status concat(Call& call) {
  Shape to = call.shape(0);
  const auto axis = axis_of(call.attribute("axis", 1), to.size());
  if (!axis) return call.bad("its axis");
  for (std::size_t index = 1; index < call.in.size(); ++index) {
    if (!call.has(index)) return call.bad("an input is missing");
    const Shape& next = call.shape(index);
    if (next.size() != to.size()) return call.bad("its inputs differ in rank");
    for (std::size_t at = 0; at < to.size(); ++at) {
      if (at == *axis) {
        if (__builtin_add_overflow(to[at], next[at], &to[at])) return call.bad("too many elements");
      } else if (to[at] != next[at]) {
        return call.bad(fmt::format("[{}] and [{}] do not fit", fmt::join(call.shape(0), ","), fmt::join(next, ",")));
      }
    }
  }
  call.make(0, std::move(to), call.in[0]->type);
  return {};
}

Status split(Call& call) {
  const Shape& from = call.shape(0);
  const auto axis = axis_of(call.attribute("axis", 0), from.size());
  if (!axis) return call.bad("its axis");
  bool known = true;
  auto sizes = call.list("split", 1, known);
  if (!known || call.out.empty()) return {};
  const auto parts = static_cast<std::int64_t>(call.out.size());
  if (!sizes) {
    const auto each = (from[*axis] + parts - 1) / parts;
    sizes.emplace(call.out.size(), each);
    sizes->back() = std::max<std::int64_t>(0, from[*axis] - each * (parts - 1));
  }
  if (sizes->size() != call.out.size()) return call.bad("as many sizes as outputs are needed");
  double sum = 0.0;
  for (std::size_t index = 0; index < sizes->size(); ++index) {
    if ((*sizes)[index] < 0) return call.bad("a negative size");
    sum += static_cast<double>((*sizes)[index]);
    Shape to = from;
    to[*axis] = (*sizes)[index];
    call.make(index, std::move(to), call.in[0]->type);
  }
  if (sum != static_cast<double>(from[*axis])) return call.bad("its sizes do not add up to its input's");
  return {};
}

Status expand(Call& call) {
  const auto wanted = call.integers(1);
  if (!wanted) return {};
  for (const auto size : *wanted) {
    if (size < 0) return call.bad(fmt::format("a size of {}", size));
  }
  auto to = broadcast(call.shape(0), *wanted);
  if (!to) return call.bad(fmt::format("[{}] cannot become [{}]", fmt::join(call.shape(0), ","), fmt::join(*wanted, ",")));
  call.make(0, std::move(*to), call.in[0]->type);
  return {};
}

/// A size times a factor or plus something, if it is one.
std::optional<std::int64_t> size_of(double size) {
  if (!(size >= 0.0 && size < 0x1p53)) return std::nullopt;
  return static_cast<std::int64_t>(size);
}

Status tile(Call& call) {
  const auto times = call.integers(1);
  if (!times) return {};
  Shape to = call.shape(0);
  if (times->size() != to.size()) return call.bad("one number for each axis is needed");
  for (std::size_t axis = 0; axis < to.size(); ++axis) {
    const auto size = size_of(static_cast<double>(to[axis]) * static_cast<double>((*times)[axis]));
    if (!size) return call.bad("a size that cannot be");
    to[axis] = *size;
  }
  call.make(0, std::move(to), call.in[0]->type);
  return {};
}

Status pad(Call& call) {
  bool known = true;
  const auto pads = call.list("pads", 1, known);
  if (!known) return {};
  Shape to = call.shape(0);
  std::vector<std::int64_t> axes;
  if (call.has(3)) {
    const auto some = call.integers(3);
    if (!some) return {};
    axes = *some;
  } else {
    for (std::size_t axis = 0; axis < to.size(); ++axis) axes.push_back(static_cast<std::int64_t>(axis));
  }
  if (!pads || pads->size() != 2 * axes.size()) return call.bad("two pads for each axis are needed");
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto at = axis_of(axes[i], to.size());
    const auto size =
        at ? size_of(static_cast<double>(to[*at]) + static_cast<double>((*pads)[i]) + static_cast<double>((*pads)[i + axes.size()]))
           : std::nullopt;
    if (!size) return call.bad("a size that cannot be");
    to[*at] = *size;
  }
  call.make(0, std::move(to), call.in[0]->type);
  return {};
}

Status depth_to_space(Call& call) {
  Shape to = call.shape(0);
  const auto block = call.attribute("blocksize", 0);
  if (to.size() != 4 || block < 1 || block > 4096 || to[1] % (block * block) != 0) return call.bad("its block does not fit its channels");
  const auto tall = size_of(static_cast<double>(to[2]) * static_cast<double>(block)),
             wide = size_of(static_cast<double>(to[3]) * static_cast<double>(block));
  if (!tall || !wide) return call.bad("a size that cannot be");
  call.make(0, {to[0], to[1] / (block * block), *tall, *wide}, call.in[0]->type);
  return {};
}
Status space_to_depth(Call& call) {
  Shape to = call.shape(0);
  const auto block = call.attribute("blocksize", 0);
  if (to.size() != 4 || block < 1 || block > 4096 || to[2] % block != 0 || to[3] % block != 0)
    return call.bad("its block does not fit its data");
  const auto deep = size_of(static_cast<double>(to[1]) * static_cast<double>(block * block));
  if (!deep) return call.bad("a size that cannot be");
  call.make(0, {to[0], *deep, to[2] / block, to[3] / block}, call.in[0]->type);
  return {};
}

Status resize(Call& call) {
  const bool upsample = call.node.type == "Upsample";
  const std::size_t scales_at = upsample || call.opset <= 10 ? 1 : 2;
  Shape to = call.shape(0);
  std::vector<std::int64_t> axes = call.attribute_list("axes");
  if (axes.empty()) {
    for (std::size_t axis = 0; axis < to.size(); ++axis) axes.push_back(static_cast<std::int64_t>(axis));
  }
  const bool by_size = call.has(3);
  std::vector<double> wanted;
  if (by_size) {
    if (!call.in[3]->numbers) return {};
    wanted = *call.in[3]->numbers;
  } else if (call.has(scales_at)) {
    if (!call.in[scales_at]->numbers) return {};
    wanted = *call.in[scales_at]->numbers;
  } else if (upsample) {
    const auto it = call.node.attributes.find("scales");
    if (it != call.node.attributes.end()) wanted = it->second.numbers;
  }
  if (wanted.size() != axes.size()) return call.bad("one size or scale for each axis is needed");
  if (by_size && call.attribute_text("keep_aspect_ratio_policy", "stretch") != "stretch") return {};
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto at = axis_of(axes[i], to.size());
    const auto size = at ? size_of(std::floor(by_size ? wanted[i] : static_cast<double>(to[*at]) * wanted[i])) : std::nullopt;
    if (!size) return call.bad("a size that cannot be");
    to[*at] = *size;
  }
  call.make(0, std::move(to), call.in[0]->type);
  return {};
}
/// Weighted neighbours of each element written: two along each resized axis if linear, four if cubic.
Work resize_work(const Call& call) {
  const auto mode = call.attribute_text("mode", "nearest");
  const double along = mode == "cubic" ? 4.0 : mode == "linear" || mode == "bilinear" ? 2.0 : 0.0;
  double neighbours = along > 0.0 ? 1.0 : 0.0;
  const Shape& to = *call.out[0].shape;
  for (std::size_t axis = 0; axis < to.size(); ++axis) {
    if (along > 0.0 && to[axis] != call.shape(0)[axis]) neighbours *= along;
  }
  return {.other = 2.0 * neighbours * count(to)};
}

Status shape_of(Call& call) {
  const auto rank = static_cast<std::int64_t>(call.shape(0).size());
  const auto bound = [&](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const auto start = bound(call.attribute("start", 0)), end = std::max(start, bound(call.attribute("end", rank)));
  call.make(0, {end - start}, kInt64);
  return {};
}
Status scalar_size(Call& call) {
  call.make(0, {}, kInt64);
  return {};
}

constexpr Operator kOperators[] = {
    {"Identity", Role::kView, 1, same},
    {"Dropout", Role::kView, 1, same},
    {"Reshape", Role::kView, 1, reshape},
    {"Flatten", Role::kView, 1, flatten},
    {"Squeeze", Role::kView, 1, squeeze},
    {"Unsqueeze", Role::kView, 1, unsqueeze},
    {"Shape", Role::kView, 1, shape_of},
    {"Size", Role::kView, 1, scalar_size},
    {"Transpose", Role::kKernel, 1, transpose},
    {"Concat", Role::kKernel, 1, concat},
    {"Split", Role::kKernel, 1, split},
    {"Expand", Role::kKernel, 2, expand},
    {"Tile", Role::kKernel, 2, tile},
    {"Pad", Role::kKernel, 1, pad},
    {"DepthToSpace", Role::kKernel, 1, depth_to_space},
    {"SpaceToDepth", Role::kKernel, 1, space_to_depth},
    {"Resize", Role::kKernel, 1, resize, resize_work},
    {"Upsample", Role::kKernel, 1, resize, resize_work},
};

}  // namespace

std::span<const Operator> layout_operators() { return kOperators; }

}  // namespace polythrottle::graph
