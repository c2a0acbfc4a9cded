#pragma once
// Inside the REST front end: what a route is, and what it is given.

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/http.h"
#include "server/service.h"

namespace polythrottle::server {

class Rest;

/// One request on its way to the answer.
struct RestCall {
  Service& service;
  const Rest& rest;
  HttpRequest request;
  std::vector<std::string> words;  ///< what stands for each {} of the path, decoded
  /// Answers with what the function makes, on a thread of the HTTP server; once.
  std::function<void(std::function<HttpResponse()>)> answer;
};

enum class BodyLimit { kNone, kSmall, kTensors };

struct RestRoute {
  std::string_view method;  ///< GET stands for HEAD, too
  std::string_view path;    ///< "v2/models/{}/infer"
  BodyLimit body = BodyLimit::kNone;
  bool open = false;                         ///< without a token
  bool blocks = false;                       ///< may wait (files, engines, processes): run on a worker
  HttpResponse (*run)(RestCall&) = nullptr;  ///< answers at once, or ...
  void (*start)(RestCall) = nullptr;         ///< ... later
};

std::span<const RestRoute> model_routes();
std::span<const RestRoute> repository_routes();
std::span<const RestRoute> job_routes();
std::span<const RestRoute> watch_routes();

struct RestMatch {
  const RestRoute* route = nullptr;  ///< nullptr: nothing is there
  bool other_method = false;         ///< the path is there, the method is not
  std::vector<std::string> words;
};
RestMatch find_route(std::string_view method, std::string_view target);
/// The value of `key` in the target's query; nullopt where there is none.
std::optional<std::string> query_value(std::string_view target, std::string_view key);

HttpResponse json_response(const nlohmann::json& body, int status = 200);
/// {"error": "what; hint"} with the status of the refusal.
HttpResponse error_response(const Failure& failure);
HttpResponse error_response(Refusal refusal, std::string what, std::string hint = {});
/// The body as a JSON object; an empty body is {}.
tl::expected<nlohmann::json, Failure> json_body(const RestCall& call);

}  // namespace polythrottle::server
