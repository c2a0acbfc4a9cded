#include <fmt/format.h>

#include <iterator>

#include "server/rest.h"

namespace polythrottle::server {

std::string route_metrics_text(const std::vector<RouteStatistics>& routes) {
  if (routes.empty()) return "";
  std::string out =
      "# HELP polythrottle_http_requests_total HTTP requests answered, by route (\"\": none) and status.\n"
      "# TYPE polythrottle_http_requests_total counter\n";
  const auto to = std::back_inserter(out);
  for (const auto& route : routes) {
    for (const auto& [status, count] : route.answers) {
      fmt::format_to(to, "polythrottle_http_requests_total{{route=\"{}\",status=\"{}\"}} {}\n", route.route, status, count);
    }
  }
  out +=
      "# HELP polythrottle_http_request_seconds From a request's last byte to its answer, by route.\n"
      "# TYPE polythrottle_http_request_seconds histogram\n";
  for (const auto& route : routes) {
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < route.seconds.bounds.size(); ++i) {
      below += route.seconds.counts[i];
      fmt::format_to(to, "polythrottle_http_request_seconds_bucket{{route=\"{}\",le=\"{}\"}} {}\n", route.route, route.seconds.bounds[i],
                     below);
    }
    fmt::format_to(to, "polythrottle_http_request_seconds_bucket{{route=\"{}\",le=\"+Inf\"}} {}\n", route.route, route.seconds.total);
    fmt::format_to(to, "polythrottle_http_request_seconds_sum{{route=\"{}\"}} {}\n", route.route, route.seconds.sum);
    fmt::format_to(to, "polythrottle_http_request_seconds_count{{route=\"{}\"}} {}\n", route.route, route.seconds.total);
  }
  return out;
}

}  // namespace polythrottle::server
