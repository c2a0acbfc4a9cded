#include "engine/backend.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace polythrottle {
namespace {

std::string words(std::string_view type, std::span<const std::int64_t> shape) {
  const auto* const row = find_data_type(type);
  return fmt::format("{} [{}]", row ? row->oip : type, fmt::join(shape, ","));
}

const TensorInfo* find(std::span<const TensorInfo> tensors, std::string_view name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const auto& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

bool agrees(const TensorInfo& wanted, const TensorInfo& given) {
  if (wanted.type != given.type || wanted.shape.size() != given.shape.size()) return false;
  for (std::size_t axis = 0; axis < wanted.shape.size(); ++axis) {
    if (given.shape[axis] < 0 || (wanted.shape[axis] >= 0 && wanted.shape[axis] != given.shape[axis])) return false;
  }
  return true;
}

/// The name of the first axis, where it has one of its own.
std::string_view first_name(const TensorInfo& tensor) {
  if (tensor.dimensions.empty() || tensor.dimensions.front() == tensor.name + "[0]") return {};
  return tensor.dimensions.front();
}

}  // namespace

bool batchable(const ModelInfo& model) {
  if (model.fixed_batch || model.inputs.empty()) return false;
  // Axes of two names are two sizes: [batch, sequence] beside [sequence, batch] cannot be joined on their first.
  std::string_view batch;
  for (const auto* const tensors : {&model.inputs, &model.outputs}) {
    for (const auto& tensor : *tensors) {
      if (tensor.shape.empty() || tensor.shape.front() >= 0) return false;
      const auto name = first_name(tensor);
      if (!name.empty() && !batch.empty() && name != batch) return false;
      if (!name.empty()) batch = name;
    }
  }
  return true;
}

Result<std::int64_t> check_input_shapes(const ModelInfo& model, std::span<const TensorInfo> inputs) {
  std::vector<std::string> names;
  for (const auto& wanted : model.inputs) names.push_back(wanted.name);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto& given = inputs[i];
    const auto* const wanted = find(model.inputs, given.name);
    if (!wanted) {
      return fail(Errc::kInvalid, fmt::format("unknown input '{}'", given.name), fmt::format("the model takes {}", fmt::join(names, ", ")));
    }
    if (find(inputs.first(i), given.name)) return fail(Errc::kInvalid, fmt::format("input '{}' is given twice", given.name));
    if (!agrees(*wanted, given) || !element_count(given.shape)) {
      return fail(Errc::kInvalid, fmt::format("input '{}': expected {}, got {}", given.name, words(wanted->type, wanted->shape),
                                              words(given.type, given.shape)));
    }
  }
  for (const auto& name : names) {
    if (!find(inputs, name)) return fail(Errc::kInvalid, fmt::format("input '{}' is missing", name));
  }
  if (!batchable(model)) return 1;
  const std::int64_t batch = inputs.front().shape.front();
  if (batch < 1) return fail(Errc::kInvalid, fmt::format("input '{}': a batch of {}", inputs.front().name, batch), "give at least 1");
  for (const auto& given : inputs) {
    if (given.shape.front() != batch) {
      return fail(Errc::kInvalid, fmt::format("input '{}' has a batch of {}, input '{}' of {}", inputs.front().name, batch, given.name,
                                              given.shape.front()));
    }
  }
  return batch;
}

Result<std::int64_t> check_inputs(const ModelInfo& model, std::vector<Tensor>& inputs) {
  std::vector<TensorInfo> given;
  for (const auto& input : inputs) given.push_back({input.name, std::string(row_of(input.type).name), input.shape, {}});
  TRY(const std::int64_t batch, check_input_shapes(model, given));
  for (const auto& input : inputs) TRY_STATUS(check_bytes(input));
  const auto place = [&](const Tensor& input) { return find(model.inputs, input.name); };
  std::sort(inputs.begin(), inputs.end(), [&](const Tensor& a, const Tensor& b) { return place(a) < place(b); });
  return batch;
}

}  // namespace polythrottle
