#pragma once
// For tests: ONNX files written field by field, weights declared by their shape only.

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/graph/file.h"

namespace polythrottle::graph {

/// The protobuf encoding, written independently of the library that reads it.
class Message {
 public:
  Message& number(int field, std::int64_t value) {
    tag(field, 0);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  Message& real(int field, float value) {
    tag(field, 5);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) bytes_ += static_cast<char>(bits >> shift & 0xff);
    return *this;
  }
  Message& text(int field, std::string_view value) {
    tag(field, 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(int field, const Message& value) { return text(field, value.bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  void tag(int field, int wire) { varint(static_cast<std::uint64_t>(field << 3 | wire)); }
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

using Ints = std::vector<std::int64_t>;
struct Attr {
  std::string name;
  std::variant<std::int64_t, float, std::string, Ints, Message> value;  ///< a Message is a graph
};
/// A size, or a name for a free one.
using Dim = std::variant<std::int64_t, std::string>;

class GraphBuilder {
 public:
  std::string input(const std::string& name, const std::vector<Dim>& dims, int type = kFloat) { return declare(11, name, dims, type); }
  std::string output(const std::string& name, const std::vector<Dim>& dims = {}, int type = kFloat) {
    return declare(12, name, dims, type);
  }
  void declared(const std::string& name, const std::vector<Dim>& dims, int type = kFloat) { declare(13, name, dims, type); }
  std::string weight(const Ints& dims, int type = kFloat) {
    Message tensor;
    for (const auto dim : dims) tensor.number(1, dim);
    return add(std::move(tensor), type);
  }
  /// A vector of whole numbers.
  std::string ints(const Ints& values, bool scalar = false) {
    Message tensor;
    if (!scalar) tensor.number(1, static_cast<std::int64_t>(values.size()));
    for (const auto value : values) tensor.number(7, value);
    return add(std::move(tensor), kInt64);
  }
  std::string node(const std::string& type, const std::vector<std::string>& inputs, const std::vector<Attr>& attributes = {},
                   const std::string& domain = "", int outputs = 1) {
    Message message;
    for (const auto& one : inputs) message.text(1, one);
    const std::string name = fresh(type);
    for (int i = 0; i < outputs; ++i) message.text(2, i == 0 ? name : name + "." + std::to_string(i));
    message.text(3, name).text(4, type);
    if (!domain.empty()) message.text(7, domain);
    for (const auto& one : attributes) message.message(5, attribute(one));
    graph_.message(1, message);
    return name;
  }
  const Message& graph() const { return graph_; }
  std::string model(int opset = 17) const {
    return Message().number(1, 8).message(8, Message().text(1, "").number(2, opset)).message(7, graph_).bytes();
  }

 private:
  static Message attribute(const Attr& one) {
    Message out;
    out.text(1, one.name);
    if (const auto* i = std::get_if<std::int64_t>(&one.value)) out.number(3, *i).number(20, 2);
    if (const auto* f = std::get_if<float>(&one.value)) out.real(2, *f).number(20, 1);
    if (const auto* s = std::get_if<std::string>(&one.value)) out.text(4, *s).number(20, 3);
    if (const auto* list = std::get_if<Ints>(&one.value)) {
      for (const auto i : *list) out.number(8, i);
      out.number(20, 7);
    }
    if (const auto* graph = std::get_if<Message>(&one.value)) out.message(6, *graph).number(20, 5);
    return out;
  }
  std::string declare(int field, const std::string& name, const std::vector<Dim>& dims, int type) {
    Message shape;
    for (const auto& dim : dims) {
      const auto* size = std::get_if<std::int64_t>(&dim);
      shape.message(1, size != nullptr ? Message().number(1, *size) : Message().text(2, std::get<std::string>(dim)));
    }
    graph_.message(field, Message().text(1, name).message(2, Message().message(1, Message().number(1, type).message(2, shape))));
    return name;
  }
  std::string add(Message tensor, int type) {
    const std::string name = fresh("constant");
    graph_.message(5, tensor.number(2, type).text(8, name));
    return name;
  }
  std::string fresh(const std::string& what) { return what + std::to_string(next_++); }

  Message graph_;
  int next_ = 0;
};

}  // namespace polythrottle::graph
