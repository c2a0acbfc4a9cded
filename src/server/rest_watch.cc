// What Prometheus and people look at. The page itself holds no data and needs no token; what it asks for does.
#include "server/metrics.h"
#include "server/page.h"
#include "server/rest.h"
#include "server/rest_route.h"

namespace polythrottle::server {
namespace {

HttpResponse no_snapshot() { return error_response(Refusal::kNotReady, "nothing has been measured yet", "ask again in a second"); }

HttpResponse metrics(RestCall& call) {
  const auto snapshot = call.service.snapshot();
  if (snapshot == nullptr) return no_snapshot();
  return {.type = "text/plain; version=0.0.4", .text = metrics_text(*snapshot) + route_metrics_text(call.rest.statistics())};
}

HttpResponse page(RestCall&) {
  return {.type = "text/html; charset=utf-8", .headers = {{"X-Frame-Options", "DENY"}}, .text = std::string(page_html())};
}

HttpResponse snapshot_of(RestCall& call) {
  const auto snapshot = call.service.snapshot();
  if (snapshot == nullptr) return no_snapshot();
  return {.headers = {{"Cache-Control", "no-store"}}, .text = snapshot_json(*snapshot)};
}

constexpr RestRoute kRoutes[] = {
    {.method = "GET", .path = "metrics", .run = metrics},
    {.method = "GET", .path = "", .open = true, .run = page},
    {.method = "GET", .path = "v1/snapshot", .run = snapshot_of},
};

}  // namespace

std::span<const RestRoute> watch_routes() { return kRoutes; }

}  // namespace polythrottle::server
