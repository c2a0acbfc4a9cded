#include "engine/graph/inputs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace polythrottle::graph {
namespace {

std::string place(const ValueInfo& input, std::size_t axis) { return fmt::format("{}[{}]", input.name, axis); }
std::string name_of(const ValueInfo& input, std::size_t axis) {
  const auto& name = (*input.axes)[axis].name;
  return name.empty() ? place(input, axis) : name;
}

/// Inputs that a caller feeds: those without a default in the file.
Result<std::vector<const ValueInfo*>> fed(const Graph& graph) {
  std::set<std::string_view> defaults;
  for (const auto& tensor : graph.initializers) defaults.insert(tensor.name);
  std::vector<const ValueInfo*> out;
  for (const auto& input : graph.inputs) {
    if (defaults.contains(input.name)) continue;
    if (!input.axes)
      return fail(Errc::kUnsupported, fmt::format("input '{}' declares no shape, not even its rank", input.name),
                  "export the model with input shapes");
    out.push_back(&input);
  }
  return out;
}

}  // namespace

Result<Inputs> resolve_inputs(const Graph& graph, const std::map<std::string, std::int64_t>& dimensions,
                              std::optional<std::int64_t> batch) {
  TRY(const auto inputs, fed(graph));
  const auto given = [&](const ValueInfo& input, std::size_t axis) -> std::optional<std::int64_t> {
    for (const auto& name : {place(input, axis), (*input.axes)[axis].name}) {
      if (const auto it = dimensions.find(name); it != dimensions.end()) return it->second;
    }
    return std::nullopt;
  };
  Inputs out;
  std::set<std::string> known;
  std::optional<std::string> batch_name;
  for (const auto* input : inputs) {
    for (std::size_t axis = 0; axis < input->axes->size(); ++axis) {
      if ((*input->axes)[axis].size) continue;
      known.insert({place(*input, axis), name_of(*input, axis)});
      if (axis == 0 && !batch_name && !given(*input, axis)) batch_name = name_of(*input, axis);
    }
  }
  for (const auto& [name, value] : dimensions) {
    if (!known.contains(name)) {
      return fail(Errc::kInvalid, fmt::format("no input has a free axis {}", name),
                  known.empty() ? "all its axes are fixed" : fmt::format("free: {}", fmt::join(known, ", ")));
    }
    if (value < 1) return fail(Errc::kInvalid, fmt::format("a size of {} for {}", value, name), "give a whole number from 1");
  }
  if (batch && *batch < 1) return fail(Errc::kInvalid, fmt::format("a batch of {}", *batch), "give a whole number from 1");
  out.batch_is_free = batch_name.has_value();
  if (!out.batch_is_free && !inputs.empty() && !inputs.front()->axes->empty()) {
    const auto& first = inputs.front()->axes->front();
    out.batch = first.size ? *first.size : given(*inputs.front(), 0).value_or(1);
  }
  if (batch && !out.batch_is_free && *batch != out.batch) {
    return fail(Errc::kInvalid, fmt::format("batch {} of a model whose batch is fixed at {}", *batch, out.batch));
  }
  if (out.batch_is_free) out.batch = batch.value_or(1);

  std::vector<std::string> missing;
  for (const auto* input : inputs) {
    Shape shape;
    for (std::size_t axis = 0; axis < input->axes->size(); ++axis) {
      const auto& declared = (*input->axes)[axis];
      const auto name = name_of(*input, axis);
      std::optional<std::int64_t> size = declared.size ? declared.size : given(*input, axis);
      const bool nameless_first = axis == 0 && declared.name.empty();
      if (!size && batch_name && (name == *batch_name || nameless_first)) size = out.batch;
      if (!size) {
        if (std::find(missing.begin(), missing.end(), name) == missing.end()) missing.push_back(name);
      } else {
        shape.push_back(*size);
        if (!declared.size && !declared.name.empty()) out.names[declared.name] = *size;
      }
    }
    Value value;
    value.type = input->type;
    value.shape = std::move(shape);
    out.values.emplace_back(input->name, std::move(value));
  }
  if (!missing.empty()) {
    std::string hint;
    for (const auto& name : missing) hint += fmt::format("{}--dim '{}=SIZE'", hint.empty() ? "add " : " ", name);
    return fail(Errc::kInvalid, fmt::format("free ax{} {} without a value", missing.size() > 1 ? "es" : "is", fmt::join(missing, ", ")),
                hint);
  }
  return out;
}

}  // namespace polythrottle::graph
