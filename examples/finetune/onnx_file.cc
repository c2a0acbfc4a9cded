#include "onnx_file.h"

#include <onnx/onnx_pb.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace {

constexpr int kOpset = 13;

onnx::NodeProto& add(onnx::GraphProto& graph, const std::string& kind, const std::vector<std::string>& inputs, const std::string& output) {
  auto& node = *graph.add_node();
  node.set_op_type(kind);
  node.set_name(output);
  for (const auto& input : inputs) node.add_input(input);
  node.add_output(output);
  return node;
}

void attribute(onnx::NodeProto& node, const std::string& name, const std::vector<std::int64_t>& values) {
  auto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INTS);
  for (const auto value : values) attribute.add_ints(value);
}

void attribute(onnx::NodeProto& node, const std::string& name, std::int64_t value) {
  auto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
}

void describe(onnx::ValueInfoProto& value, const std::string& name, const std::vector<std::int64_t>& shape) {
  value.set_name(name);
  auto& tensor = *value.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(onnx::TensorProto::FLOAT);
  tensor.mutable_shape()->add_dim()->set_dim_param("N");
  for (const auto length : shape) tensor.mutable_shape()->add_dim()->set_dim_value(length);
}

}  // namespace

void write_onnx(const std::string& path, const WeightMap& weights) {
  onnx::ModelProto model;
  model.set_ir_version(7);
  model.set_producer_name("polythrottle finetune example");
  model.add_opset_import()->set_version(kOpset);
  auto& graph = *model.mutable_graph();
  graph.set_name("digits");
  describe(*graph.add_input(), "image", {1, 8, 8});
  describe(*graph.add_output(), "scores", {10});
  std::string last = "image";
  for (const std::string layer : {"conv1", "conv2", "conv3"}) {
    auto& convolution = add(graph, "Conv", {last, layer + ".weight", layer + ".bias"}, layer + ".out");
    attribute(convolution, "kernel_shape", {3, 3});
    attribute(convolution, "pads", {1, 1, 1, 1});
    last = layer + ".relu";
    add(graph, "Relu", {layer + ".out"}, last);
  }
  auto& pool = add(graph, "MaxPool", {last}, "pooled");
  attribute(pool, "kernel_shape", {2, 2});
  attribute(pool, "strides", {2, 2});
  attribute(add(graph, "Flatten", {"pooled"}, "flat"), "axis", 1);
  attribute(add(graph, "Gemm", {"flat", "fc1.weight", "fc1.bias"}, "fc1.out"), "transB", 1);
  add(graph, "Relu", {"fc1.out"}, "fc1.relu");
  attribute(add(graph, "Gemm", {"fc1.relu", "fc2.weight", "fc2.bias"}, "scores"), "transB", 1);
  for (const auto& [name, given] : weights) {
    auto& tensor = *graph.add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    for (const auto length : given.shape) tensor.add_dims(length);
    std::string& raw = *tensor.mutable_raw_data();  // little-endian, as this machine is
    raw.resize(given.values.size() * sizeof(float));
    std::memcpy(raw.data(), given.values.data(), raw.size());
  }
  const std::string part = path + ".part";
  std::ofstream file(part, std::ios::binary);
  const bool written = file && model.SerializeToOstream(&file);
  file.close();
  std::error_code error;
  if (written && file) std::filesystem::rename(part, path, error);
  if (!written || !file || error) {
    std::filesystem::remove(part, error);
    throw std::runtime_error("cannot write " + path);
  }
}

WeightMap read_onnx(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  onnx::ModelProto model;
  if (!file || !model.ParseFromIstream(&file)) throw std::runtime_error("cannot read " + path + " as an ONNX model");
  WeightMap out;
  for (const auto& tensor : model.graph().initializer()) {
    Weights weights{{tensor.dims().begin(), tensor.dims().end()}, {}};
    if (tensor.data_type() != onnx::TensorProto::FLOAT || tensor.raw_data().size() % sizeof(float) != 0)
      throw std::runtime_error(path + ": '" + tensor.name() + "' is not what this program writes");
    weights.values.resize(tensor.raw_data().size() / sizeof(float));
    std::memcpy(weights.values.data(), tensor.raw_data().data(), tensor.raw_data().size());
    out.emplace(tensor.name(), std::move(weights));
  }
  return out;
}
