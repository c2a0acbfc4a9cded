#pragma once
// A tensor on its way through the program: a name, a type, a shape, and bytes that somebody keeps alive.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace polythrottle {

enum class DataType : std::uint8_t {
  kBool,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kFloat16,
  kBfloat16,
  kFloat32,
  kFloat64,
  kString
};

struct DataTypeRow {
  DataType type;
  std::string_view name;  ///< as in TensorInfo::type: "float32", "string"
  std::string_view oip;   ///< in the Open Inference Protocol: "FP32", "BYTES"
  std::size_t size;       ///< bytes of an element; 0: of its own length
};
/// One row per type.
std::span<const DataTypeRow> data_types();
const DataTypeRow& row_of(DataType type);
/// nullptr for words that name none.
const DataTypeRow* find_data_type(std::string_view name);
const DataTypeRow* find_oip_data_type(std::string_view oip);

/// Bytes with whoever owns them; copying it copies no bytes. Elements stand in row-major order and little-endian. A kString element is its
/// length as 32 bits, then so many bytes (as BYTES in the Open Inference Protocol's raw contents).
struct Bytes {
  std::shared_ptr<const void> owner;
  std::span<const std::byte> view;

  static Bytes of(std::vector<std::byte> bytes);
};

struct Tensor {
  std::string name;
  DataType type = DataType::kFloat32;
  std::vector<std::int64_t> shape;  ///< no free axes; each >= 0
  Bytes bytes;
};

/// Product of the axes; 1 for a scalar. nullopt for a negative axis or a product beyond 2^40.
std::optional<std::int64_t> element_count(std::span<const std::int64_t> shape);
/// Does `bytes` hold exactly the elements that type and shape say (each length of a string checked)? Errors: kInvalid, with what was
/// expected and what is there.
Status check_bytes(const Tensor& tensor);
/// Rows [first, first + count) of axis 0. The tensor has that axis, `check_bytes` held, and the rows are in range. Shares the bytes.
Tensor rows(const Tensor& tensor, std::int64_t first, std::int64_t count);
/// Tensors alike in name, type and all axes but the first, one behind the other; at least one. A single one is not copied.
Tensor join(std::span<const Tensor> parts);

}  // namespace polythrottle
