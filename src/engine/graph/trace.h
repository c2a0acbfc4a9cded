#pragma once
// A graph run without data: what each operator computes, reads and writes.

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/graph/file.h"
#include "engine/graph/operator.h"

namespace polythrottle::graph {

/// Memory that holds one tensor, whatever names and shapes it goes by.
struct Storage {
  double elements = 0.0;
  double bytes = 0.0;                ///< per element
  bool constant = false;             ///< a weight, or made of weights alone
  bool leaves = false;               ///< an output of the whole graph
  std::optional<std::size_t> maker;  ///< index of the step; none for inputs and constants
  std::vector<std::size_t> readers;  ///< indices of steps, ascending
};
struct Read {
  std::size_t storage = 0;
  double elements = 0.0;
  bool rows = false;  ///< some rows, chosen by data: not the whole
};
/// An operator that runs.
struct Step {
  std::string name, type;
  Role role = Role::kKernel;
  Work work;
  Shape output;
  std::vector<Read> reads;
  std::vector<std::size_t> writes;  ///< storages
  bool dropped = false;             ///< of the branch that is not counted
};
/// Operators that could not be counted.
struct Unknown {
  std::string type;
  std::string why;
  std::size_t nodes = 0;
};
struct Trace {
  std::int64_t batch = 1;
  bool batch_is_free = false;
  std::vector<Storage> storages;
  std::vector<Step> steps;
  std::vector<Unknown> unknown;
  std::vector<std::string> notes;
};

/// `dimensions`: the value of each free axis of an input but the batch's, by its name or as INPUT[AXIS]. The batch is the first axis of the
/// first input that is free there and has no value. Errors: kInvalid (a free axis without a value, a name that the graph has not, a batch
/// for a graph whose batch is fixed to another); kCorrupt (shapes that do not fit, a tensor that nothing makes).
Result<Trace> trace(const Model& model, const std::map<std::string, std::int64_t>& dimensions, std::optional<std::int64_t> batch);

}  // namespace polythrottle::graph
