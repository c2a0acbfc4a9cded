#include "server/rest_route.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace polythrottle::server {
namespace {

/// Percent-decoding (RFC 3986); an escape that is none stays as it is.
std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const char* const digits = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() && std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::vector<std::string_view> split(std::string_view text, char by) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(by), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

/// Word by word along the pattern, "{}" for any one that is not empty.
bool matches(std::string_view pattern, const std::vector<std::string_view>& words) {
  std::size_t i = 0;
  while (!pattern.empty()) {
    const std::size_t end = std::min(pattern.find('/'), pattern.size());
    const std::string_view wanted = pattern.substr(0, end);
    if (i == words.size() || (wanted == "{}" ? words[i].empty() : wanted != words[i])) return false;
    ++i;
    pattern.remove_prefix(std::min(end + 1, pattern.size()));
  }
  return i == words.size();
}

std::vector<std::string> taken(std::string_view pattern, const std::vector<std::string_view>& words) {
  std::vector<std::string> out;
  const auto wanted = split(pattern, '/');
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == "{}") out.push_back(decoded(words[i]));
  }
  return out;
}

}  // namespace

RestMatch find_route(std::string_view method, std::string_view target) {
  if (method == "HEAD") method = "GET";
  const auto words = split(target.substr(std::min<std::size_t>(1, target.size()), target.find('?') - 1), '/');
  RestMatch match;
  for (const auto routes : {model_routes(), repository_routes(), job_routes(), watch_routes()}) {
    for (const RestRoute& route : routes) {
      if (!matches(route.path, words)) continue;
      if (route.method != method) {
        match.other_method = true;
        continue;
      }
      return {&route, false, taken(route.path, words)};
    }
  }
  return match;
}

std::optional<std::string> query_value(std::string_view target, std::string_view key) {
  const std::size_t mark = target.find('?');
  if (mark == std::string_view::npos) return std::nullopt;
  for (const std::string_view pair : split(target.substr(mark + 1), '&')) {
    const std::size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) == key) return decoded(pair.substr(std::min(equals + 1, pair.size())));
  }
  return std::nullopt;
}

HttpResponse json_response(const nlohmann::json& body, int status) {
  return {.status = status, .text = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
}

HttpResponse error_response(const Failure& failure) {
  HttpResponse out = json_response({{"error", failure.error.text()}}, status_of(failure.refusal).http);
  if (failure.refusal == Refusal::kForbidden) out.headers.emplace_back("WWW-Authenticate", "Bearer");
  return out;
}

HttpResponse error_response(Refusal refusal, std::string what, std::string hint) {
  return error_response(Failure{refusal, Error{Errc::kInvalid, std::move(what), std::move(hint)}});
}

tl::expected<nlohmann::json, Failure> json_body(const RestCall& call) {
  if (call.request.body.empty()) return nlohmann::json::object();
  // Depth and size are bounded by the body's limit; objects take memory in proportion to it.
  auto parsed = nlohmann::json::parse(call.request.body, nullptr, false);
  if (!parsed.is_object()) return tl::unexpected(Failure{Refusal::kInvalid, Error{Errc::kInvalid, "the body is no JSON object", ""}});
  return parsed;
}

}  // namespace polythrottle::server
