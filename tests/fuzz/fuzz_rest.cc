// The body of an inference request: first byte the types of the model's inputs, second whether binary data follow the JSON, third and
// fourth where. One complaint, or tensors that the model takes and that come back as the same bytes.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "server/fake_service.h"
#include "server/rest_infer.h"

namespace {

using namespace polythrottle;
using namespace polythrottle::server;

/// The echo of what was asked.
InferResponse echo(const ModelInfo& model, const InferRequest& request) {
  InferResponse response{"fake", "1", request.id, request.inputs};
  for (std::size_t i = 0; i < response.outputs.size(); ++i) response.outputs[i].name = model.outputs[i].name;
  return response;
}

bool same_bytes(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Tensor& x, const Tensor& y) { return x.shape == y.shape && std::ranges::equal(x.bytes.view, y.bytes.view); });
}

/// An answer in JSON, asked again as a request.
std::string asked_again(std::string text) {
  for (std::size_t at = 0; (at = text.find("\"name\":\"b", at)) != std::string::npos; ++at) text[at + 8] = 'a';
  const std::size_t at = text.find("\"outputs\"");
  return text.replace(at, 9, "\"inputs\"");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  static const std::vector<std::vector<std::string>> kTypes{{"FP32"},           {"FP64", "BYTES"},
                                                            {"INT8", "UINT64"}, {"BOOL", "INT64"},
                                                            {"FP16", "BF16"},   {"UINT8", "UINT16", "INT16", "UINT32", "INT32"}};
  const ModelInfo model = echo_model(kTypes[data[0] % kTypes.size()]);
  const auto body = std::make_shared<const std::string>(reinterpret_cast<const char*>(data + 4), size - 4);
  const std::size_t json_size = static_cast<std::size_t>(data[2]) << 8 | data[3];
  const auto parsed = parse_infer(model, body, data[1] % 2 == 1 ? std::optional(json_size) : std::nullopt);
  if (!parsed) {
    if (parsed.error().error.what.empty()) std::abort();
    return 0;
  }
  std::vector<Tensor> inputs = parsed->request.inputs;
  if (!check_inputs(model, inputs)) std::abort();
  if (parsed->request.timeout && !(parsed->request.timeout->count() > 0.0)) std::abort();
  const auto answer = render_infer(echo(model, parsed->request), {});
  if (!answer) return 0;  // an infinity, or bytes that are no text
  const auto again = parse_infer(model, std::make_shared<const std::string>(asked_again(answer->text)), std::nullopt);
  if (!again || !same_bytes(again->request.inputs, parsed->request.inputs)) std::abort();
  return 0;
}
