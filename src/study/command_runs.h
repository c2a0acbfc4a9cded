#pragma once
// Runs a program once and says what that cost.

#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "host/launcher.h"
#include "meter/meter.h"
#include "meter/window.h"

namespace polythrottle {

/// One run from just before its start to just behind its end. What starting it costs is in it, as with time(1).
struct CommandRun {
  Exit exit;
  bool interrupted = false;  ///< somebody asked to stop, and we ended it
  Seconds time{0};           ///< from just before its start until its end was seen
  WindowReading reading;     ///< energy around that; its `samples` are left out
  std::optional<double> celsius_before, celsius_after;
  std::string spoiled;  ///< why the reading says nothing of the program (a meter fault, throttling); empty: it does
};

/// What the machine draws while nothing is asked of it.
struct IdlePower {
  Seconds time{0};
  WindowReading reading;
  Watts power() const { return reading.energy / reading.elapsed; }
};

/// Used by one thread. Everything given outlives it.
class CommandMeter {
 public:
  /// gauges: those that count (throttle events) spoil a run in which they advance; a temperature is read before and after.
  CommandMeter(Host& host, Launcher& launcher, Meter& meter, std::span<const std::unique_ptr<Gauge>> gauges)
      : host_(host), launcher_(launcher), meter_(meter), gauges_(gauges) {}

  /// Ends the program (SIGTERM, after 2 s SIGKILL) when `stop` is requested. What the program leaves running in its process group ends with
  /// it. Errors: those of Launcher::start; a meter that fails spoils the run.
  Result<CommandRun> run(const Program& program, const std::stop_token& stop);

  /// Waits so long, or until `stop`. Errors: those of the meter.
  Result<IdlePower> idle(Seconds time, const std::stop_token& stop);

 private:
  Result<std::unique_ptr<Window>> open_window();
  std::optional<double> celsius() const;

  Host& host_;
  Launcher& launcher_;
  Meter& meter_;
  std::span<const std::unique_ptr<Gauge>> gauges_;
};

}  // namespace polythrottle
