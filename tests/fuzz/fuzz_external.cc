// What the script of an external meter prints: readings that make sense, or one line of complaint; and energy that never falls.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "meter/external_series.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polythrottle;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  ExternalSeries series;
  double arrived = 0.0;
  double integral = 0.0;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const auto parsed = parse_external_line(line);
    if (!parsed) {
      const std::string complaint = parsed.error().text();
      if (complaint.empty() || complaint.size() > 400 || complaint.find_first_of("\n\r\x1b") != std::string::npos) std::abort();
      continue;
    }
    if (const auto* const header = std::get_if<ExternalHeader>(&*parsed)) {
      if (header->error_percent.value_or(0.0) < 0.0 || header->refresh.value_or(Seconds(1)) <= Seconds(0)) std::abort();
    }
    const auto* const reading = std::get_if<ExternalReading>(&*parsed);
    if (reading == nullptr) continue;
    if (!std::isfinite(reading->seconds) || !(reading->watts >= 0.0) || reading->watts > kMostExternalWatts) std::abort();
    arrived += 0.1;
    if (const auto added = series.add(*reading, Clock::TimePoint(Seconds(arrived))); !added) {
      if (added.error().what.empty()) std::abort();
      continue;
    }
    const auto sample = series.sample(Clock::TimePoint(Seconds(arrived)));
    if (!std::isfinite(sample.energy.si()) || !std::isfinite(sample.edge.si()) || !(sample.sampling_variance >= 0.0)) std::abort();
    integral = std::max(integral, sample.energy.si());
  }
  return integral >= 0.0 ? 0 : 1;
}
