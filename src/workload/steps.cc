#include "workload/steps.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "host/launcher.h"
#include "trial/json.h"
#include "workload/reading.h"

namespace polythrottle {
namespace {

constexpr double kLongestLatency = 1e6, kMostInferences = 1e15;
constexpr int kLargestNumber = 1'000'000'000;

tl::unexpected<Error> wrong(std::string_view member, const Json& value, std::string hint) {
  return fail(Errc::kCorrupt,
              fmt::format("the command answers {} {}", member, value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 40)),
              std::move(hint));
}

Result<int> whole(std::string_view member, const Json& value) {
  const double number = value.is_number() ? value.get<double>() : -1.0;
  if (!(number >= 0.0 && number <= kLargestNumber) || number != std::floor(number)) return wrong(member, value, "a whole number is wanted");
  return static_cast<int>(number);
}

Result<StepAnswer> ended(const Json& json) {
  StepAnswer out{.kind = StepAnswer::Kind::kEnded};
  TRY(out.number, whole("ended", json["ended"]));
  if (const auto count = json.find("inferences"); count != json.end()) {
    const double number = count->is_number() ? count->get<double>() : -1.0;
    if (!(number >= 0.0 && number <= kMostInferences)) return wrong("inferences", *count, "a number from 0 is wanted");
    out.inferences = number;
  }
  if (const auto list = json.find("latencies_seconds"); list != json.end()) {
    if (!list->is_array()) return wrong("latencies_seconds", *list, "a list of numbers is wanted");
    for (const auto& each : *list) {
      const double seconds = each.is_number() ? each.get<double>() : -1.0;
      if (!(seconds > 0.0 && seconds <= kLongestLatency)) return wrong("latencies_seconds", each, "numbers of seconds above 0 are wanted");
      out.latencies.emplace_back(seconds);
    }
  }
  return out;
}

}  // namespace

std::string say_hello() { return Json{{"polythrottle", kStepVersion}}.dump(); }
std::string say_configure(const Config& config) { return Json{{"configure", to_json(config)}}.dump(); }
std::string say_begin(int number, Seconds length) { return Json{{"begin", number}, {"seconds", length.count()}}.dump(); }
std::string say_end(int number) { return Json{{"end", number}}.dump(); }

Result<StepAnswer> parse_step_answer(std::string_view line) {
  const std::size_t first = line.find_first_not_of(" \t");
  if (first == std::string_view::npos || line[first] != '{') return StepAnswer{};
  if (line.size() >= Process::kLongestLine) {
    return fail(Errc::kCorrupt, fmt::format("the command's answer is longer than {} KiB", Process::kLongestLine / 1024),
                "report batches as they end instead of many latencies at once");
  }
  const auto json = parse_json(line);
  if (!json || !json->is_object()) return StepAnswer{};
  if (const auto it = json->find("polythrottle"); it != json->end()) {
    StepAnswer out{.kind = StepAnswer::Kind::kReady};
    TRY(out.number, whole("polythrottle", *it));
    return out;
  }
  if (json->contains("ended")) return ended(*json);
  for (const auto& [member, kind] : {std::pair{"refused", StepAnswer::Kind::kRefused}, std::pair{"failed", StepAnswer::Kind::kFailed}}) {
    const auto it = json->find(member);
    if (it == json->end()) continue;
    if (!it->is_string()) return wrong(member, *it, "a text that says why is wanted");
    return StepAnswer{.kind = kind, .why = it->get<std::string>().substr(0, 300)};
  }
  if (const auto it = json->find("configured"); it != json->end()) {
    if (*it != true) return wrong("configured", *it, R"(true, or {"refused": "why"} is wanted)");
    return StepAnswer{.kind = StepAnswer::Kind::kConfigured};
  }
  TRY(const auto batch, parse_batch_report(line));
  if (!batch) return StepAnswer{};
  StepAnswer out{.kind = StepAnswer::Kind::kBatch, .latencies = {batch->latency}};
  if (batch->inferences) out.inferences = static_cast<double>(*batch->inferences);
  return out;
}

}  // namespace polythrottle
