#pragma once
// One tensor from the elements of JSON, and back.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor.h"

namespace polythrottle::server {

/// Takes the events of one "data" array, its own brackets included. Each answers whether it fits; `error` says why not.
class ElementWriter {
 public:
  /// Allocates for exactly the elements of the shape, which must have been checked. `tensor` must outlive it.
  explicit ElementWriter(const Tensor& tensor);
  bool open();
  bool close();
  bool boolean(bool value);
  bool integer(std::int64_t value);
  bool natural(std::uint64_t value);
  /// `digits`: as it was written.
  bool real(double value, std::string_view digits);
  bool text(std::string_view value);
  /// Something that is no element of any type.
  bool other(std::string_view what);
  const Error& error() const { return error_; }
  Bytes finish() { return Bytes::of(std::move(bytes_)); }

 private:
  bool place();  ///< may an element stand here?
  bool wrong(std::string_view got);
  bool refuse(std::string what);
  template <class T>
  bool put(T value);
  template <class From>
  bool whole(From value);

  const Tensor& tensor_;
  const DataTypeRow& row_;
  std::size_t expected_;
  std::vector<std::byte> bytes_;
  std::size_t count_ = 0;
  std::vector<std::int64_t> open_;  ///< children so far, per open bracket
  enum class Form { kUnknown, kFlat, kNested } form_ = Form::kUnknown;
  Error error_;
};

/// Appends the elements as a flat JSON array. The bytes have been checked. Errors: kUnsupported where JSON has no form for one (FP16, BF16,
/// NaN, infinity, bytes that are no UTF-8), with what to ask for instead.
Status append_elements(const Tensor& tensor, std::string& out);
/// Has JSON a form for elements of this type?
bool has_json_form(DataType type);

}  // namespace polythrottle::server
