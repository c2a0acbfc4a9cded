// The model repository extension of Triton: which models there are, loading and unloading.
#include <nlohmann/json.hpp>

#include "server/rest_route.h"

namespace polythrottle::server {
namespace {

using nlohmann::json;

HttpResponse index(RestCall& call) {
  const auto body = json_body(call);
  if (!body) return error_response(body.error());
  const json ready = body->value("ready", json(false));
  if (!ready.is_boolean()) return error_response(Refusal::kInvalid, "'ready' must be true or false");
  json out = json::array();
  for (const ModelState& state : call.service.index()) {
    if (ready.get<bool>() && state.state != "READY") continue;
    out.push_back({{"name", state.name}, {"version", state.version}, {"state", state.state}, {"reason", state.reason}});
  }
  return json_response(out);
}

HttpResponse load(RestCall& call) {
  const auto body = json_body(call);
  if (!body) return error_response(body.error());
  const json parameters = body->value("parameters", json::object());
  if (!parameters.is_object()) return error_response(Refusal::kInvalid, "'parameters' must be an object");
  std::string path;
  for (const auto& [key, value] : parameters.items()) {
    if (key != "path") return error_response(Refusal::kUnsupported, "load: unknown parameter '" + key + "'", "this server knows 'path'");
    if (!value.is_string()) return error_response(Refusal::kInvalid, "load: 'path' must be a string");
    path = value.get<std::string>();
  }
  const auto done = call.service.load(call.words[0], path);
  return done ? json_response(json::object()) : error_response(done.error());
}

HttpResponse unload(RestCall& call) {
  const auto body = json_body(call);
  if (!body) return error_response(body.error());
  const auto done = call.service.unload(call.words[0]);
  return done ? json_response(json::object()) : error_response(done.error());
}

constexpr RestRoute kRoutes[] = {
    {.method = "POST", .path = "v2/repository/index", .body = BodyLimit::kSmall, .run = index},
    {.method = "POST", .path = "v2/repository/models/{}/load", .body = BodyLimit::kSmall, .blocks = true, .run = load},
    {.method = "POST", .path = "v2/repository/models/{}/unload", .body = BodyLimit::kSmall, .blocks = true, .run = unload},
};

}  // namespace

std::span<const RestRoute> repository_routes() { return kRoutes; }

}  // namespace polythrottle::server
