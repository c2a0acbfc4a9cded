// An ONNX file from anywhere: its graph is counted, or refused with one line.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/graph_cost.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polythrottle;
  const auto cost = count_graph_bytes(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz", {.dimensions = {}, .batch = {}});
  if (!cost) return cost.error().what.empty() ? (std::abort(), 0) : 0;
  if (cost->batch < 1 || std::isnan(cost->macs()) || cost->macs() < 0.0 || cost->activations().elements < 0.0) std::abort();
  for (const auto& one : cost->not_counted) {
    if (one.nodes == 0 || one.why.empty()) std::abort();
  }
  return 0;
}
