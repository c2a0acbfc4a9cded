#include "host/simulation/network.h"

#include <numeric>
#include <tuple>

namespace polythrottle::simulation {

double Network::macs() const {
  return std::accumulate(layers.begin(), layers.end(), 0.0, [](double sum, const Layer& layer) { return sum + layer.macs; });
}

void Network::find_alike() {
  for (std::size_t index = 0; index < layers.size(); ++index) {
    const auto work = [](const Layer& layer) {
      return std::tie(layer.kind, layer.macs, layer.weights, layer.inputs, layer.outputs, layer.rows, layer.columns, layer.depth);
    };
    std::size_t first = 0;
    while (work(layers[first]) != work(layers[index])) ++first;
    layers[index].alike = first;
  }
}

std::span<const Network> networks() {
  static const std::vector<Network> all = [] {
    std::vector<Network> made;
    made.push_back(efficientnet("efficientnet-b0", 1.0, 1.0, 224));
    made.push_back(efficientnet("efficientnet-b4", 1.4, 1.8, 380));
    made.push_back(efficientnet("efficientnet-b7", 2.0, 3.1, 600));
    made.push_back(bert_base("bert-base", 384));
    return made;
  }();
  return all;
}

Result<const Network*> find_network(std::string_view name) {
  std::string known;
  for (const Network& network : networks()) {
    if (network.name == name) return &network;
    known += (known.empty() ? "" : ", ") + network.name;
  }
  return fail(Errc::kNotFound, "network " + std::string(name) + ": unknown", "known: " + known);
}

}  // namespace polythrottle::simulation
