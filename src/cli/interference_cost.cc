// polythrottle interference cost: multiply-accumulates, memory traffic and arithmetic intensity of an ONNX graph.

#include "cli/interference_cost.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/dimensions.h"
#include "engine/graph_cost.h"

namespace polythrottle {
namespace {

using nlohmann::ordered_json;

struct CostFlags {
  std::string model, json;
  std::vector<std::string> dimensions;
  std::optional<std::int64_t> batch;
  bool layers = false;
};

Result<GraphCostOptions> cost_options(const CostFlags& flags) {
  GraphCostOptions out{.batch = flags.batch};
  TRY(out.dimensions, parse_dimensions(flags.dimensions));
  return out;
}

/// "4.12 G".
std::string scaled(double number) {
  constexpr std::string_view kPrefixes[] = {"", " k", " M", " G", " T", " P"};
  std::size_t prefix = 0;
  while (number >= 999.5 && prefix + 1 < std::size(kPrefixes)) {
    number /= 1000.0;
    ++prefix;
  }
  return fmt::format("{:.4g}{}", number, kPrefixes[prefix]);
}
std::string bytes_text(double bytes) { return scaled(bytes) + (bytes < 999.5 ? " B" : "B"); }

void print_layers(const GraphCost& cost) {
  fmt::print("{:>9} {:>9} {:>9} {:>9} {:>9}  {}\n", "MACs", "FLOPs", "weights", "read", "written", "kernel");
  for (const auto& kernel : cost.kernels) {
    fmt::print("{:>9} {:>9} {:>9} {:>9} {:>9}  {} ({}) -> {}\n", scaled(kernel.macs), scaled(kernel.flops), scaled(kernel.weights.elements),
               scaled(kernel.inputs.elements), scaled(kernel.outputs.elements), kernel.name, kernel.operators,
               fmt::join(kernel.output, "x"));
  }
  fmt::print("\n");
}

void print_cost(const CostFlags& flags, const GraphCost& cost) {
  if (flags.layers) print_layers(cost);
  const double items = static_cast<double>(cost.batch);
  const auto weights = cost.weights(), activations = cost.activations();
  const char* bound = cost.not_counted.empty() ? "" : "at least ";
  fmt::print("{} at batch {}{}, counted on its graph\n", flags.model, cost.batch, cost.batch_is_free ? "" : " (fixed)");
  fmt::print("  multiply-accumulates  {}{} an item\n", bound, scaled(cost.macs() / items));
  fmt::print("  FLOPs                 {}{} an item (two a multiply-accumulate, and the other operations)\n", bound,
             scaled(cost.flops() / items));
  fmt::print("  weights               {}{} elements, {}, read once a batch\n", bound, scaled(weights.elements), bytes_text(weights.bytes));
  fmt::print("  activations           {}{} elements, {} an item, read and written\n", bound, scaled(activations.elements / items),
             bytes_text(activations.bytes / items));
  fmt::print("  arithmetic intensity  {:.4g} multiply-accumulates an element moved once\n", cost.intensity());
  fmt::print("  kernels               {}{}, element-wise operators fused into those before them\n", bound, cost.kernels.size());
  for (const auto& note : cost.notes) fmt::print("{}\n", note);
  for (const auto& one : cost.not_counted) {
    fmt::print("not counted: {} {} operator{} ({})\n", one.nodes, one.type, one.nodes == 1 ? "" : "s", one.why);
  }
}

ordered_json traffic_json(const Traffic& traffic) { return {{"elements", traffic.elements}, {"bytes", traffic.bytes}}; }

std::string cost_json(const CostFlags& flags, const GraphCost& cost) {
  const double items = static_cast<double>(cost.batch);
  ordered_json out = {
      {"schema", 1},
      {"model", flags.model},
      {"batch", cost.batch},
      {"batch_is_free", cost.batch_is_free},
      {"macs", cost.macs()},
      {"flops", cost.flops()},
      {"weights", traffic_json(cost.weights())},
      {"activations", traffic_json(cost.activations())},
      {"intensity", cost.intensity()},
      {"kernels", cost.kernels.size()},
      {"per_item", {{"macs", cost.macs() / items}, {"flops", cost.flops() / items}, {"activations", cost.activations().elements / items}}},
      {"not_counted", ordered_json::array()},
      {"notes", cost.notes}};
  for (const auto& one : cost.not_counted) out["not_counted"].push_back({{"operator", one.type}, {"nodes", one.nodes}, {"why", one.why}});
  if (flags.layers) {
    out["layers"] = ordered_json::array();
    for (const auto& kernel : cost.kernels) {
      out["layers"].push_back({{"name", kernel.name},
                               {"operators", kernel.operators},
                               {"output", kernel.output},
                               {"macs", kernel.macs},
                               {"flops", kernel.flops},
                               {"weights", traffic_json(kernel.weights)},
                               {"inputs", traffic_json(kernel.inputs)},
                               {"outputs", traffic_json(kernel.outputs)}});
    }
  }
  // Names in the file may be no UTF-8.
  return out.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

int cost(const CostFlags& flags) {
  const auto options = cost_options(flags);
  if (!options) return complain(options.error(), kExitUsage);
  if (const auto fine = check_distinct({{"--json", flags.json}}, {{"model", flags.model}}); !fine)
    return complain(fine.error(), kExitUsage);
  const auto counted = count_graph(flags.model, *options);
  if (!counted) return complain(counted.error(), usage_or_failure(counted.error()));
  if (flags.json != "-") print_cost(flags, *counted);
  if (flags.json.empty()) return kExitOk;
  const auto written = write_file(flags.json, cost_json(flags, *counted));
  return written ? kExitOk : complain(written.error(), kExitFailure);
}

}  // namespace

void add_interference_cost(CLI::App& interference, Cli& cli) {
  CLI::App* command = interference.add_subcommand("cost", "Multiply-accumulates, memory traffic and arithmetic intensity of an ONNX graph");
  auto flags = std::make_shared<CostFlags>();
  command->add_option("MODEL", flags->model, "ONNX file; its weights are not read")->required();
  command->add_option("--dim", flags->dimensions, "Value of a free dimension other than the batch, repeatable: NAME=VALUE");
  command->add_option("--batch", flags->batch, "Items of a batch (1)");
  command->add_flag("--layers", flags->layers, "Every kernel too");
  command->add_option("--json", flags->json, "As JSON to this file, - for stdout");
  command->footer(
      "Examples:\n  polythrottle interference cost resnet50.onnx --batch 8\n  polythrottle interference cost bert.onnx --dim sequence=384 "
      "--json -");
  command->callback([flags, &cli] { cli.exit_code = cost(*flags); });
}

}  // namespace polythrottle
