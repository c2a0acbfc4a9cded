// Health, metadata, inference and statistics: https://github.com/kserve/open-inference-protocol, and the statistics extension of Triton.
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>

#include "server/rest_infer.h"
#include "server/rest_route.h"

namespace polythrottle::server {
namespace {

using nlohmann::json;

std::string_view name_of(const RestCall& call) { return call.words[0]; }
std::string_view version_of(const RestCall& call) { return call.words.size() > 1 ? std::string_view(call.words[1]) : std::string_view(); }

/// Why there is no such model to ask.
HttpResponse no_model(const RestCall& call) {
  std::string loaded;
  for (const ModelState& state : call.service.index()) {
    if (state.name == name_of(call) && state.state != "READY" && version_of(call).empty()) {
      return error_response(Refusal::kNotReady,
                            "model '" + state.name + "' is not ready: " + (state.reason.empty() ? state.state : state.reason));
    }
    if (state.state == "READY") loaded += (loaded.empty() ? "" : ", ") + state.name + " version " + state.version;
  }
  const std::string version = version_of(call).empty() ? "" : " version '" + std::string(version_of(call)) + "'";
  return error_response(Refusal::kNotFound, "there is no model '" + std::string(name_of(call)) + "'" + version,
                        loaded.empty() ? "none is loaded" : "loaded: " + loaded);
}

json tensors(const std::vector<TensorInfo>& infos) {
  json out = json::array();
  for (const TensorInfo& info : infos) {
    const auto* const row = find_data_type(info.type);
    out.push_back({{"name", info.name}, {"datatype", row != nullptr ? row->oip : std::string_view(info.type)}, {"shape", info.shape}});
  }
  return out;
}

HttpResponse server_metadata(RestCall& call) {
  const ServerInfo info = call.service.info();
  return json_response({{"name", info.name}, {"version", info.version}, {"extensions", info.extensions}});
}

HttpResponse live(RestCall&) { return json_response({{"live", true}}); }

HttpResponse ready(RestCall& call) {
  const bool is = call.service.ready();
  return json_response({{"ready", is}}, is ? 200 : status_of(Refusal::kNotReady).http);
}

HttpResponse model_metadata(RestCall& call) {
  const auto model = call.service.model(name_of(call), version_of(call));
  if (model == nullptr) return no_model(call);
  const bool onnx = model->runtime.starts_with("ONNX Runtime");
  return json_response({{"name", name_of(call)},
                        {"versions", {call.service.model_version(name_of(call))}},
                        {"platform", onnx ? "onnxruntime_onnx" : model->runtime},
                        {"inputs", tensors(model->inputs)},
                        {"outputs", tensors(model->outputs)}});
}

HttpResponse model_ready(RestCall& call) {
  if (call.service.model(name_of(call), version_of(call)) == nullptr) return no_model(call);
  const bool is = call.service.ready();
  return json_response({{"name", name_of(call)}, {"ready", is}}, is ? 200 : status_of(Refusal::kNotReady).http);
}

tl::expected<std::optional<std::size_t>, Failure> json_size(const HttpRequest& request) {
  const std::string_view text = request.header("inference-header-content-length");
  if (text.empty()) return std::nullopt;
  std::size_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error == std::errc() && end == text.data() + text.size()) return size;
  return tl::unexpected(Failure{
      Refusal::kInvalid, Error{Errc::kInvalid, "Inference-Header-Content-Length: '" + std::string(text) + "' is no number of bytes", ""}});
}

void infer(RestCall call) {
  const auto refuse = [&](const Failure& failure) { call.answer([failure] { return error_response(failure); }); };
  const auto model = call.service.model(name_of(call), version_of(call));
  if (model == nullptr) return call.answer([response = no_model(call)] { return response; });
  const std::string_view encoding = call.request.header("content-encoding");
  if (!encoding.empty() && encoding != "identity") {
    return refuse(
        {Refusal::kUnsupported, Error{Errc::kUnsupported, "Content-Encoding " + std::string(encoding), "send the body as it is"}});
  }
  const auto size = json_size(call.request);
  if (!size) return refuse(size.error());
  auto parsed = parse_infer(*model, std::make_shared<const std::string>(std::move(call.request.body)), *size);
  if (!parsed) return refuse(parsed.error());
  const auto form = std::make_shared<RestInferRequest>(std::move(*parsed));
  call.service.infer(name_of(call), version_of(call), std::move(form->request), [answer = call.answer, form](InferResult result) {
    answer([form, held = std::move(result)] {
      if (!held) return error_response(held.error());
      auto response = render_infer(*held, *form);
      return response ? std::move(*response) : error_response(response.error());
    });
  });
}

json statistics_of(const Service& service, const std::string& name, const std::string& version) {
  const ModelStatistics s = service.statistics(name);
  const auto duration = [](std::uint64_t count, std::uint64_t ns) { return json{{"count", count}, {"ns", ns}}; };
  return {{"name", name},
          {"version", version},
          {"last_inference", s.last_inference_ms},
          {"inference_count", s.inference_count},
          {"execution_count", s.execution_count},
          {"inference_stats",
           {{"success", duration(s.success_count, s.success_ns)},
            {"fail", duration(s.fail_count, s.fail_ns)},
            {"queue", duration(s.success_count, s.queue_ns)},
            {"compute_input", duration(s.success_count, s.compute_input_ns)},
            {"compute_infer", duration(s.success_count, s.compute_infer_ns)},
            {"compute_output", duration(s.success_count, s.compute_output_ns)}}},
          {"batch_stats", json::array()}};
}

HttpResponse model_statistics(RestCall& call) {
  if (call.service.model(name_of(call), version_of(call)) == nullptr) return no_model(call);
  const std::string name(name_of(call));
  return json_response({{"model_stats", {statistics_of(call.service, name, call.service.model_version(name))}}});
}

HttpResponse all_statistics(RestCall& call) {
  json all = json::array();
  for (const ModelState& state : call.service.index()) {
    if (state.state == "READY") all.push_back(statistics_of(call.service, state.name, state.version));
  }
  return json_response({{"model_stats", std::move(all)}});
}

constexpr RestRoute kRoutes[] = {
    {.method = "POST", .path = "v2/models/{}/infer", .body = BodyLimit::kTensors, .start = infer},
    {.method = "POST", .path = "v2/models/{}/versions/{}/infer", .body = BodyLimit::kTensors, .start = infer},
    {.method = "GET", .path = "v2", .run = server_metadata},
    {.method = "GET", .path = "v2/health/live", .open = true, .run = live},
    {.method = "GET", .path = "v2/health/ready", .open = true, .run = ready},
    {.method = "GET", .path = "v2/models/stats", .run = all_statistics},
    {.method = "GET", .path = "v2/models/{}", .run = model_metadata},
    {.method = "GET", .path = "v2/models/{}/versions/{}", .run = model_metadata},
    {.method = "GET", .path = "v2/models/{}/ready", .run = model_ready},
    {.method = "GET", .path = "v2/models/{}/versions/{}/ready", .run = model_ready},
    {.method = "GET", .path = "v2/models/{}/stats", .run = model_statistics},
    {.method = "GET", .path = "v2/models/{}/versions/{}/stats", .run = model_statistics},
};

}  // namespace

std::span<const RestRoute> model_routes() { return kRoutes; }

}  // namespace polythrottle::server
