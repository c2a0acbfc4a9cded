// Operators that pick, count or make elements.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "engine/graph/operator.h"

namespace polythrottle::graph {
namespace {

Status gather(Call& call) {
  const Shape& from = call.shape(0);
  const Shape& which = call.shape(1);
  const auto axis = axis_of(call.attribute("axis", 0), from.size());
  if (!axis) return call.bad("its axis");
  const auto at = static_cast<std::ptrdiff_t>(*axis);
  Shape to(from.begin(), from.begin() + at);
  to.insert(to.end(), which.begin(), which.end());
  to.insert(to.end(), from.begin() + at + 1, from.end());
  call.make(0, std::move(to), call.in[0]->type);
  return {};
}
Status gather_elements(Call& call) {
  call.make(0, call.shape(1), call.in[0]->type);
  return {};
}
Status gather_nd(Call& call) {
  const Shape& from = call.shape(0);
  const Shape& which = call.shape(1);
  const auto batch = call.attribute("batch_dims", 0);
  if (which.empty() || batch < 0 || which.back() < 0 ||
      static_cast<double>(batch) + static_cast<double>(which.back()) > static_cast<double>(from.size())) {
    return call.bad("its indices do not fit its data");
  }
  Shape to(which.begin(), which.end() - 1);
  to.insert(to.end(), from.begin() + static_cast<std::ptrdiff_t>(batch + which.back()), from.end());
  call.make(0, std::move(to), call.in[0]->type);
  return {};
}

/// Data with some of its elements replaced.
Status scatter(Call& call) {
  call.make(0, call.shape(0), call.in[0]->type);
  return {};
}

Status slice(Call& call) {
  Shape to = call.shape(0);
  bool starts_known = true, ends_known = true, axes_known = true;
  const auto starts = call.list("starts", 1, starts_known), ends = call.list("ends", 2, ends_known);
  auto axes = call.list("axes", 3, axes_known);
  std::optional<std::vector<std::int64_t>> steps = call.integers(4);
  if (!starts_known || !ends_known || !axes_known || (call.has(4) && !steps)) return {};
  if (!starts || !ends) return call.bad("starts and ends are needed");
  if (!axes) {
    axes.emplace();
    for (std::size_t axis = 0; axis < starts->size(); ++axis) axes->push_back(static_cast<std::int64_t>(axis));
  }
  if (!steps) steps.emplace(starts->size(), 1);
  if (ends->size() != starts->size() || axes->size() != starts->size() || steps->size() != starts->size())
    return call.bad("its lists differ in length");
  for (std::size_t i = 0; i < starts->size(); ++i) {
    const auto at = axis_of((*axes)[i], to.size());
    const auto step = (*steps)[i];
    if (!at || step == 0) return call.bad("an axis or step that cannot be");
    const auto size = to[*at];
    const auto bound = [&](std::int64_t position) {
      if (position < 0) position += size;
      return step > 0 ? std::clamp<std::int64_t>(position, 0, size) : std::clamp<std::int64_t>(position, -1, size - 1);
    };
    const double distance = static_cast<double>(bound((*ends)[i])) - static_cast<double>(bound((*starts)[i]));
    to[*at] = std::max<std::int64_t>(0, static_cast<std::int64_t>(std::ceil(distance / static_cast<double>(step))));
  }
  call.make(0, std::move(to), call.in[0]->type);
  return {};
}

Status top_k(Call& call) {
  Shape to = call.shape(0);
  const auto axis = axis_of(call.attribute("axis", -1), to.size());
  if (!axis) return call.bad("its axis");
  std::optional<std::int64_t> k;
  if (call.has_attribute("k")) k = call.attribute("k", 0);
  if (const auto given = call.integers(1); given && given->size() == 1) k = given->front();
  if (!k) return {};
  if (*k < 0 || *k > to[*axis]) return call.bad("more elements than there are");
  to[*axis] = *k;
  call.make(0, to, call.in[0]->type);
  call.make(1, std::move(to), kInt64);
  return {};
}

Status one_hot(Call& call) {
  const auto depth = call.integers(1);
  if (!depth || depth->size() != 1) return {};
  Shape to = call.shape(0);
  const auto axis = axis_of(call.attribute("axis", -1), to.size() + 1);
  if (!axis || depth->front() < 0) return call.bad("its axis or depth");
  to.insert(to.begin() + static_cast<std::ptrdiff_t>(*axis), depth->front());
  call.make(0, std::move(to), call.has(2) ? call.in[2]->type : 0);
  return {};
}

Status constant(Call& call) {
  const auto take = [&](int type, Shape shape, std::optional<std::vector<double>> numbers) {
    call.make(0, std::move(shape), type);
    if (!call.out.empty()) call.out[0].numbers = std::move(numbers);
  };
  for (const auto& [name, attribute] : call.node.attributes) {
    if (name == "value" && attribute.tensor) {
      take(attribute.tensor->type, attribute.tensor->dims, attribute.tensor->numbers);
    } else if (name == "value_int" && attribute.integer) {
      take(kInt64, {}, std::vector{static_cast<double>(*attribute.integer)});
    } else if (name == "value_float" && attribute.number) {
      take(kFloat, {}, std::vector{*attribute.number});
    } else if (name == "value_ints") {
      std::vector<double> numbers(attribute.integers.begin(), attribute.integers.end());
      take(kInt64, {static_cast<std::int64_t>(numbers.size())}, numbers);
    } else if (name == "value_floats") {
      take(kFloat, {static_cast<std::int64_t>(attribute.numbers.size())}, attribute.numbers);
    }
  }
  return {};
}

Status constant_of_shape(Call& call) {
  const auto wanted = call.integers(0);
  if (!wanted) return {};
  for (const auto size : *wanted) {
    if (size < 0) return call.bad(fmt::format("a size of {}", size));
  }
  const auto it = call.node.attributes.find("value");
  const bool given = it != call.node.attributes.end() && it->second.tensor;
  call.make(0, *wanted, given ? it->second.tensor->type : kFloat);
  return {};
}

Status range(Call& call) {
  for (const std::size_t index : {0u, 1u, 2u}) {
    if (!call.in[index]->numbers || call.in[index]->numbers->size() != 1) return {};
  }
  const double start = call.in[0]->numbers->front(), limit = call.in[1]->numbers->front(), step = call.in[2]->numbers->front();
  const double size = std::ceil((limit - start) / step);
  if (!(size < 0x1p53)) return call.bad("a step that never arrives");
  call.make(0, {static_cast<std::int64_t>(std::max(0.0, size))}, call.in[0]->type);
  return {};
}

/// Random numbers and the like: the attribute `shape`, or the shape of the input.
Status random_like(Call& call) {
  call.make(0, call.shape(0), static_cast<int>(call.attribute("dtype", call.in[0]->type)));
  return {};
}
Status same(Call& call) {
  call.make(0, call.shape(0), call.in[0]->type);
  return {};
}
Work one_each(const Call& call) { return {.other = count(*call.out[0].shape)}; }

constexpr Operator kOperators[] = {
    {"Constant", Role::kView, 0, constant},
    {"ConstantOfShape", Role::kKernel, 1, constant_of_shape},
    {"Range", Role::kKernel, 3, range},
    {"Gather", Role::kRows, 2, gather},
    {"GatherElements", Role::kRows, 2, gather_elements},
    {"GatherND", Role::kRows, 2, gather_nd},
    {"Slice", Role::kRows, 1, slice},
    {"ScatterND", Role::kKernel, 3, scatter},
    {"ScatterElements", Role::kKernel, 3, scatter},
    {"TopK", Role::kKernel, 1, top_k},
    {"OneHot", Role::kKernel, 3, one_hot},
    {"RandomNormalLike", Role::kKernel, 1, random_like},
    {"RandomUniformLike", Role::kKernel, 1, random_like},
    {"Trilu", Role::kKernel, 1, same},
    {"CumSum", Role::kKernel, 2, same, one_each},
};

}  // namespace

std::span<const Operator> selection_operators() { return kOperators; }

}  // namespace polythrottle::graph
