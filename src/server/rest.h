#pragma once
// The REST front end: the Open Inference Protocol v2 with Triton's extensions for binary tensor data, statistics and the model repository,
// the jobs of /v1/jobs, and what people and Prometheus look at.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http.h"
#include "server/service.h"
#include "server/token.h"

namespace polythrottle::server {

class Workers;
struct RestRoute;

struct RestOptions {
  std::optional<Token> token;  ///< wanted for all but health and the page itself, which holds no data
  /// Take any name in Host. Otherwise, without a token, only addresses and "localhost": a web page whose name was made to lead here cannot
  /// use a browser on this machine to ask us (DNS rebinding).
  bool any_host = false;
};

/// How often one route was answered, and how long that took.
struct RouteStatistics {
  std::string route;                     ///< "GET v2/models/{}"; "" for requests that met none
  std::map<int, std::uint64_t> answers;  ///< by status
  Histogram seconds;                     ///< from the request's last byte to its answer
};

/// Safe from several threads. Must outlive the HttpServer that it answers for.
class Rest final : public HttpHandler {
 public:
  /// `service` must outlive it.
  Rest(Service& service, RestOptions options);
  ~Rest() override;

  tl::expected<std::size_t, HttpResponse> admit(const HttpRequest& head) override;
  void handle(HttpRequest request, HttpReply reply) override;
  HttpResponse broken(int status, std::string_view why) override;
  /// Routes that were asked for.
  std::vector<RouteStatistics> statistics() const;

 private:
  void count(const RestRoute* route, int status, Seconds took);
  std::optional<HttpResponse> refuse(const HttpRequest& head, const RestRoute& route) const;

  Service& service_;
  const RestOptions options_;
  mutable std::mutex mutex_;
  std::map<const RestRoute*, RouteStatistics> statistics_;
  std::unique_ptr<Workers> workers_;  // last: their calls use the rest
};

/// The same for Prometheus, in its text format 0.0.4.
std::string route_metrics_text(const std::vector<RouteStatistics>& routes);

}  // namespace polythrottle::server
