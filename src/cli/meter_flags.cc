#include "cli/meter_flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/cli.h"
#include "workload/command_line.h"

namespace polythrottle {
namespace {

std::string meter_names() {
  std::string names;
  for (const auto* driver : meter_drivers()) names += fmt::format("{}{}", names.empty() ? "" : ", ", driver->name);
  return names;
}

}  // namespace

void add_meter_options(CLI::App& command, MeterFlags& flags, const std::string& group) {
  command
      .add_option(
          "--meter", flags.meter,
          fmt::format("One of {}, or a channel of hwmon as probe lists it (default: the best that says what it covers)", meter_names()))
      ->group(group);
  command.add_option("--power-model", flags.power_model, "Watts per CPU for the estimate: idle=0.74,active=2.76")->group(group);
  command
      .add_option("--external-meter", flags.external_command,
                  "Program that reads a meter of yours and prints a line SECONDS WATTS per reading (docs/external-meter.md)")
      ->group(group);
  command.add_option("--external-error", flags.external_error_percent, "How far that meter may be off, in percent (1 sigma)")
      ->check(CLI::Range(0.0, 100.0))
      ->group(group);
}

Result<MeterOptions> meter_options(const MeterFlags& flags) {
  MeterOptions out;
  if (!flags.external_command.empty()) {
    TRY(out.external_command, shell_words(flags.external_command, "--external-meter"));
  } else if (flags.external_error_percent) {
    return fail(Errc::kInvalid, "--external-error says how far an external meter may be off, and there is none",
                "--external-meter 'COMMAND'");
  }
  out.external_error_percent = flags.external_error_percent;
  if (flags.power_model.empty()) return out;
  TRY(const auto pairs, parse_pairs(flags.power_model));
  for (const auto& [name, value] : pairs) {
    TRY(const double watts, to_number(value, "--power-model " + name));
    if (watts <= 0.0 || watts > 1e4)
      return fail(Errc::kInvalid, fmt::format("--power-model {}={}: watts per CPU, above zero", name, value));
    if (name == "idle") {
      out.idle_watts_per_cpu = watts;
    } else if (name == "active") {
      out.active_watts_per_cpu = watts;
    } else {
      return fail(Errc::kInvalid, fmt::format("--power-model has no '{}'", name), "idle=W,active=W");
    }
  }
  return out;
}

std::string wanted_meter(const MeterFlags& flags) {
  return flags.meter.empty() && !flags.external_command.empty() ? "external" : flags.meter;
}

Result<std::unique_ptr<Meter>> choose_meter(std::vector<std::unique_ptr<Meter>>& found, const std::vector<MeterAbsence>& absent,
                                            const std::string& wanted) {
  for (auto& meter : found) {
    if (wanted.empty() ? !meter->info().only_by_name : meter->info().name == wanted) return std::move(meter);
  }
  for (const auto& absence : absent) {
    if (wanted.empty() || absence.name == wanted) {
      Error error = absence.why;
      error.what = fmt::format("meter {}: {}", absence.name, error.what);
      return tl::unexpected<Error>(std::move(error));
    }
  }
  std::string names;
  for (const auto& meter : found) names += fmt::format("{}{}", names.empty() ? "" : ", ", meter->info().name);
  return fail(Errc::kInvalid, fmt::format("no meter '{}' on this machine", wanted), names.empty() ? "it has none" : "it has " + names);
}

}  // namespace polythrottle
