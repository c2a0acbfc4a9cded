#include "engine/http_url.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <charconv>
#include <memory>
#include <string_view>

namespace polythrottle {

Result<HttpUrl> HttpUrl::parse(const std::string& text) {
  const auto bad = [&] { return fail(Errc::kInvalid, fmt::format("'{}': not a url", text), "http://HOST:PORT"); };
  constexpr std::string_view kScheme = "http://";
  if (!text.starts_with(kScheme)) return bad();
  std::string rest = text.substr(kScheme.size());
  for (const char c : rest) {
    if (c <= ' ' || c == 0x7f || c == '@' || c == '?' || c == '#') return bad();
  }
  HttpUrl url;
  if (const auto slash = rest.find('/'); slash != std::string::npos) {
    url.prefix = rest.substr(slash);
    rest.resize(slash);
  }
  while (url.prefix.ends_with('/')) url.prefix.pop_back();
  const auto bracket = rest.rfind(']');  // of an IPv6 address
  const auto colon = rest.rfind(':');
  const bool has_port = colon != std::string::npos && (bracket == std::string::npos || colon > bracket);
  const std::string port = has_port ? rest.substr(colon + 1) : "80";
  url.host = has_port ? rest.substr(0, colon) : rest;
  if (url.host.starts_with('[') && url.host.ends_with(']')) url.host = url.host.substr(1, url.host.size() - 2);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), url.port);
  if (url.host.empty() || error != std::errc() || end != port.data() + port.size() || url.port == 0) return bad();
  return url;
}

std::string HttpUrl::authority() const {
  return host.find(':') != std::string::npos ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

Result<std::vector<std::string>> HttpUrl::addresses() const {
  if (host == "localhost") return std::vector<std::string>{"127.0.0.1"};
  std::array<unsigned char, 16> number{};
  if (::inet_pton(AF_INET, host.c_str(), number.data()) == 1 || ::inet_pton(AF_INET6, host.c_str(), number.data()) == 1) {
    return std::vector<std::string>{host};
  }
#if POLYTHROTTLE_STATIC
  return fail(Errc::kNotFound, fmt::format("look up {}: this build cannot", host), "give the address as a number");
#else
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), nullptr, &wanted, &list); error != 0) {
    return fail(Errc::kNotFound, fmt::format("look up {}: {}", host, ::gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  std::vector<std::string> out;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    std::array<char, 64> text{};
    if (::getnameinfo(entry->ai_addr, entry->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) == 0) {
      out.emplace_back(text.data());
    }
  }
  if (out.empty()) return fail(Errc::kNotFound, fmt::format("look up {}: it has no address", host));
  return out;
#endif
}

}  // namespace polythrottle
