#include <algorithm>
#include <nlohmann/json.hpp>

#include "server/rest_elements.h"
#include "server/rest_infer.h"

namespace polythrottle::server {
namespace {

std::string quoted(const std::string& text) { return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

bool wanted_as_binary(const RestInferRequest& request, const std::string& output) {
  const auto in = [&](const std::vector<std::string>& some) { return std::find(some.begin(), some.end(), output) != some.end(); };
  return in(request.binary) || (request.binary_by_default && !in(request.json));
}

}  // namespace

tl::expected<HttpResponse, Failure> render_infer(const InferResponse& response, const RestInferRequest& request) {
  HttpResponse out;
  std::string& text = out.text;
  text = "{\"model_name\":" + quoted(response.model) + ",\"model_version\":" + quoted(response.version);
  if (!response.id.empty()) text += ",\"id\":" + quoted(response.id);
  text += ",\"outputs\":[";
  for (std::size_t i = 0; i < response.outputs.size(); ++i) {
    const Tensor& tensor = response.outputs[i];
    if (i > 0) text += ',';
    text += "{\"name\":" + quoted(tensor.name) + ",\"datatype\":\"" + std::string(row_of(tensor.type).oip) + "\",\"shape\":[";
    for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis) text += (axis > 0 ? "," : "") + std::to_string(tensor.shape[axis]);
    text += "],";
    if (wanted_as_binary(request, tensor.name)) {
      text += "\"parameters\":{\"binary_data_size\":" + std::to_string(tensor.bytes.view.size()) + "}}";
      out.tails.push_back(tensor.bytes);
    } else {
      text += "\"data\":";
      if (const auto done = append_elements(tensor, text); !done)
        return tl::unexpected(Failure{refusal_of(done.error().code), done.error()});
      text += '}';
    }
  }
  text += "]}";
  if (!out.tails.empty()) {
    out.type = "application/octet-stream";
    out.headers.emplace_back("Inference-Header-Content-Length", std::to_string(text.size()));
  }
  return out;
}

}  // namespace polythrottle::server
