#include "engine/graph/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "engine/graph/inputs.h"

namespace polythrottle::graph {
namespace {

constexpr std::size_t kMostAxes = 64;
constexpr const char* kForm = "this form of it, or the size it makes, is not known";
constexpr const char* kBehind = "behind an operator whose sizes are not known";
constexpr std::size_t kMostNumbers = 8u << 20;  // content of small tensors, all together

struct Named {
  Value value;
  std::size_t storage = 0;
};

/// Names of one graph; a graph in an attribute sees those around it.
struct Scope {
  const Scope* around = nullptr;
  std::map<std::string, Named> names;
  std::map<std::string_view, const ValueInfo*> declared;

  const Named* find(const std::string& name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->around) {
      if (const auto it = scope->names.find(name); it != scope->names.end()) return &it->second;
    }
    return nullptr;
  }
};

class Tracer {
 public:
  Tracer(std::int64_t opset, std::map<std::string, std::int64_t> sizes) : opset_(opset), sizes_(std::move(sizes)) {}

  /// Runs a graph whose inputs are in `scope` already.
  Status run(const Graph& graph, Scope& scope) {
    for (const auto& tensor : graph.initializers) {
      if (tensor.name.empty()) continue;
      Value value;
      value.type = tensor.type;
      value.shape = tensor.dims;
      value.numbers = tensor.numbers;
      value.constant = true;
      bind(scope, tensor.name, std::move(value), {});
    }
    for (const auto* list : {&graph.values, &graph.outputs}) {
      for (const auto& info : *list) scope.declared.emplace(info.name, &info);
    }
    for (const auto& node : graph.nodes) TRY_STATUS(run(node, scope));
    return {};
  }

  void bind(Scope& scope, const std::string& name, Value value, std::optional<std::size_t> maker) {
    Storage storage;
    storage.elements = value.known() ? count(*value.shape) : 0.0;
    const double wide = value.bytes > 0.0 ? value.bytes : element_bytes(value.type);
    storage.bytes = wide > 0.0 ? wide : element_bytes(kFloat);
    storage.constant = value.constant;
    storage.maker = maker;
    if (maker) out.steps[*maker].writes.push_back(out.storages.size());
    out.storages.push_back(std::move(storage));
    scope.names.insert_or_assign(name, Named{std::move(value), out.storages.size() - 1});
  }

  Trace out;

 private:
  Status run(const Node& node, Scope& scope) {
    Call call{node, opset_, {}, std::vector<Value>(node.outputs.size())};
    std::vector<const Named*> inputs;
    for (const auto& name : node.inputs) {
      const Named* found = name.empty() ? nullptr : scope.find(name);
      if (!name.empty() && found == nullptr)
        return call.bad(fmt::format("it reads '{}', which nothing before it makes", name.substr(0, 200)));
      inputs.push_back(found);
      call.in.push_back(found == nullptr ? nullptr : &found->value);
    }
    while (!call.in.empty() && call.in.back() == nullptr) {
      call.in.pop_back();
      inputs.pop_back();
    }
    if (node.domain.empty() && (node.type == "If" || node.type == "Loop" || node.type == "Scan")) return run_nested(node, scope, inputs);

    const Operator* known = find_operator(node);
    std::string why;
    if (known == nullptr) {
      why = "not known";
    } else {
      for (std::size_t index = 0; index < std::max(known->least, call.in.size()); ++index) {
        if (!call.has(index) && index < known->least) return call.bad(fmt::format("its input {} is missing", index));
        if (call.has(index) && !call.in[index]->known()) why = kBehind;
      }
      if (why.empty()) TRY_STATUS(known->infer(call));
      // What the file declares of the output is enough for what comes behind, not for the arithmetic of a form that is not known.
      const bool inferred = !call.out.empty() && call.out[0].known();
      if (why.empty() && !inferred && (known->work != nullptr || node.outputs.empty() || node.outputs[0].empty())) why = kForm;
    }
    const bool constant =
        known != nullptr && std::all_of(call.in.begin(), call.in.end(), [](const Value* one) { return one == nullptr || one->constant; });
    const bool varies = std::any_of(call.in.begin(), call.in.end(), [](const Value* one) { return one != nullptr && !one->constant; });
    for (std::size_t index = 0; index < call.out.size(); ++index) {
      auto& value = call.out[index];
      if (!value.known()) take_declared(scope, node.outputs[index], value);
      if (!value.known() && !node.outputs[index].empty() && why.empty()) why = kForm;
      if (value.known() && value.shape->size() > kMostAxes) return call.bad(fmt::format("a tensor of {} axes", value.shape->size()));
    }
    if (why.empty()) fold_into(call);
    for (auto& value : call.out) {
      value.constant = value.numbers.has_value() || (constant && node.type.find("Random") == std::string::npos);
      if (value.constant && value.bytes == 0.0 && call.has(0) && call.in[0]->type == value.type) value.bytes = call.in[0]->bytes;
    }
    if (known != nullptr && known->role == Role::kView && call.has(0) && !(call.out.empty() || call.out[0].numbers)) {
      if (!why.empty() && why != kBehind) note_unknown(node, why);  // what moves nothing matters only where the trouble begins with it
      alias(node, scope, call, *inputs[0]);
      return {};
    }
    std::optional<std::size_t> step;
    if (!why.empty()) {
      note_unknown(node, why);
    } else if (varies && !call.out.empty() && !call.out[0].numbers) {
      step = add_step(call, *known, inputs);
    }
    for (std::size_t index = 0; index < call.out.size(); ++index) {
      if (!node.outputs[index].empty()) bind(scope, node.outputs[index], std::move(call.out[index]), step);
    }
    return {};
  }

  /// The same memory by another name.
  void alias(const Node& node, Scope& scope, Call& call, const Named& from) {
    const std::size_t storage = from.storage;
    for (std::size_t index = 0; index < call.out.size(); ++index) {
      if (!node.outputs[index].empty()) scope.names.insert_or_assign(node.outputs[index], Named{std::move(call.out[index]), storage});
    }
  }

  std::size_t add_step(const Call& call, const Operator& known, const std::vector<const Named*>& inputs) {
    Step step;
    step.type = call.node.type;
    step.name = call.node.name.empty() ? call.node.outputs.front() : call.node.name;
    step.role = known.role;
    step.output = *call.out[0].shape;
    if (known.work != nullptr) step.work = known.work(call);
    const std::size_t index = out.steps.size();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i] == nullptr) continue;
      const Value& value = inputs[i]->value;
      // Sizes, axes and indices: they decide how the operator runs, and are not moved by it.
      if (value.constant && (value.type == kInt64 || value.numbers.has_value()) && known.role == Role::kRows) continue;
      if (value.constant && value.type == kInt64) continue;
      const bool rows = known.role == Role::kRows && i == 0;
      step.reads.push_back({inputs[i]->storage, rows ? count(step.output) : out.storages[inputs[i]->storage].elements, rows});
      auto& readers = out.storages[inputs[i]->storage].readers;
      if (readers.empty() || readers.back() != index) readers.push_back(index);
    }
    out.steps.push_back(std::move(step));
    return index;
  }

  void fold_into(Call& call) {
    if (numbers_ > kMostNumbers) return;
    fold(call);
    if (!call.out.empty() && call.out[0].numbers) numbers_ += call.out[0].numbers->size();
  }

  /// What the file says of a tensor, if all its axes have values.
  void take_declared(const Scope& scope, const std::string& name, Value& value) const {
    const auto it = scope.declared.find(name);
    if (it == scope.declared.end() || !it->second->axes) return;
    Shape shape;
    for (const auto& axis : *it->second->axes) {
      const auto named = sizes_.find(axis.name);
      if (axis.size) {
        shape.push_back(*axis.size);
      } else if (!axis.name.empty() && named != sizes_.end()) {
        shape.push_back(named->second);
      } else {
        return;
      }
    }
    value.shape = std::move(shape);
    if (value.type == 0) value.type = it->second->type;
  }

  void note_unknown(const Node& node, const std::string& why) {
    const std::string type = node.domain.empty() ? node.type : node.domain + "." + node.type;
    auto it = std::find_if(out.unknown.begin(), out.unknown.end(), [&](const Unknown& one) { return one.type == type && one.why == why; });
    if (it == out.unknown.end()) it = out.unknown.insert(it, Unknown{type, why, 0});
    ++it->nodes;
  }
  void note(std::string text) {
    if (std::find(out.notes.begin(), out.notes.end(), text) == out.notes.end()) out.notes.push_back(std::move(text));
  }

  Result<const Graph*> body(const Node& node, const std::string& name) const {
    const auto it = node.attributes.find(name);
    if (it == node.attributes.end() || it->second.graph.empty()) {
      return Call{node, opset_, {}, {}}.bad(fmt::format("its graph '{}' is missing", name));
    }
    return &it->second.graph.front();
  }
  double macs(std::size_t from, std::size_t to) const {
    double sum = 0.0;
    for (std::size_t index = from; index < to; ++index) sum += out.steps[index].dropped ? 0.0 : out.steps[index].work.macs;
    return sum;
  }
  /// Names what a graph made, from its output `first` on, as the node's outputs.
  void bind_results(const Node& node, Scope& scope, const Graph& graph, const Scope& inner, std::size_t first, std::size_t most) {
    for (std::size_t index = 0; index < node.outputs.size(); ++index) {
      if (node.outputs[index].empty()) continue;
      const Named* made = index < most && index + first < graph.outputs.size() ? inner.find(graph.outputs[index + first].name) : nullptr;
      if (made != nullptr) {
        Named copy = *made;
        scope.names.insert_or_assign(node.outputs[index], std::move(copy));
        continue;
      }
      Value value;  // gathered over the rounds
      take_declared(scope, node.outputs[index], value);
      bind(scope, node.outputs[index], std::move(value), {});
    }
  }

  Status run_nested(const Node& node, Scope& scope, const std::vector<const Named*>& inputs) {
    return node.type == "If" ? run_branches(node, scope) : run_body(node, scope, inputs);
  }
  /// The branch with more multiply-accumulates counts.
  Status run_branches(const Node& node, Scope& scope) {
    TRY(const Graph* then_graph, body(node, "then_branch"));
    TRY(const Graph* else_graph, body(node, "else_branch"));
    Scope then_scope{&scope, {}, {}}, else_scope{&scope, {}, {}};
    const std::size_t start = out.steps.size();
    TRY_STATUS(run(*then_graph, then_scope));
    const std::size_t middle = out.steps.size();
    TRY_STATUS(run(*else_graph, else_scope));
    const std::size_t end = out.steps.size();
    const bool then_wins = macs(start, middle) >= macs(middle, end);
    for (std::size_t index = then_wins ? middle : start; index < (then_wins ? end : middle); ++index) out.steps[index].dropped = true;
    note("If: the branch with more multiply-accumulates is counted");
    bind_results(node, scope, then_wins ? *then_graph : *else_graph, then_wins ? then_scope : else_scope, 0, node.outputs.size());
    return {};
  }
  Status run_body(const Node& node, Scope& scope, const std::vector<const Named*>& inputs) {
    TRY(const Graph* graph, body(node, "body"));
    const bool loop = node.type == "Loop";
    const auto scanned =
        loop ? 0 : static_cast<std::size_t>(std::max<std::int64_t>(0, Call{node, opset_, {}, {}}.attribute("num_scan_inputs", 0)));
    // Loop gives its body the round and the condition first, as it gets the number of rounds and the condition itself.
    const std::size_t states =
        loop ? (graph->inputs.size() < 2 ? 0 : graph->inputs.size() - 2) : inputs.size() - std::min(scanned, inputs.size());
    Scope inner{&scope, {}, {}};
    for (std::size_t index = 0; index < graph->inputs.size(); ++index) {
      const auto& input = graph->inputs[index];
      Value value;
      if (loop && index < 2) {
        value.type = index == 0 ? kInt64 : kBool;
        value.shape.emplace();
      } else if (index < inputs.size() && inputs[index] != nullptr) {
        if (loop || index < states) {
          inner.names.insert_or_assign(input.name, *inputs[index]);
          inner.names[input.name].value.numbers.reset();
          inner.names[input.name].value.constant = false;
          continue;
        }
        value.type = inputs[index]->value.type;
        value.shape = inputs[index]->value.shape;
        if (value.shape && !value.shape->empty()) value.shape->erase(value.shape->begin());
      } else {
        scope.declared.emplace(input.name, &input);
        take_declared(scope, input.name, value);
      }
      bind(inner, input.name, std::move(value), {});
    }
    TRY_STATUS(run(*graph, inner));
    note(fmt::format("{}: its body is counted once", node.type));
    bind_results(node, scope, *graph, inner, loop ? 1 : 0, states);
    return {};
  }

  std::int64_t opset_;
  std::map<std::string, std::int64_t> sizes_;
  std::size_t numbers_ = 0;
};

}  // namespace

Result<Trace> trace(const Model& model, const std::map<std::string, std::int64_t>& dimensions, std::optional<std::int64_t> batch) {
  TRY(auto inputs, resolve_inputs(model.graph, dimensions, batch));
  Tracer tracer(model.opset, inputs.names);
  tracer.out.batch = inputs.batch;
  tracer.out.batch_is_free = inputs.batch_is_free;
  Scope scope;
  for (auto& [name, value] : inputs.values) tracer.bind(scope, name, std::move(value), {});
  TRY_STATUS(tracer.run(model.graph, scope));
  for (const auto& output : model.graph.outputs) {
    if (const Named* made = scope.find(output.name)) tracer.out.storages[made->storage].leaves = true;
  }
  return std::move(tracer.out);
}

}  // namespace polythrottle::graph
