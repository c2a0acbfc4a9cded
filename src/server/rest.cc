#include "server/rest.h"

#include <boost/asio/ip/address.hpp>
#include <chrono>
#include <exception>

#include "server/rest_route.h"
#include "server/workers.h"

namespace polythrottle::server {
namespace {

constexpr std::size_t kSmallBody = 1 << 20;
/// Bytes of JSON per byte of a tensor, at most: a BOOL is one byte and "false, ", an FP64 eight and about twenty-five.
constexpr std::size_t kJsonFactor = 8;
constexpr int kWorkers = 2;
constexpr std::size_t kMostWaiting = 64;

/// An address, or this machine's own name for itself; with or without a port.
bool is_address(std::string_view host) {
  if (host.starts_with('['))
    host = host.substr(1, host.find(']') - 1);
  else
    host = host.substr(0, host.find(':'));
  if (host == "localhost") return true;
  boost::system::error_code error;
  boost::asio::ip::make_address(std::string(host), error);
  return !error;
}

std::size_t body_limit(const Service& service, const HttpRequest& head, BodyLimit limit) {
  if (limit == BodyLimit::kNone) return 0;
  if (limit == BodyLimit::kSmall) return kSmallBody;
  const std::size_t tensors = service.largest_request();
  return kSmallBody + (head.header("inference-header-content-length").empty() ? kJsonFactor : 1 + kJsonFactor) * tensors;
}

}  // namespace

Rest::Rest(Service& service, RestOptions options)
    : service_(service), options_(std::move(options)), workers_(std::make_unique<Workers>(kWorkers, kMostWaiting)) {}

Rest::~Rest() = default;

std::optional<HttpResponse> Rest::refuse(const HttpRequest& head, const RestRoute& route) const {
  const std::string_view host = head.header("host"), origin = head.header("origin");
  if (!options_.token && !options_.any_host && !head.over_unix_socket && !host.empty() && !is_address(host)) {
    return error_response(Refusal::kInvalid, "'" + std::string(host) + "' is no address of this server",
                          "ask by address or as localhost, or start the server with a token");
  }
  // A page from elsewhere may make a browser send this, and must not reach jobs or models.
  if (route.method != "GET" && !origin.empty() && origin.substr(std::min(origin.size(), origin.find("://") + 3)) != host) {
    return error_response(Refusal::kInvalid, "the request comes from a page of another server ('" + std::string(origin) + "')");
  }
  if (options_.token && !route.open && !options_.token->admits(head.header("authorization"))) {
    return error_response(Refusal::kForbidden, head.header("authorization").empty() ? "this server wants a token" : "the token is wrong",
                          "send the header 'Authorization: Bearer TOKEN'");
  }
  return std::nullopt;
}

tl::expected<std::size_t, HttpResponse> Rest::admit(const HttpRequest& head) {
  const auto reject = [&](const RestRoute* route, HttpResponse response) {
    count(route, response.status, Seconds(0));
    return tl::unexpected(std::move(response));
  };
  const RestMatch match = find_route(head.method, head.target);
  if (match.route == nullptr) {
    if (!match.other_method) return reject(nullptr, error_response(Refusal::kNotFound, "there is no " + head.target));
    HttpResponse response = error_response(Refusal::kInvalid, head.target + " does not take " + head.method);
    response.status = 405;
    return reject(nullptr, std::move(response));
  }
  if (auto refused = refuse(head, *match.route)) return reject(match.route, std::move(*refused));
  return body_limit(service_, head, match.route->body);
}

void Rest::handle(HttpRequest request, HttpReply reply) {
  const auto began = std::chrono::steady_clock::now();
  RestMatch match = find_route(request.method, request.target);
  const RestRoute* const route = match.route;
  auto answer = [this, route, began, reply](std::function<HttpResponse()> make) {
    reply.make([this, route, began, make = std::move(make)] {
      HttpResponse response = make();
      count(route, response.status, std::chrono::steady_clock::now() - began);
      return response;
    });
  };
  RestCall call{service_, *this, std::move(request), std::move(match.words), std::move(answer)};
  const auto run = [](const RestRoute& to, RestCall c) {
    if (to.start != nullptr) return to.start(std::move(c));
    HttpResponse response = to.run(c);
    c.answer([held = std::move(response)] { return held; });
  };
  if (!route->blocks) return run(*route, std::move(call));
  const bool taken = workers_->post([run, route, call] {
    try {
      run(*route, call);
    } catch (const std::exception& e) {
      call.answer([what = std::string(e.what())] { return error_response(Refusal::kInternal, what); });
    }
  });
  if (!taken)
    call.answer([] { return error_response(Refusal::kDropped, "too many requests of this kind wait already", "ask again later"); });
}

HttpResponse Rest::broken(int status, std::string_view why) {
  count(nullptr, status, Seconds(0));
  HttpResponse response = error_response(Refusal::kInternal, std::string(why));
  response.status = status;
  return response;
}

void Rest::count(const RestRoute* route, int status, Seconds took) {
  const std::lock_guard lock(mutex_);
  auto [at, added] = statistics_.try_emplace(route);
  if (added) {
    if (route != nullptr) at->second.route = std::string(route->method) + " " + std::string(route->path);
    at->second.seconds = latency_histogram();
  }
  ++at->second.answers[status];
  at->second.seconds.add(took.count());
}

std::vector<RouteStatistics> Rest::statistics() const {
  const std::lock_guard lock(mutex_);
  std::vector<RouteStatistics> out;
  for (const auto& [route, statistics] : statistics_) out.push_back(statistics);
  return out;
}

}  // namespace polythrottle::server
