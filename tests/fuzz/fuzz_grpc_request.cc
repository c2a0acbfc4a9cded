// An inference request from anywhere, for a model with an input of every data type or with one: it is refused with one line, or what the
// service would get is what the model takes.
#include <cstdint>
#include <cstdlib>

#if POLYTHROTTLE_HAVE_GRPC

#include <google/protobuf/stubs/logging.h>

#include <memory>

#include "open_inference.pb.h"
#include "server/grpc_messages.h"

namespace {

using namespace polythrottle;

ModelInfo of(std::span<const DataTypeRow> rows) {
  ModelInfo model;
  for (const auto& row : rows) {
    const std::string type(row.name);
    model.inputs.push_back({"in_" + type, type, {-1, 2}, {"batch", ""}});
    model.outputs.push_back({"out_" + type, type, {-1, 2}, {"batch", ""}});
  }
  return model;
}

void ask(const std::shared_ptr<const inference::ModelInferRequest>& message, const ModelInfo& model) {
  auto request = server::read_request(message, model);
  if (!request) {
    const auto refusal = request.error().refusal;
    if (refusal != server::Refusal::kInvalid && refusal != server::Refusal::kUnsupported) std::abort();
    if (request.error().error.what.empty()) std::abort();
    return;
  }
  if (request->inputs.size() != model.inputs.size()) std::abort();
  for (std::size_t i = 0; i < model.inputs.size(); ++i) {
    if (request->inputs[i].name != model.inputs[i].name || !check_bytes(request->inputs[i])) std::abort();
  }
  if (request->timeout && !(request->timeout->count() > 0.0)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto quiet = google::protobuf::SetLogHandler(nullptr);
  static const auto models = [] {
    std::vector<ModelInfo> all{of(data_types())};
    for (const auto& row : data_types()) all.push_back(of({&row, 1}));
    return all;
  }();
  (void)quiet;
  const auto message = std::make_shared<inference::ModelInferRequest>();
  if (!message->ParseFromArray(data, static_cast<int>(size))) return 0;
  for (const auto& model : models) ask(message, model);
  return 0;
}

#else

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t*, std::size_t) { return 0; }  // a build without gRPC

#endif
