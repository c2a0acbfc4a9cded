#include "engine/graph/operator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace polythrottle::graph {

double count(const Shape& shape) {
  double product = 1.0;
  for (const auto size : shape) product *= static_cast<double>(size);
  return product;
}

std::optional<std::vector<std::int64_t>> Call::integers(std::size_t index) const {
  if (!has(index) || !in[index]->numbers) return std::nullopt;
  std::vector<std::int64_t> whole;
  for (const double number : *in[index]->numbers) {
    // Ends of slices are written as the largest number there is.
    constexpr double kFar = 0x1p62;
    whole.push_back(std::isnan(number) ? 0 : static_cast<std::int64_t>(std::clamp(number, -kFar, kFar)));
  }
  return whole;
}

std::int64_t Call::attribute(std::string_view name, std::int64_t otherwise) const {
  const auto it = node.attributes.find(name);
  return it == node.attributes.end() ? otherwise : it->second.integer.value_or(otherwise);
}

double Call::attribute_number(std::string_view name, double otherwise) const {
  const auto it = node.attributes.find(name);
  return it == node.attributes.end() ? otherwise : it->second.number.value_or(otherwise);
}

std::string Call::attribute_text(std::string_view name, std::string_view otherwise) const {
  const auto it = node.attributes.find(name);
  return it == node.attributes.end() || !it->second.text ? std::string(otherwise) : *it->second.text;
}

std::vector<std::int64_t> Call::attribute_list(std::string_view name) const {
  const auto it = node.attributes.find(name);
  return it == node.attributes.end() ? std::vector<std::int64_t>() : it->second.integers;
}

std::optional<std::vector<std::int64_t>> Call::list(std::string_view name, std::size_t index, bool& known) const {
  known = true;
  if (has_attribute(name)) return attribute_list(name);
  if (!has(index)) return std::nullopt;
  auto numbers = integers(index);
  known = numbers.has_value();
  return numbers;
}

void Call::make(std::size_t index, Shape shape, int type) {
  if (index >= out.size()) return;
  out[index].shape = std::move(shape);
  out[index].type = type;
}

tl::unexpected<Error> Call::bad(const std::string& what) const {
  const std::string name = node.name.empty() ? (node.outputs.empty() ? "" : node.outputs.front()) : node.name;
  return fail(Errc::kCorrupt, fmt::format("{} '{}': {}", node.type.substr(0, 80), name.substr(0, 200), what));
}

const Operator* find_operator(const Node& node) {
  static const auto table = [] {
    std::map<std::pair<std::string_view, std::string_view>, const Operator*> all;
    for (const auto family : {elementwise_operators(), layout_operators(), selection_operators(), product_operators(), window_operators(),
                              norm_operators(), attention_operators()}) {
      for (const auto& one : family) all.emplace(std::pair(one.domain, one.name), &one);
    }
    return all;
  }();
  const auto it = table.find(std::pair<std::string_view, std::string_view>(node.domain, node.type));
  return it == table.end() ? nullptr : it->second;
}

std::optional<Shape> broadcast(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()), 1);
  for (std::size_t back = 0; back < out.size(); ++back) {
    const std::int64_t left = back < a.size() ? a[a.size() - 1 - back] : 1;
    const std::int64_t right = back < b.size() ? b[b.size() - 1 - back] : 1;
    if (left != right && left != 1 && right != 1) return std::nullopt;
    out[out.size() - 1 - back] = left == 1 ? right : left;
  }
  return out;
}

std::optional<std::size_t> axis_of(std::int64_t axis, std::size_t rank) {
  const auto size = static_cast<std::int64_t>(rank);
  if (axis < -size || axis >= size) return std::nullopt;
  return static_cast<std::size_t>(axis < 0 ? axis + size : axis);
}

}  // namespace polythrottle::graph
