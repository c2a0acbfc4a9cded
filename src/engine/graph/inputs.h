#pragma once
// The sizes of a graph's inputs, once its free axes have values.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/graph/file.h"
#include "engine/graph/operator.h"

namespace polythrottle::graph {

struct Inputs {
  std::int64_t batch = 1;
  bool batch_is_free = false;
  std::vector<std::pair<std::string, Value>> values;
  std::map<std::string, std::int64_t> names;  ///< value of each named axis, for shapes declared within the graph
};
/// See `trace`.
Result<Inputs> resolve_inputs(const Graph& graph, const std::map<std::string, std::int64_t>& dimensions, std::optional<std::int64_t> batch);

}  // namespace polythrottle::graph
