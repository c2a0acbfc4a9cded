#pragma once
// The protobuf encoding, field by field, of a file nobody vouches for.

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace polythrottle::graph {

/// What is kept of a file's graph, in bytes.
inline constexpr std::int64_t kMostKept = 256ll * 1024 * 1024;  // bytes

enum Wire : std::uint32_t { kVarint = 0, kFixed64 = 1, kDelimited = 2, kFixed32 = 5 };

/// One field after the other of the protobuf encoding. The first thing that is wrong ends everything (`ok`).
class Reader {
 public:
  explicit Reader(google::protobuf::io::CodedInputStream& input) : input_(input) {}

  bool ok() const { return wrong_.empty(); }
  const std::string& wrong() const { return wrong_; }
  bool too_large() const { return kept_ > kMostKept; }
  void refuse(std::string why) {
    if (wrong_.empty()) wrong_ = std::move(why);
  }
  /// Counts what is kept of the file.
  void keep(std::size_t bytes) {
    kept_ += static_cast<std::int64_t>(bytes);
    if (too_large()) refuse(fmt::format("its graph takes more than {} MiB without any weights", kMostKept >> 20));
  }

  /// Calls `field(number, wire)` for each field up to the end of the message; it has to consume the value, or to `skip` it.
  template <class Field>
  void fields(Field field) {
    while (ok() && input_.BytesUntilLimit() != 0) {
      const std::uint32_t tag = input_.ReadTag();
      if (tag == 0) return refuse(input_.BytesUntilLimit() > 0 ? "it is no protobuf message" : "it is truncated");
      field(tag >> 3, static_cast<Wire>(tag & 7));
    }
  }
  /// A message within the message.
  template <class Field>
  void message(Wire wire, Field field) {
    const auto end = enter(wire);
    if (!ok()) return;
    fields(field);
    input_.PopLimit(end);
  }
  std::uint64_t varint(Wire wire) {
    std::uint64_t value = 0;
    if (wire != kVarint || !input_.ReadVarint64(&value)) broken();
    return value;
  }
  std::int64_t integer(Wire wire) { return static_cast<std::int64_t>(varint(wire)); }
  float real(Wire wire) {
    std::uint32_t bits = 0;
    if (wire != kFixed32 || !input_.ReadLittleEndian32(&bits)) broken();
    return std::bit_cast<float>(bits);
  }
  std::string text(Wire wire) {
    std::string out;
    const int size = length(wire);
    if (!ok()) return out;
    keep(static_cast<std::size_t>(size));
    if (ok() && !input_.ReadString(&out, size)) broken();
    return out;
  }
  /// Repeated numbers, packed or one at a time; those beyond `most` are dropped (`dropped` is set).
  template <class Take>
  void numbers(Wire wire, Wire each, std::size_t most, std::vector<double>& out, bool& dropped, Take take) {
    const auto one = [&] {
      const double value = take(each);
      if (out.size() < most) {
        keep(sizeof(double));
        out.push_back(value);
      } else {
        dropped = true;
      }
    };
    if (wire != kDelimited) return wire == each ? one() : broken();
    const auto end = enter(wire);
    while (ok() && input_.BytesUntilLimit() > 0) one();
    if (ok()) input_.PopLimit(end);
  }
  /// Repeated whole numbers, packed or one at a time.
  void integers(Wire wire, std::vector<std::int64_t>& out) {
    const auto one = [&] {
      keep(sizeof(std::int64_t));
      out.push_back(integer(kVarint));
    };
    if (wire != kDelimited) return wire == kVarint ? one() : broken();
    const auto end = enter(wire);
    while (ok() && input_.BytesUntilLimit() > 0) one();
    if (ok()) input_.PopLimit(end);
  }
  /// The bytes of a field if they are few, else nothing.
  std::optional<std::string> bytes(Wire wire, std::size_t most) {
    const int size = length(wire);
    std::string out;
    if (!ok()) return {};
    if (static_cast<std::size_t>(size) > most) {
      if (!input_.Skip(size)) broken();
      return {};
    }
    if (!input_.ReadString(&out, size)) broken();
    return out;
  }
  double wide_real(Wire wire) {
    std::uint64_t bits = 0;
    if (wire != kFixed64 || !input_.ReadLittleEndian64(&bits)) broken();
    return std::bit_cast<double>(bits);
  }
  void skip(Wire wire) {
    std::uint64_t ignored = 0;
    switch (wire) {
      case kVarint: varint(wire); return;
      case kFixed64: return input_.ReadLittleEndian64(&ignored) ? void() : broken();
      case kDelimited: {
        const int size = length(wire);
        if (ok() && !input_.Skip(size)) broken();
        return;
      }
      case kFixed32: real(wire); return;
    }
    broken();
  }

 private:
  void broken() { refuse("it is no ONNX model, or it is truncated"); }
  int length(Wire wire) {
    std::uint64_t size = 0;
    if (wire != kDelimited || !input_.ReadVarint64(&size)) {
      broken();
      return 0;
    }
    const int left = input_.BytesUntilLimit();
    if (size > static_cast<std::uint64_t>(std::max(left, 0))) {
      broken();
      return 0;
    }
    return static_cast<int>(size);
  }
  google::protobuf::io::CodedInputStream::Limit enter(Wire wire) {
    const int size = length(wire);
    return ok() ? input_.PushLimit(size) : 0;
  }

  google::protobuf::io::CodedInputStream& input_;
  std::string wrong_;
  std::int64_t kept_ = 0;
};

}  // namespace polythrottle::graph
