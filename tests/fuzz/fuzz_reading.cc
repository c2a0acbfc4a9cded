// Patterns of the user's, what a command prints, and what a program answers that is talked to. The first line is a pattern, the rest is
// output.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "workload/presets.h"
#include "workload/reading.h"
#include "workload/steps.h"

namespace {

void check(const polythrottle::Result<polythrottle::Said>& said) {
  using polythrottle::Seconds;
  if (!said) {
    if (said.error().what.empty()) std::abort();
    return;
  }
  for (const Seconds latency : said->latencies) {
    if (!(latency > Seconds(0)) || !std::isfinite(latency.count())) std::abort();
  }
  for (const auto& [metric, latency] : said->summary) {
    if (!(latency > Seconds(0)) || !std::isfinite(latency.count())) std::abort();
  }
  for (const auto& count : {said->inferences, said->batches, said->inferences_per_second, said->batches_per_second}) {
    if (count && !(*count >= 0.0 && *count <= 1e15)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polythrottle;
  static const auto readings = [] {
    std::vector<Reading> all{reading_of("json").value()};
    for (const auto& preset : presets()) all.push_back(reading_of(preset.name).value());
    return all;
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t newline = std::min(text.find('\n'), text.size());
  const std::string_view output = text.substr(std::min(newline + 1, text.size()));
  for (const auto& reading : readings) {
    check(reading.read(text));
    check(reading.read(output));
  }
  const std::string pattern(text.substr(0, newline));
  const auto own = reading_by_patterns({pattern, "batches=([0-9]+)", "p95_ms=p95 (.*)"});
  if (own) {
    check(own->read(output));
  } else if (own.error().what.empty()) {
    std::abort();
  }
  const auto answer = parse_step_answer(text);
  if (!answer && answer.error().what.empty()) std::abort();
  if (answer && answer->kind == StepAnswer::Kind::kEnded && answer->number < 0) std::abort();
  return 0;
}
