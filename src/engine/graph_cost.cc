#include "engine/graph_cost.h"

#include <map>

#include "engine/graph/file.h"
#include "engine/graph/fusion.h"
#include "engine/graph/trace.h"

namespace polythrottle {
namespace {

Traffic traffic(double elements, double each) { return {elements, elements * each}; }

/// A storage is moved once by a kernel, however many of its operators read it; what only they read stays in registers.
std::vector<KernelCost> kernels_of(const graph::Trace& trace) {
  const auto leader = graph::fuse(trace);
  std::map<std::size_t, std::size_t> place;                    // of a leader's kernel
  std::map<std::pair<std::size_t, std::size_t>, double> read;  // kernel and storage: elements
  std::vector<KernelCost> kernels;
  for (std::size_t index = 0; index < trace.steps.size(); ++index) {
    const graph::Step& step = trace.steps[index];
    if (step.dropped) continue;
    const auto [it, is_new] = place.try_emplace(leader[index], kernels.size());
    if (is_new) kernels.push_back({.name = step.name});
    KernelCost& kernel = kernels[it->second];
    kernel.operators += (kernel.operators.empty() ? "" : " + ") + step.type;
    kernel.output = step.output;
    kernel.macs += step.work.macs;
    kernel.flops += 2.0 * step.work.macs + step.work.other;
    for (const auto& one : step.reads) {
      const graph::Storage& storage = trace.storages[one.storage];
      if (storage.maker && leader[*storage.maker] == leader[index]) continue;
      double& had = read[{leader[index], one.storage}];
      const double more = std::max(0.0, one.elements - had);
      had += more;
      (storage.constant && !one.rows ? kernel.weights : kernel.inputs) += traffic(more, storage.bytes);
    }
    for (const auto written : step.writes) {
      const graph::Storage& storage = trace.storages[written];
      bool needed = storage.leaves;
      for (const auto reader : storage.readers) needed = needed || leader[reader] != leader[index];
      if (needed) kernel.outputs += traffic(storage.elements, storage.bytes);
    }
  }
  return kernels;
}

Result<GraphCost> count_model(Result<graph::Model> model, const std::string& name, const GraphCostOptions& options) {
  if (!model) return tl::unexpected<Error>(model.error());
  const auto trace = graph::trace(*model, options.dimensions, options.batch);
  if (!trace) return fail(trace.error().code, name + ": " + trace.error().what, trace.error().hint);
  GraphCost cost;
  cost.batch = trace->batch;
  cost.batch_is_free = trace->batch_is_free;
  cost.kernels = kernels_of(*trace);
  for (const auto& one : trace->unknown) cost.not_counted.push_back({one.type, one.why, one.nodes});
  cost.notes = trace->notes;
  return cost;
}

}  // namespace

Traffic& Traffic::operator+=(const Traffic& other) {
  elements += other.elements;
  bytes += other.bytes;
  return *this;
}

double GraphCost::macs() const {
  double sum = 0.0;
  for (const auto& kernel : kernels) sum += kernel.macs;
  return sum;
}
double GraphCost::flops() const {
  double sum = 0.0;
  for (const auto& kernel : kernels) sum += kernel.flops;
  return sum;
}
Traffic GraphCost::weights() const {
  Traffic sum;
  for (const auto& kernel : kernels) sum += kernel.weights;
  return sum;
}
Traffic GraphCost::activations() const {
  Traffic sum;
  for (const auto& kernel : kernels) (sum += kernel.inputs) += kernel.outputs;
  return sum;
}
double GraphCost::intensity() const {
  const double moved = weights().elements + activations().elements;
  return moved > 0.0 ? macs() / moved : 0.0;
}

Result<GraphCost> count_graph(const std::string& path, const GraphCostOptions& options) {
  return count_model(graph::read_onnx(path), path, options);
}

Result<GraphCost> count_graph_bytes(std::string_view bytes, const std::string& name, const GraphCostOptions& options) {
  return count_model(graph::parse_onnx(bytes, name), name, options);
}

}  // namespace polythrottle
