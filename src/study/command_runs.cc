#include "study/command_runs.h"

#include <fmt/format.h>

#include <algorithm>

#include "meter/slowdowns.h"
#include "trial/metric.h"

namespace polythrottle {
namespace {

/// How soon Ctrl-C is noticed. A program's end is noticed at once.
constexpr Seconds kLookForStop{0.1};
constexpr Seconds kGrace{2.0};
/// Often enough for a counter that wraps every few minutes; a power sensor is read more often within.
constexpr Seconds kBlock{1.0};

}  // namespace

Result<std::unique_ptr<Window>> CommandMeter::open_window() {
  return Window::open(host_, meter_, std::max(kBlock, 2.0 * meter_.info().refresh));
}

Result<CommandRun> CommandMeter::run(const Program& program, const std::stop_token& stop) {
  CommandRun out;
  out.celsius_before = celsius();
  const auto before = counts_of(gauges_);
  auto window = open_window();
  const auto began = host_.clock.now();
  TRY(const auto process, launcher_.start(program));
  auto end = process->wait(began);
  while (!end && !stop.stop_requested()) {
    if (process->wants_terminal()) {
      process->stop(Seconds(0));
      return fail(Errc::kUnsupported,
                  "measure " + program.words.front() + ": it was stopped because it wants the terminal, which a measured program has not",
                  "give it what it asks for by a file or a pipe, or with script(1)");
    }
    end = process->wait(host_.clock.now() + kLookForStop);
  }
  if (!end) {
    process->stop(kGrace);
    out.interrupted = true;
    end = host_.clock.now();
  }
  auto reading = window ? (*window)->close() : tl::unexpected<Error>(window.error());
  out.time = *end - began;
  out.exit = process->ended().value_or(Exit{});
  if (reading) {
    out.reading = std::move(*reading);
    out.reading.samples.clear();
  } else {
    out.spoiled = reading.error().text();
  }
  if (std::string slowed = slowed_down_since(gauges_, before); !slowed.empty()) out.spoiled = std::move(slowed);
  out.celsius_after = celsius();
  return out;
}

Result<IdlePower> CommandMeter::idle(Seconds time, const std::stop_token& stop) {
  TRY(const auto window, open_window());
  const auto began = host_.clock.now();
  while (host_.clock.now() - began < time && !stop.stop_requested()) {
    host_.clock.sleep_until(std::min(began + time, host_.clock.now() + kLookForStop));
  }
  IdlePower out;
  out.time = host_.clock.now() - began;
  TRY(out.reading, window->close());
  out.reading.samples.clear();
  return out;
}

std::optional<double> CommandMeter::celsius() const {
  for (const auto& gauge : gauges_) {
    if (gauge->name() != kTemperature) continue;
    if (const auto value = gauge->read()) return *value;
  }
  return std::nullopt;
}

}  // namespace polythrottle
