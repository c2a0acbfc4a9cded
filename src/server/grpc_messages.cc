#include "server/grpc_messages.h"

#if POLYTHROTTLE_HAVE_GRPC

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "open_inference.pb.h"
#include "server/grpc_contents.h"

namespace polythrottle::server {
namespace {

using Parameters = google::protobuf::Map<std::string, inference::InferParameter>;

tl::unexpected<Failure> refuse(Refusal refusal, std::string what, std::string hint = {}) {
  const Errc code = refusal == Refusal::kUnsupported ? Errc::kUnsupported : Errc::kInvalid;
  return tl::unexpected<Failure>(Failure{refusal, {code, std::move(what), std::move(hint)}});
}
tl::unexpected<Failure> refuse(Error error) {
  const Refusal refusal = refusal_of(error.code);
  return tl::unexpected<Failure>(Failure{refusal, std::move(error)});
}

tl::expected<std::optional<Seconds>, Failure> timeout_of(const Parameters& parameters) {
  const auto found = parameters.find("timeout");
  if (found == parameters.end()) return std::nullopt;
  const auto& value = found->second;
  if (value.has_int64_param() && value.int64_param() > 0) return Seconds(static_cast<double>(value.int64_param()) * 1e-6);
  if (value.has_uint64_param() && value.uint64_param() > 0) return Seconds(static_cast<double>(value.uint64_param()) * 1e-6);
  if (value.has_int64_param() && value.int64_param() == 0) return std::nullopt;  // how clients say "none"
  return refuse(Refusal::kInvalid, "parameter 'timeout': expected a positive number of microseconds");
}

/// Parameters that change what a request means, and that this server does not have.
std::string_view unsupported_parameter(const Parameters& parameters) {
  static constexpr std::array kUnsupported{"shared_memory_region", "sequence_id", "sequence_start", "sequence_end"};
  for (const std::string name : kUnsupported) {
    const auto found = parameters.find(name);
    if (found == parameters.end()) continue;
    const auto& value = found->second;
    // "no sequence" is sent in words by some clients
    const bool none = (value.has_int64_param() && value.int64_param() == 0) || (value.has_uint64_param() && value.uint64_param() == 0) ||
                      (value.has_bool_param() && !value.bool_param()) || (value.has_string_param() && value.string_param().empty());
    if (!none) return found->first;
  }
  const auto found = parameters.find("classification");
  return found != parameters.end() && found->second.int64_param() != 0 ? std::string_view(found->first) : std::string_view();
}

/// Of the request, its inputs and the outputs it wants.
std::string_view unsupported_parameter(const inference::ModelInferRequest& message) {
  if (const auto name = unsupported_parameter(message.parameters()); !name.empty()) return name;
  for (const auto& input : message.inputs()) {
    if (const auto name = unsupported_parameter(input.parameters()); !name.empty()) return name;
  }
  for (const auto& output : message.outputs()) {
    if (const auto name = unsupported_parameter(output.parameters()); !name.empty()) return name;
  }
  return {};
}

tl::expected<std::vector<std::string>, Failure> wanted_outputs(const inference::ModelInferRequest& message, const ModelInfo& model) {
  std::vector<std::string> there, wanted;
  for (const auto& output : model.outputs) there.push_back(output.name);
  for (const auto& output : message.outputs()) {
    if (std::find(there.begin(), there.end(), output.name()) == there.end()) {
      return refuse(Refusal::kInvalid, fmt::format("unknown output '{}'", output.name()),
                    fmt::format("the model gives {}", fmt::join(there, ", ")));
    }
    if (std::find(wanted.begin(), wanted.end(), output.name()) != wanted.end()) {
      return refuse(Refusal::kInvalid, fmt::format("output '{}' is asked for twice", output.name()));
    }
    wanted.push_back(output.name());
  }
  return wanted;
}

/// Names, types and shapes, as they come.
tl::expected<std::vector<TensorInfo>, Failure> described(const inference::ModelInferRequest& message) {
  std::vector<TensorInfo> inputs;
  for (const auto& input : message.inputs()) {
    const auto* const type = find_oip_data_type(input.datatype());
    if (!type) {
      std::vector<std::string_view> known;
      for (const auto& row : data_types()) known.push_back(row.oip);
      return refuse(Refusal::kInvalid, fmt::format("input '{}': unknown datatype '{}'", input.name(), input.datatype()),
                    fmt::format("it is one of {}", fmt::join(known, ", ")));
    }
    inputs.push_back({input.name(), std::string(type->name), {input.shape().begin(), input.shape().end()}, {}});
  }
  return inputs;
}

}  // namespace

tl::expected<InferRequest, Failure> read_request(std::shared_ptr<const inference::ModelInferRequest> message, const ModelInfo& model) {
  if (const auto name = unsupported_parameter(*message); !name.empty()) {
    return refuse(Refusal::kUnsupported, fmt::format("parameter '{}' is not supported", name));
  }
  auto infos = described(*message);
  if (!infos) return tl::unexpected<Failure>(std::move(infos.error()));
  if (auto agree = check_input_shapes(model, *infos); !agree) return refuse(std::move(agree.error()));
  const auto& raw = message->raw_input_contents();
  if (!raw.empty() && raw.size() != message->inputs_size()) {
    return refuse(Refusal::kInvalid,
                  fmt::format("expected {} raw_input_contents, one for each input, got {}", message->inputs_size(), raw.size()));
  }
  InferRequest request;
  request.id = message->id();
  auto outputs = wanted_outputs(*message, model);
  if (!outputs) return tl::unexpected<Failure>(std::move(outputs.error()));
  request.outputs = std::move(*outputs);
  auto timeout = timeout_of(message->parameters());
  if (!timeout) return tl::unexpected<Failure>(std::move(timeout.error()));
  request.timeout = *timeout;
  for (int i = 0; i < message->inputs_size(); ++i) {
    const auto& input = message->inputs(i);
    auto& info = (*infos)[static_cast<std::size_t>(i)];
    Tensor tensor{std::move(info.name), find_data_type(info.type)->type, std::move(info.shape), {}};
    if (raw.empty()) {
      auto bytes = read_contents(tensor, input.contents());
      if (!bytes) return refuse(std::move(bytes.error()));
      tensor.bytes = std::move(*bytes);
    } else if (input.has_contents() && input.contents().ByteSizeLong() != 0) {
      return refuse(Refusal::kInvalid, fmt::format("input '{}' has contents beside raw_input_contents", tensor.name), "send one of them");
    } else {
      tensor.bytes = {message, std::as_bytes(std::span(raw.Get(i)))};
    }
    request.inputs.push_back(std::move(tensor));
  }
  if (auto agree = check_inputs(model, request.inputs); !agree) return refuse(std::move(agree.error()));
  return request;
}

void write_response(const InferResponse& response, inference::ModelInferResponse& message) {
  message.set_model_name(response.model);
  message.set_model_version(response.version);
  message.set_id(response.id);
  message.mutable_outputs()->Reserve(static_cast<int>(response.outputs.size()));
  for (const auto& tensor : response.outputs) {
    auto& output = *message.add_outputs();
    output.set_name(tensor.name);
    output.set_datatype(std::string(row_of(tensor.type).oip));
    output.mutable_shape()->Add(tensor.shape.begin(), tensor.shape.end());
    message.add_raw_output_contents(tensor.bytes.view.data(), tensor.bytes.view.size());
  }
}

void write_metadata(const ModelInfo& model, std::string_view name, std::string_view version, inference::ModelMetadataResponse& message) {
  message.set_name(std::string(name));
  message.add_versions(std::string(version));
  message.set_platform(model.runtime.starts_with("ONNX Runtime") ? "onnxruntime_onnx" : model.runtime);
  const auto write = [](const TensorInfo& tensor, inference::ModelMetadataResponse::TensorMetadata& metadata) {
    const auto* const type = find_data_type(tensor.type);
    metadata.set_name(tensor.name);
    metadata.set_datatype(type ? std::string(type->oip) : tensor.type);
    metadata.mutable_shape()->Add(tensor.shape.begin(), tensor.shape.end());
  };
  for (const auto& input : model.inputs) write(input, *message.add_inputs());
  for (const auto& output : model.outputs) write(output, *message.add_outputs());
}

void write_statistics(const ModelStatistics& statistics, std::string_view name, std::string_view version,
                      inference::ModelStatistics& message) {
  message.set_name(std::string(name));
  message.set_version(std::string(version));
  message.set_last_inference(statistics.last_inference_ms);
  message.set_inference_count(statistics.inference_count);
  message.set_execution_count(statistics.execution_count);
  const auto write = [](std::uint64_t count, std::uint64_t ns, inference::StatisticDuration& duration) {
    duration.set_count(count);
    duration.set_ns(ns);
  };
  auto& times = *message.mutable_inference_stats();
  const std::uint64_t answered = statistics.success_count;
  write(answered, statistics.success_ns, *times.mutable_success());
  write(statistics.fail_count, statistics.fail_ns, *times.mutable_fail());
  write(answered, statistics.queue_ns, *times.mutable_queue());
  write(answered, statistics.compute_input_ns, *times.mutable_compute_input());
  write(answered, statistics.compute_infer_ns, *times.mutable_compute_infer());
  write(answered, statistics.compute_output_ns, *times.mutable_compute_output());
}

double wire_factor(const ModelInfo& model) {
  double factor = 1.0;
  for (const auto& input : model.inputs) {
    const auto* const type = find_data_type(input.type);
    if (type) factor = std::max(factor, longest_on_the_wire(type->type));
  }
  return factor;
}

}  // namespace polythrottle::server

#endif
