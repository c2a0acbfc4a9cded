#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "server/rest_elements.h"
#include "server/rest_infer.h"
#include "server/rest_json.h"

namespace polythrottle::server {
namespace {

using nlohmann::json;

constexpr std::size_t kMostAxes = 16;

const json* member(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

/// {} where there are none.
Result<json> parameters_of(const json& object, const std::string& whose) {
  const json* const given = member(object, "parameters");
  if (given == nullptr) return json::object();
  if (!given->is_object()) return fail(Errc::kInvalid, whose + ": parameters must be an object");
  return *given;
}

Result<bool> flag(const json& parameters, const char* key, bool otherwise) {
  const json* const given = member(parameters, key);
  if (given == nullptr) return otherwise;
  if (!given->is_boolean()) return fail(Errc::kInvalid, fmt::format("parameter '{}' must be true or false", key));
  return given->get<bool>();
}

Result<std::string> text(const json& object, const char* key, const std::string& whose) {
  const json* const given = member(object, key);
  if (given == nullptr || !given->is_string()) return fail(Errc::kInvalid, fmt::format("{}: '{}' must be a string", whose, key));
  return given->get<std::string>();
}

struct Input {
  Tensor tensor;
  std::optional<std::size_t> binary_size;  // nullopt: in the JSON
};

Result<std::vector<std::int64_t>> shape_of(const json& input, const std::string& whose) {
  const json* const given = member(input, "shape");
  std::vector<std::int64_t> shape;
  const auto bad = [&] { return fail(Errc::kInvalid, whose + ": 'shape' must be a list of at most 16 numbers from 0"); };
  if (given == nullptr || !given->is_array() || given->size() > kMostAxes) return bad();
  for (const json& axis : *given) {
    if (!axis.is_number_integer() || (axis.is_number_unsigned() && axis.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()) ||
        axis.get<std::int64_t>() < 0) {
      return bad();
    }
    shape.push_back(axis.get<std::int64_t>());
  }
  return shape;
}

Result<Input> read_input(const json& given, std::size_t index, bool has_data) {
  std::string whose = fmt::format("inputs[{}]", index);
  if (!given.is_object()) return fail(Errc::kInvalid, whose + " must be an object");
  Input input;
  TRY(input.tensor.name, text(given, "name", whose));
  whose = "input '" + input.tensor.name + "'";
  TRY(const std::string type, text(given, "datatype", whose));
  const DataTypeRow* const row = find_oip_data_type(type);
  if (row == nullptr) {
    std::vector<std::string_view> names;
    for (const auto& known : data_types()) names.push_back(known.oip);
    return fail(Errc::kInvalid, fmt::format("{}: unknown datatype '{}'", whose, type), fmt::format("one of {}", fmt::join(names, ", ")));
  }
  input.tensor.type = row->type;
  TRY(input.tensor.shape, shape_of(given, whose));
  TRY(const json parameters, parameters_of(given, whose));
  if (parameters.contains("shared_memory_region")) return fail(Errc::kUnsupported, whose + ": this server shares no memory with clients");
  const json* const size = member(parameters, "binary_data_size");
  if (size != nullptr) {
    if (!size->is_number_unsigned()) return fail(Errc::kInvalid, whose + ": 'binary_data_size' must be a number from 0");
    input.binary_size = size->get<std::size_t>();
  }
  if (member(given, "data") != nullptr) return fail(Errc::kInvalid, whose + ": 'data' must be a list");
  if (has_data == input.binary_size.has_value()) {
    return fail(Errc::kInvalid,
                whose + (has_data ? " has both 'data' and 'binary_data_size'" : " has neither 'data' nor 'binary_data_size'"));
  }
  return input;
}

/// A view into the body, or a copy where the elements would not be aligned.
Bytes binary_part(const std::shared_ptr<const std::string>& body, std::size_t at, std::size_t size, std::size_t alignment) {
  const auto* const begin = reinterpret_cast<const std::byte*>(body->data()) + at;
  if (reinterpret_cast<std::uintptr_t>(begin) % std::max<std::size_t>(1, alignment) == 0) return {body, {begin, size}};
  return Bytes::of(std::vector<std::byte>(begin, begin + size));
}

Status take_binary(const std::shared_ptr<const std::string>& body, std::size_t at, std::vector<Input>& inputs) {
  for (Input& input : inputs) {
    if (!input.binary_size) continue;
    if (*input.binary_size > body->size() - at) {
      return fail(Errc::kInvalid, fmt::format("input '{}': expected {} bytes of binary data, got {}", input.tensor.name, *input.binary_size,
                                              body->size() - at));
    }
    input.tensor.bytes = binary_part(body, at, *input.binary_size, row_of(input.tensor.type).size);
    at += *input.binary_size;
  }
  if (at != body->size())
    return fail(Errc::kInvalid, fmt::format("{} bytes are left behind the binary data of the inputs", body->size() - at));
  return {};
}

Result<std::vector<Tensor>> read_inputs(const ModelInfo& model, const RequestHead& head, const std::shared_ptr<const std::string>& body,
                                        std::size_t json_size) {
  const json* const list = member(head.document, "inputs");
  if (list == nullptr || !list->is_array()) return fail(Errc::kInvalid, "'inputs' must be a list");
  std::vector<Input> inputs;
  std::vector<TensorInfo> infos;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const bool has_data = i < head.elements.size() && head.elements[i] != RequestHead::kNoData;
    TRY(inputs.emplace_back(), read_input((*list)[i], i, has_data));
    const Tensor& tensor = inputs.back().tensor;
    infos.push_back({tensor.name, std::string(row_of(tensor.type).name), tensor.shape, {}});
  }
  TRY_STATUS(check_input_shapes(model, infos));
  TRY_STATUS(take_binary(body, json_size, inputs));
  std::vector<Tensor> tensors;
  for (Input& input : inputs) tensors.push_back(std::move(input.tensor));
  TRY_STATUS(read_elements(std::string_view(*body).substr(0, json_size), head, tensors));
  TRY_STATUS(check_inputs(model, tensors));
  return tensors;
}

Status read_outputs(const ModelInfo& model, const json& document, RestInferRequest& out) {
  const json* const list = member(document, "outputs");
  if (list != nullptr && !list->is_array()) return fail(Errc::kInvalid, "'outputs' must be a list");
  std::vector<std::string> names;
  for (const auto& output : model.outputs) names.push_back(output.name);
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const json& given = (*list)[i];
    if (!given.is_object()) return fail(Errc::kInvalid, fmt::format("outputs[{}] must be an object", i));
    TRY(const std::string name, text(given, "name", fmt::format("outputs[{}]", i)));
    const auto is = [&](const std::string& other) { return other == name; };
    if (std::none_of(names.begin(), names.end(), is)) {
      return fail(Errc::kInvalid, fmt::format("unknown output '{}'", name), fmt::format("the model has {}", fmt::join(names, ", ")));
    }
    if (std::any_of(out.request.outputs.begin(), out.request.outputs.end(), is)) {
      return fail(Errc::kInvalid, fmt::format("output '{}' is asked for twice", name));
    }
    const std::string whose = "output '" + name + "'";
    TRY(const json parameters, parameters_of(given, whose));
    if (parameters.contains("classification")) return fail(Errc::kUnsupported, whose + ": this server has no classification extension");
    if (parameters.contains("shared_memory_region")) return fail(Errc::kUnsupported, whose + ": this server shares no memory with clients");
    TRY(const bool binary, flag(parameters, "binary_data", out.binary_by_default));
    (binary ? out.binary : out.json).push_back(name);
    out.request.outputs.push_back(name);
  }
  // Known before anything is computed.
  for (const auto& output : model.outputs) {
    const auto* const row = find_data_type(output.type);
    const auto in = [&](const std::vector<std::string>& some) { return std::find(some.begin(), some.end(), output.name) != some.end(); };
    const bool as_json = in(out.json) || (out.request.outputs.empty() && !out.binary_by_default);
    if (row != nullptr && as_json && !has_json_form(row->type)) {
      return fail(Errc::kInvalid, fmt::format("output '{}': JSON has no form for {}", output.name, row->oip),
                  "ask for binary data (parameters.binary_data_output)");
    }
  }
  return {};
}

Result<RestInferRequest> parse(const ModelInfo& model, const std::shared_ptr<const std::string>& body,
                               std::optional<std::size_t> json_size) {
  const std::size_t size = json_size.value_or(body->size());
  if (size > body->size()) {
    return fail(Errc::kInvalid, fmt::format("Inference-Header-Content-Length is {}, the body has {} bytes", size, body->size()));
  }
  if (size == 0 && !body->empty()) return fail(Errc::kUnsupported, "a request without JSON (raw binary)", "describe the inputs in JSON");
  TRY(const RequestHead head, read_request_head(std::string_view(*body).substr(0, size)));
  RestInferRequest out;
  if (const json* const id = member(head.document, "id")) {
    if (!id->is_string()) return fail(Errc::kInvalid, "'id' must be a string");
    out.request.id = id->get<std::string>();
  }
  TRY(const json parameters, parameters_of(head.document, "the request"));
  TRY(out.binary_by_default, flag(parameters, "binary_data_output", false));
  if (const json* const timeout = member(parameters, "timeout")) {
    if (!timeout->is_number_unsigned()) return fail(Errc::kInvalid, "parameter 'timeout' must be a whole number of microseconds from 0");
    if (const auto microseconds = timeout->get<std::uint64_t>(); microseconds > 0) {
      out.request.timeout = Seconds(static_cast<double>(microseconds) * 1e-6);
    }
  }
  TRY_STATUS(read_outputs(model, head.document, out));
  TRY(out.request.inputs, read_inputs(model, head, body, size));
  return out;
}

}  // namespace

tl::expected<RestInferRequest, Failure> parse_infer(const ModelInfo& model, std::shared_ptr<const std::string> body,
                                                    std::optional<std::size_t> json_size) {
  auto parsed = parse(model, body, json_size);
  if (!parsed) return tl::unexpected(Failure{refusal_of(parsed.error().code), std::move(parsed.error())});
  return std::move(*parsed);
}

}  // namespace polythrottle::server
