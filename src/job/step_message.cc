#include "job/step_message.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace polythrottle::job {
namespace {

using nlohmann::json;

constexpr long long kMostItems = 1'000'000, kMostSteps = 1'000'000'000'000;
constexpr std::size_t kMostPieces = 64;
constexpr double kMostCost = 1e18;

/// What is quoted of a line that is wrong: one line, printable, short.
std::string quoted(std::string_view line) {
  std::string out;
  for (const char c : line.substr(0, 60)) out += c >= 0x20 && c < 0x7f ? c : '?';
  return line.size() > 60 ? out + "..." : out;
}

tl::unexpected<Error> wrong(std::string_view line, std::string_view wanted) {
  return fail(Errc::kCorrupt, fmt::format("step protocol: the job said '{}': {}", quoted(line), wanted),
              "docs/step-protocol.md has the lines");
}

std::optional<long long> whole(const json& value, long long most) {
  // As an unsigned number it may be beyond what a signed one holds.
  if (!value.is_number_integer() ||
      (value.is_number_unsigned() && value.get<unsigned long long>() > static_cast<unsigned long long>(most))) {
    return std::nullopt;
  }
  const auto number = value.get<long long>();
  if (number < 1 || number > most) return std::nullopt;
  return number;
}

Result<int> items_of(std::string_view line, const json& value) {
  const auto number = whole(value, kMostItems);
  if (!number) return wrong(line, fmt::format("items are a whole number from 1 to {}", kMostItems));
  return static_cast<int>(*number);
}

Status read_pieces(std::string_view line, const json& value, StepHello& hello) {
  constexpr std::string_view kWanted =
      "\"pieces\" are at most 64 whole numbers, descending, \"items\" first, each a divisor of it and a multiple of the last";
  if (!value.is_array() || value.empty() || value.size() > kMostPieces) return wrong(line, kWanted);
  hello.pieces.clear();
  for (const json& entry : value) {
    const auto piece = whole(entry, kMostItems);
    if (!piece || hello.items % *piece != 0) return wrong(line, kWanted);
    const bool fits = hello.pieces.empty() ? *piece == hello.items : *piece < hello.pieces.back();
    if (!fits) return wrong(line, kWanted);
    hello.pieces.push_back(static_cast<int>(*piece));
  }
  for (const int piece : hello.pieces) {
    if (piece % hello.pieces.back() != 0) return wrong(line, kWanted);
  }
  return {};
}

Status read_cost(std::string_view line, const json& object, StepHello& hello) {
  interference::WorkCost cost;
  int found = 0;
  const std::pair<const char*, double*> parts[] = {
      {"macs", &cost.macs}, {"weights", &cost.weights}, {"activations", &cost.activations}, {"kernels", &cost.kernels}};
  for (const auto& [name, target] : parts) {
    const auto entry = object.find(name);
    if (entry == object.end()) continue;
    const double number = entry->is_number() ? entry->get<double>() : -1.0;
    if (!(number >= 0.0 && number <= kMostCost)) return wrong(line, fmt::format("\"{}\" is a number from 0 to {:g}", name, kMostCost));
    *target = number;
    ++found;
  }
  if (found != 0 && found != 4) return wrong(line, "of \"macs\", \"weights\", \"activations\" and \"kernels\" it gives all or none");
  if (found == 4) hello.cost = cost;
  return {};
}

Result<StepMessage> read_hello(std::string_view line, const json& object) {
  const auto version = whole(object["protocol"], 1'000'000);
  if (!version) return wrong(line, "\"protocol\" is a whole number");
  if (*version != kStepProtocol) {
    return fail(Errc::kUnsupported, fmt::format("step protocol: the job speaks version {}, this program {}", *version, kStepProtocol),
                "take polythrottle/step.hpp or polythrottle_step.py of this version");
  }
  StepHello hello;
  const auto items = object.find("items");
  if (items == object.end()) return wrong(line, "\"items\" is missing");
  TRY(hello.items, items_of(line, *items));
  hello.pieces = {hello.items};
  if (const auto pieces = object.find("pieces"); pieces != object.end()) TRY_STATUS(read_pieces(line, *pieces, hello));
  if (const auto steps = object.find("steps"); steps != object.end()) {
    const auto number = whole(*steps, kMostSteps);
    if (!number) return wrong(line, fmt::format("\"steps\" is a whole number from 1 to {}", kMostSteps));
    hello.steps = static_cast<long>(*number);
  }
  TRY_STATUS(read_cost(line, object, hello));
  return hello;
}

}  // namespace

Result<StepMessage> parse_step_message(std::string_view line) {
  if (line.size() > kLongestStepLine) return wrong(line, fmt::format("a line has at most {} bytes", kLongestStepLine));
  json object = json::parse(line, nullptr, false);
  if (!object.is_object()) return wrong(line, "a JSON object is wanted");
  if (object.contains("protocol")) return read_hello(line, object);
  if (const auto want = object.find("want"); want != object.end()) {
    TRY(const int items, items_of(line, *want));
    return StepWant{items};
  }
  if (const auto done = object.find("done"); done != object.end()) {
    TRY(const int items, items_of(line, *done));
    return StepDone{items};
  }
  if (object.contains("end")) return StepEnd{};
  return wrong(line, "none of \"protocol\", \"want\", \"done\" and \"end\" is in it");
}

std::string step_permit(int items) { return fmt::format("{{\"run\":{}}}\n", items); }

std::string step_refusal(std::string_view why) { return json{{"error", why}}.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"; }

}  // namespace polythrottle::job
