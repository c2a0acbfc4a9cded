// The arithmetic exporters do on shapes: small tensors whose content follows from sizes and constants.

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/graph/operator.h"

namespace polythrottle::graph {
namespace {

using Numbers = std::vector<double>;

/// Element of an operand as large as the result, or alone.
double at(const Numbers& numbers, std::size_t index) { return numbers.size() == 1 ? numbers[0] : numbers[index]; }

double divide(const Call& call, double a, double b) { return is_integer(call.in[0]->type) ? std::trunc(a / b) : a / b; }
double modulo(const Call& call, double a, double b) { return call.attribute("fmod", 0) != 0 ? std::fmod(a, b) : a - b * std::floor(a / b); }

using Pointwise = double (*)(const Call&, double, double, double);
Pointwise pointwise(std::string_view name) {
  static const std::map<std::string_view, Pointwise> table = {
      {"Add", [](const Call&, double a, double b, double) { return a + b; }},
      {"Sub", [](const Call&, double a, double b, double) { return a - b; }},
      {"Mul", [](const Call&, double a, double b, double) { return a * b; }},
      {"Div", [](const Call& call, double a, double b, double) { return divide(call, a, b); }},
      {"Mod", [](const Call& call, double a, double b, double) { return modulo(call, a, b); }},
      {"Min", [](const Call&, double a, double b, double) { return std::min(a, b); }},
      {"Max", [](const Call&, double a, double b, double) { return std::max(a, b); }},
      {"Pow", [](const Call&, double a, double b, double) { return std::pow(a, b); }},
      {"Equal", [](const Call&, double a, double b, double) { return a == b ? 1.0 : 0.0; }},
      {"Greater", [](const Call&, double a, double b, double) { return a > b ? 1.0 : 0.0; }},
      {"GreaterOrEqual", [](const Call&, double a, double b, double) { return a >= b ? 1.0 : 0.0; }},
      {"Less", [](const Call&, double a, double b, double) { return a < b ? 1.0 : 0.0; }},
      {"LessOrEqual", [](const Call&, double a, double b, double) { return a <= b ? 1.0 : 0.0; }},
      {"And", [](const Call&, double a, double b, double) { return a != 0.0 && b != 0.0 ? 1.0 : 0.0; }},
      {"Or", [](const Call&, double a, double b, double) { return a != 0.0 || b != 0.0 ? 1.0 : 0.0; }},
      {"Where", [](const Call&, double a, double b, double c) { return a != 0.0 ? b : c; }},
      {"Not", [](const Call&, double a, double, double) { return a != 0.0 ? 0.0 : 1.0; }},
      {"Neg", [](const Call&, double a, double, double) { return -a; }},
      {"Abs", [](const Call&, double a, double, double) { return std::abs(a); }},
      {"Sqrt", [](const Call&, double a, double, double) { return std::sqrt(a); }},
      {"Floor", [](const Call&, double a, double, double) { return std::floor(a); }},
      {"Ceil", [](const Call&, double a, double, double) { return std::ceil(a); }},
      {"Cast", [](const Call& call, double a, double, double) { return is_integer(call.out[0].type) ? std::trunc(a) : a; }},
  };
  const auto it = table.find(name);
  return it == table.end() ? nullptr : it->second;
}

/// Those that only give the elements another shape.
bool keeps_elements(std::string_view name) {
  constexpr std::string_view kNames[] = {"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

std::optional<Numbers> gathered(const Call& call) {
  const Numbers& from = *call.in[0]->numbers;
  if (call.shape(0).size() != 1) return std::nullopt;
  Numbers out;
  for (const double index : *call.in[1]->numbers) {
    const auto place = axis_of(static_cast<std::int64_t>(index), from.size());
    if (!place) return std::nullopt;
    out.push_back(from[*place]);
  }
  return out;
}

/// The elements of `call.in[0]` at first + index * step along each axis, where axis i of the result runs along axis `along[i]` of it.
std::optional<Numbers> picked(const Call& call, const std::vector<std::size_t>& along, std::vector<double> first,
                              const std::vector<double>& step) {
  const Shape& from = call.shape(0);
  const Shape& to = *call.out[0].shape;
  std::vector<double> stride(from.size(), 1.0);
  for (std::size_t axis = from.size(); axis-- > 1;) stride[axis - 1] = stride[axis] * static_cast<double>(from[axis]);
  const auto size = static_cast<std::size_t>(count(to));
  Numbers out;
  for (std::size_t index = 0; index < size; ++index) {
    std::size_t rest = index;
    double place = 0.0;
    for (std::size_t axis = to.size(); axis-- > 0;) {
      const auto extent = static_cast<std::size_t>(to[axis]);
      const double at_axis = first[along[axis]] + static_cast<double>(rest % extent) * step[along[axis]];
      if (at_axis < 0.0 || at_axis >= static_cast<double>(from[along[axis]])) return std::nullopt;
      place += at_axis * stride[along[axis]];
      rest /= extent;
    }
    out.push_back((*call.in[0]->numbers)[static_cast<std::size_t>(place)]);
  }
  return out;
}

std::optional<Numbers> sliced(const Call& call) {
  const Shape& from = call.shape(0);
  bool known = true;
  const auto starts = call.list("starts", 1, known), axes = call.list("axes", 3, known);
  const auto steps = call.integers(4);
  if (!starts) return std::nullopt;
  std::vector<std::size_t> along;
  for (std::size_t axis = 0; axis < from.size(); ++axis) along.push_back(axis);
  std::vector<double> first(from.size(), 0.0), step(from.size(), 1.0);
  for (std::size_t i = 0; i < starts->size(); ++i) {
    const auto axis = axis_of(axes ? (*axes)[i] : static_cast<std::int64_t>(i), from.size());
    if (!axis) return std::nullopt;
    const auto length = from[*axis];
    const std::int64_t stride = steps ? (*steps)[i] : 1;
    const std::int64_t start = (*starts)[i] < 0 ? (*starts)[i] + length : (*starts)[i];
    first[*axis] =
        static_cast<double>(stride > 0 ? std::clamp<std::int64_t>(start, 0, length) : std::clamp<std::int64_t>(start, -1, length - 1));
    step[*axis] = static_cast<double>(stride);
  }
  return picked(call, along, first, step);
}

std::optional<Numbers> transposed(const Call& call) {
  const std::size_t rank = call.shape(0).size();
  const auto order = call.attribute_list("perm");
  std::vector<std::size_t> along;
  for (std::size_t axis = 0; axis < rank; ++axis) along.push_back(order.empty() ? rank - 1 - axis : axis_of(order[axis], rank).value_or(0));
  return picked(call, along, std::vector<double>(rank, 0.0), std::vector<double>(rank, 1.0));
}

std::optional<Numbers> result_of(const Call& call, std::size_t size) {
  const std::string& name = call.node.type;
  if (name == "Shape") {
    const Shape& shape = call.shape(0);
    const auto rank = static_cast<std::int64_t>(shape.size());
    const auto start = call.attribute("start", 0);
    const auto first = std::clamp<std::int64_t>(start < 0 ? start + rank : start, 0, rank);
    return Numbers(shape.begin() + first, shape.begin() + first + static_cast<std::ptrdiff_t>(size));
  }
  if (name == "Size") return Numbers{count(call.shape(0))};
  for (const auto* input : call.in) {
    if (input != nullptr && !input->numbers) return std::nullopt;
  }
  if (call.in.empty() || !call.has(0)) return std::nullopt;
  const Numbers& first = *call.in[0]->numbers;
  if (keeps_elements(name)) return first;
  if (name == "Gather" && call.has(1)) return gathered(call);
  if (name == "Slice") return sliced(call);
  if (name == "Transpose") return transposed(call);
  if (name == "Concat" && call.out[0].shape->size() == 1) {
    Numbers all;
    for (const auto* input : call.in) all.insert(all.end(), input->numbers->begin(), input->numbers->end());
    return all;
  }
  if (name == "ConstantOfShape") {
    const auto it = call.node.attributes.find("value");
    if (it == call.node.attributes.end() || !it->second.tensor) return Numbers(size, 0.0);
    const auto& value = it->second.tensor->numbers;
    return value && value->size() == 1 ? std::optional(Numbers(size, value->front())) : std::nullopt;
  }
  if (name == "Range") {
    Numbers all;
    for (std::size_t i = 0; i < size; ++i) all.push_back(first[0] + static_cast<double>(i) * (*call.in[2]->numbers)[0]);
    return all;
  }
  if (name == "Expand" && first.size() == 1) return Numbers(size, first[0]);
  if (name == "ReduceProd" && size == 1) {
    double product = 1.0;
    for (const double number : first) product *= number;
    return Numbers{product};
  }
  if (const auto apply = pointwise(name)) {
    if (call.in.size() > 3) return std::nullopt;
    for (const auto* input : call.in) {
      if (input != nullptr && input->numbers->size() != size && input->numbers->size() != 1) return std::nullopt;
    }
    const auto operand = [&](std::size_t index, std::size_t i) { return call.has(index) ? at(*call.in[index]->numbers, i) : 0.0; };
    Numbers all;
    for (std::size_t i = 0; i < size; ++i) all.push_back(apply(call, operand(0, i), operand(1, i), operand(2, i)));
    return all;
  }
  return std::nullopt;
}

}  // namespace

void fold(Call& call) {
  if (!call.node.domain.empty() || call.out.empty() || !call.out[0].known() || call.out[0].numbers) return;
  const double size = count(*call.out[0].shape);
  if (size > static_cast<double>(kKeptNumbers)) return;
  auto numbers = result_of(call, static_cast<std::size_t>(size));
  if (numbers && static_cast<double>(numbers->size()) == size) call.out[0].numbers = std::move(numbers);
}

}  // namespace polythrottle::graph
