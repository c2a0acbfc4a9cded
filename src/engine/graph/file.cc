#include "engine/graph/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "engine/graph/wire.h"

namespace polythrottle::graph {
namespace {

using google::protobuf::io::CodedInputStream;

constexpr int kDeepest = 16;  // graphs in attributes of nodes of graphs

/// Little-endian numbers as raw bytes (TensorProto.raw_data).
std::optional<std::vector<double>> raw_numbers(const std::string& bytes, int type) {
  std::vector<double> out;
  const auto read = [&]<class T>(T) {
    for (std::size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
      T value;
      std::memcpy(&value, bytes.data() + at, sizeof(T));
      out.push_back(static_cast<double>(value));
    }
  };
  switch (type) {
    case kFloat: read(float{}); break;
    case kDouble: read(double{}); break;
    case kInt32: read(std::int32_t{}); break;
    case kInt64: read(std::int64_t{}); break;
    case kInt8: read(std::int8_t{}); break;
    case kUint8:
    case kBool: read(std::uint8_t{}); break;
    default: return std::nullopt;
  }
  return out;
}

Tensor read_tensor(Reader& in, Wire wire) {
  Tensor out;
  std::vector<double> numbers;
  std::optional<std::string> raw;
  bool dropped = false;
  in.keep(sizeof(Tensor));
  in.message(wire, [&](std::uint32_t field, Wire kind) {
    switch (field) {
      case 1: return in.integers(kind, out.dims);
      case 2: out.type = static_cast<int>(in.integer(kind)); return;
      case 4: return in.numbers(kind, kFixed32, kKeptNumbers, numbers, dropped, [&](Wire each) { return in.real(each); });
      case 5:
      case 7:
      case 11:
        return in.numbers(kind, kVarint, kKeptNumbers, numbers, dropped, [&](Wire each) { return static_cast<double>(in.integer(each)); });
      case 8: out.name = in.text(kind); return;
      case 9: raw = in.bytes(kind, kKeptNumbers * sizeof(double)); return;
      case 10: return in.numbers(kind, kFixed64, kKeptNumbers, numbers, dropped, [&](Wire each) { return in.wide_real(each); });
      default: return in.skip(kind);
    }
  });
  double count = 1.0;
  for (const auto dim : out.dims) {
    if (dim < 0) in.refuse(fmt::format("tensor '{}' has a size of {}", out.name.substr(0, 80), dim));
    count *= static_cast<double>(dim);
  }
  if (raw) {
    if (auto read = raw_numbers(*raw, out.type)) numbers = std::move(*read);
  }
  if (!dropped && static_cast<double>(numbers.size()) == count && count <= static_cast<double>(kKeptNumbers))
    out.numbers = std::move(numbers);
  return out;
}

Axis read_axis(Reader& in, Wire wire, const std::string& tensor) {
  Axis out;
  in.keep(sizeof(Axis));
  in.message(wire, [&](std::uint32_t field, Wire kind) {
    if (field == 1) {
      out.size = in.integer(kind);
      // Exporters write -1, and some 0, for a free axis.
      if (*out.size == -1 || *out.size == 0) {
        out.size.reset();
      } else if (*out.size < 0) {
        in.refuse(fmt::format("tensor '{}' has a size of {}", tensor.substr(0, 80), *out.size));
      }
    } else if (field == 2) {
      out.name = in.text(kind);
    } else {
      in.skip(kind);
    }
  });
  return out;
}

ValueInfo read_value(Reader& in, Wire wire) {
  ValueInfo out;
  in.keep(sizeof(ValueInfo));
  const auto shape = [&](std::uint32_t field, Wire kind) {
    if (field != 1) return in.skip(kind);
    out.axes->push_back(read_axis(in, kind, out.name));
  };
  const auto tensor_type = [&](std::uint32_t field, Wire kind) {
    if (field == 1) {
      out.type = static_cast<int>(in.integer(kind));
    } else if (field == 2) {
      out.axes.emplace();
      in.message(kind, shape);
    } else {
      in.skip(kind);
    }
  };
  in.message(wire, [&](std::uint32_t field, Wire kind) {
    if (field == 1) {
      out.name = in.text(kind);
    } else if (field == 2) {
      in.message(kind,
                 [&](std::uint32_t inner, Wire inner_kind) { inner == 1 ? in.message(inner_kind, tensor_type) : in.skip(inner_kind); });
    } else {
      in.skip(kind);
    }
  });
  return out;
}

Graph read_graph(Reader& in, Wire wire, int depth);

void read_attribute(Reader& in, Wire wire, Node& node, int depth) {
  Attribute out;
  std::string name;
  bool dropped = false;
  in.keep(sizeof(Attribute));
  in.message(wire, [&](std::uint32_t field, Wire kind) {
    switch (field) {
      case 1: name = in.text(kind); return;
      case 2: out.number = in.real(kind); return;
      case 3: out.integer = in.integer(kind); return;
      case 4: out.text = in.bytes(kind, 64 * kKeptNumbers).value_or(""); return;
      case 5: out.tensor = read_tensor(in, kind); return;
      case 6: out.graph.assign(1, read_graph(in, kind, depth + 1)); return;
      case 7: return in.numbers(kind, kFixed32, kKeptNumbers, out.numbers, dropped, [&](Wire each) { return in.real(each); });
      case 8: return in.integers(kind, out.integers);
      case 9: out.texts.push_back(in.text(kind)); return;
      default: return in.skip(kind);
    }
  });
  if (out.text) in.keep(out.text->size());
  node.attributes.insert_or_assign(std::move(name), std::move(out));
}

Node read_node(Reader& in, Wire wire, int depth) {
  Node out;
  in.keep(sizeof(Node));
  const auto name_into = [&](std::vector<std::string>& list, Wire kind) {
    in.keep(sizeof(std::string));
    list.push_back(in.text(kind));
  };
  in.message(wire, [&](std::uint32_t field, Wire kind) {
    switch (field) {
      case 1: return name_into(out.inputs, kind);
      case 2: return name_into(out.outputs, kind);
      case 3: out.name = in.text(kind); return;
      case 4: out.type = in.text(kind); return;
      case 5: return read_attribute(in, kind, out, depth);
      case 7: out.domain = in.text(kind); return;
      default: return in.skip(kind);
    }
  });
  if (out.domain == "ai.onnx") out.domain.clear();
  return out;
}

/// A sparse constant counts as the tensor that it stands for.
Tensor read_sparse(Reader& in, Wire wire) {
  Tensor out;
  std::vector<std::int64_t> dims;
  in.message(wire, [&](std::uint32_t field, Wire kind) {
    if (field == 1) {
      out = read_tensor(in, kind);
    } else if (field == 3) {
      in.integers(kind, dims);
    } else {
      in.skip(kind);
    }
  });
  for (const auto dim : dims) {
    if (dim < 0) in.refuse(fmt::format("tensor '{}' has a size of {}", out.name.substr(0, 80), dim));
  }
  out.dims = std::move(dims);
  out.numbers.reset();
  return out;
}

Graph read_graph(Reader& in, Wire wire, int depth) {
  Graph out;
  if (depth > kDeepest) in.refuse(fmt::format("its graphs are nested deeper than {}", kDeepest));
  if (!in.ok()) return out;
  in.keep(sizeof(Graph));
  in.message(wire, [&](std::uint32_t field, Wire kind) {
    switch (field) {
      case 1: out.nodes.push_back(read_node(in, kind, depth)); return;
      case 5: out.initializers.push_back(read_tensor(in, kind)); return;
      case 11: out.inputs.push_back(read_value(in, kind)); return;
      case 12: out.outputs.push_back(read_value(in, kind)); return;
      case 13: out.values.push_back(read_value(in, kind)); return;
      case 15: out.initializers.push_back(read_sparse(in, kind)); return;
      default: return in.skip(kind);
    }
  });
  return out;
}

Result<Model> parse(google::protobuf::io::ZeroCopyInputStream& stream, int size, const std::string& name) {
  google::protobuf::io::CodedInputStream input(&stream);
  input.SetTotalBytesLimit(std::numeric_limits<int>::max());
  input.PushLimit(size);
  Reader in(input);
  Model model;
  bool has_graph = false;
  in.fields([&](std::uint32_t field, Wire wire) {
    if (field == 7) {
      model.graph = read_graph(in, wire, 0);
      has_graph = true;
    } else if (field == 8) {
      std::string domain;
      std::int64_t version = 0;
      in.message(wire, [&](std::uint32_t inner, Wire kind) {
        if (inner == 1) {
          domain = in.text(kind);
        } else if (inner == 2) {
          version = in.integer(kind);
        } else {
          in.skip(kind);
        }
      });
      if (domain.empty() || domain == "ai.onnx") model.opset = version;
    } else {
      in.skip(wire);
    }
  });
  if (in.too_large()) return fail(Errc::kUnsupported, fmt::format("read {}: {}", name, in.wrong()));
  if (in.ok() && (!has_graph || model.graph.nodes.empty())) in.refuse("there is no graph in it");
  if (!in.ok()) return fail(Errc::kCorrupt, fmt::format("read {} as ONNX: {}", name, in.wrong()));
  return model;
}

}  // namespace

double element_bytes(int type) {
  switch (type) {
    case kUint8:
    case kInt8:
    case kBool:
    case 17:  // the four float8 types
    case 18:
    case 19:
    case 20: return 1.0;
    case 4:  // uint16
    case 5:  // int16
    case kFloat16:
    case kBfloat16: return 2.0;
    case kFloat:
    case kInt32:
    case 12: return 4.0;  // uint32
    case kInt64:
    case kDouble:
    case 13:               // uint64
    case 14: return 8.0;   // complex64
    case 15: return 16.0;  // complex128
    case 21:               // uint4
    case 22:               // int4
    case 23: return 0.5;   // float4e2m1
    default: return 0.0;
  }
}

bool is_integer(int type) { return (type >= kUint8 && type <= kInt64) || type == kBool || type == 12 || type == 13; }

Result<Model> read_onnx(const std::string& path) {
  // A pipe or device that nobody feeds must not block the opening.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return tl::unexpected<Error>(system_error("open " + path, errno));
  google::protobuf::io::FileInputStream stream(descriptor);
  stream.SetCloseOnDelete(true);
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return tl::unexpected<Error>(system_error("read " + path, errno));
  if (!S_ISREG(status.st_mode)) return fail(Errc::kIo, fmt::format("read {}: it is no regular file", path));
  if (status.st_size > std::numeric_limits<int>::max()) {
    return fail(Errc::kUnsupported, fmt::format("read {}: it is larger than the 2 GiB a protobuf message may have", path),
                "save it with external data: the weights are not needed");
  }
  if (status.st_size == 0) return fail(Errc::kCorrupt, fmt::format("read {} as ONNX: the file is empty", path));
  auto model = parse(stream, static_cast<int>(status.st_size), path);
  if (stream.GetErrno() != 0) return tl::unexpected<Error>(system_error("read " + path, stream.GetErrno()));
  return model;
}

Result<Model> parse_onnx(std::string_view bytes, const std::string& name) {
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) return fail(Errc::kUnsupported, name + ": more than 2 GiB");
  google::protobuf::io::ArrayInputStream stream(bytes.data(), static_cast<int>(bytes.size()));
  return parse(stream, static_cast<int>(bytes.size()), name);
}

}  // namespace polythrottle::graph
