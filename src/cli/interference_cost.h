#pragma once

#include "cli/cli.h"

namespace polythrottle {

/// `interference cost MODEL.onnx`: what a network asks of a device, counted on its graph.
void add_interference_cost(CLI::App& interference, Cli& cli);

}  // namespace polythrottle
