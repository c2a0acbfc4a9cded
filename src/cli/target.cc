#include "cli/target.h"

#include <fmt/format.h>

#include "cli/cli.h"
#include "engine/kserve.h"

namespace polythrottle {
namespace {

constexpr Seconds kPatience{10};           ///< for the metadata
constexpr std::size_t kVariants = 8;       ///< so that a server that remembers answers gains nothing
constexpr std::size_t kMemory = 64 << 20;  ///< bytes, for all of them

}  // namespace

Result<Target> open_target(const TargetFlags& flags) {
  if (flags.target.empty()) return fail(Errc::kInvalid, "--target is missing", "the server, as in --target http://127.0.0.1:8000");
  if (flags.model.empty()) return fail(Errc::kInvalid, "--model is missing", "its name on the server");
  for (const char c : flags.model) {
    if (c <= ' ' || c == 0x7f || c == '/' || c == '?' || c == '#' || c == '%') {
      return fail(Errc::kInvalid, fmt::format("--model '{}': no name of a model on a server", flags.model));
    }
  }
  Target out;
  auto server = HttpUrl::parse(flags.target);
  if (!server) {
    return fail(server.error().code, "--target " + server.error().what,
                flags.target.starts_with("https:") ? "https is not spoken here: forward a local port to it" : server.error().hint);
  }
  out.server = std::move(*server);
  OipPayloadOptions options{.batch = flags.batch, .as_json = flags.as_json, .seed = flags.seed};
  for (const auto& text : flags.inputs) {
    TRY(const auto pairs, parse_pairs(text));
    for (const auto& [name, value] : pairs) {
      TRY(options.constants[name], to_number(value, "--input " + name));
    }
  }
  for (const auto& text : flags.dimensions) {
    TRY(const auto pairs, parse_pairs(text));
    for (const auto& [name, value] : pairs) {
      TRY(const double number, to_number(value, "--dim " + name));
      if (!(number >= 1.0 && number <= 1e9) || number != static_cast<double>(static_cast<std::int64_t>(number))) {
        return fail(Errc::kInvalid, fmt::format("--dim {}={}: a size is a whole number from 1", name, value));
      }
      options.sizes[name] = static_cast<std::int64_t>(number);
    }
  }
  // Whether the flags fit is only known once the server has said what it has, and that it may say no to.
  const auto opened = open_kserve({.url = flags.target, .model = flags.model, .timeout = kPatience});
  if (!opened) return tl::unexpected<Error>(opened.error());
  out.model = (*opened)->model();
  for (std::size_t i = 0; i < kVariants; ++i) {
    TRY(auto payload, oip_payload(out.model, options));
    ++options.seed;
    out.payloads.push_back(std::move(payload));
    if (out.payloads.front().body.size() * (i + 2) > kMemory) break;
  }
  const auto& first = out.payloads.front();
  out.payload_text = fmt::format("{} of {} bytes each", first.head ? "binary tensors" : "JSON", first.body.size());
  return out;
}

}  // namespace polythrottle
