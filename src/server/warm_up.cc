#include "server/warm_up.h"

#include <fmt/format.h>

#include <algorithm>

namespace polythrottle::server {
namespace {

std::vector<int> sizes_up_to(int largest) {
  std::vector<int> sizes;
  for (int size = 1; size < largest; size *= 2) sizes.push_back(size);
  sizes.push_back(largest);
  return sizes;
}

}  // namespace

Result<std::vector<Tensor>> zero_inputs(const ModelInfo& model, std::int64_t batch, const std::map<std::string, std::int64_t>& dimensions) {
  const bool batches = batchable(model);
  std::vector<Tensor> out;
  for (const auto& input : model.inputs) {
    const auto* const type = find_data_type(input.type);
    if (!type) return fail(Errc::kUnsupported, fmt::format("input '{}' is {}", input.name, input.type));
    Tensor tensor{input.name, type->type, input.shape, {}};
    for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis) {
      if (tensor.shape[axis] >= 0) continue;
      if (axis == 0 && batches) {
        tensor.shape[axis] = batch;
        continue;
      }
      const auto place = fmt::format("{}[{}]", input.name, axis);
      auto found = dimensions.find(place);
      if (found == dimensions.end() && axis < input.dimensions.size()) found = dimensions.find(input.dimensions[axis]);
      if (found == dimensions.end()) {
        const auto& name = axis < input.dimensions.size() && !input.dimensions[axis].empty() ? input.dimensions[axis] : place;
        return fail(
            Errc::kInvalid, fmt::format("{} has a free dimension {}", model.path, name),
            fmt::format("give --dim {}=VALUE, a usual value: the model is warmed up and timed with it; requests may have others", name));
      }
      tensor.shape[axis] = found->second;
    }
    const auto count = element_count(tensor.shape);
    if (!count) return fail(Errc::kInvalid, fmt::format("input '{}' is too large", input.name));
    const std::size_t size = type->size == 0 ? sizeof(std::uint32_t) : type->size;
    tensor.bytes = Bytes::of(std::vector<std::byte>(static_cast<std::size_t>(*count) * size));
    out.push_back(std::move(tensor));
  }
  return out;
}

Result<interference::Samples> warm_up(Backend& backend, Clock& clock, const interference::Speeds& speeds, const WarmUpOptions& options,
                                      std::stop_token stop) {
  interference::Samples samples;
  for (const int size : sizes_up_to(batchable(backend.model()) ? options.largest_batch : 1)) {
    TRY(const auto inputs, zero_inputs(backend.model(), size, options.dimensions));
    const Slice slice{inputs};
    for (int repeat = 0; repeat <= options.repeats; ++repeat) {
      if (stop.stop_requested()) return fail(Errc::kTimeout, "warm up: interrupted");
      const auto began = clock.now();
      TRY_STATUS(backend.run({&slice, 1}));
      const Seconds took = clock.now() - began;
      if (repeat > 0) samples.batches.push_back({{speeds, size, {}, Seconds(0)}, took, 0.0});
    }
  }
  return samples;
}

Seconds fastest(const interference::Samples& samples) {
  std::vector<double> latencies;
  int smallest = 0;
  for (const auto& sample : samples.batches) {
    if (smallest == 0 || sample.at.batch < smallest) {
      smallest = sample.at.batch;
      latencies.clear();
    }
    if (sample.at.batch == smallest) latencies.push_back(sample.latency.count());
  }
  if (latencies.empty()) return Seconds(0);
  std::nth_element(latencies.begin(), latencies.begin() + static_cast<long>(latencies.size() / 2), latencies.end());
  return Seconds(latencies[latencies.size() / 2]);
}

}  // namespace polythrottle::server
