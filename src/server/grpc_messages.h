#pragma once
// Between the gRPC messages of the Open Inference Protocol and what the service takes and gives. Only where the build has gRPC.

#include <cstddef>
#include <memory>

#include "engine/engine.h"
#include "server/service.h"

namespace inference {
class ModelInferRequest;
class ModelInferResponse;
class ModelMetadataResponse;
class ModelStatistics;
}  // namespace inference

namespace polythrottle::server {

/// What the message asks of this model. Names, types and shapes are checked before elements are looked at; raw contents are not copied: the
/// tensors keep `message` alive. The parameter `timeout` is in microseconds, as Triton's clients send it. Refusals: kInvalid, naming the
/// input or output, what was expected and what came; kUnsupported for what this server has not (shared memory, classification, sequences).
tl::expected<InferRequest, Failure> read_request(std::shared_ptr<const inference::ModelInferRequest> message, const ModelInfo& model);

/// Outputs as raw contents; the client's id with them.
void write_response(const InferResponse& response, inference::ModelInferResponse& message);

void write_metadata(const ModelInfo& model, std::string_view name, std::string_view version, inference::ModelMetadataResponse& message);

void write_statistics(const ModelStatistics& statistics, std::string_view name, std::string_view version,
                      inference::ModelStatistics& message);

/// How many times as large as its tensors a request of this model may be on the wire: numbers in typed contents may be longer than in raw
/// ones (an INT8 of -1 takes ten bytes). At least 1.
double wire_factor(const ModelInfo& model);

}  // namespace polythrottle::server
