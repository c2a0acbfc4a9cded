// What is typed behind --command, and what a command prints: words and reports that make sense, or one line of complaint.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "workload/command.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polythrottle;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto report = parse_batch_report(text); !report) {
    if (report.error().what.empty()) std::abort();
  } else if (*report) {
    if (!((*report)->latency > Seconds(0)) || (*report)->inferences.value_or(1) < 1) std::abort();
  }
  const auto line = CommandLine::parse(text);
  if (!line) {
    if (line.error().what.empty()) std::abort();
    return 0;
  }
  Config config;
  for (const auto& name : line->names()) {
    if (!is_knob_name(name)) std::abort();
    config.set(name, 1.0);
  }
  const auto words = line->words(config);
  if (!words || words->empty()) std::abort();
  for (const auto& word : *words) {
    if (word.find('\0') != std::string::npos) std::abort();
  }
  if (!line->names().empty() && line->words({})) std::abort();
  return 0;
}
