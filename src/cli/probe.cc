// polythrottle probe: what this machine offers, and why the rest is missing. Only looks.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/cli.h"
#include "cli/power_modes.h"
#include "engine/engine.h"
#include "host/simulation/machine.h"
#include "knob/lease.h"
#include "platform/platform.h"
#include "platform/rivals.h"
#include "report/report.h"

namespace polythrottle {
namespace {

std::string level_range(const Parameter& p) {
  std::string out = fmt::format("{} level{}: {}", p.levels.size(), p.levels.size() == 1 ? "" : "s", knob_text(p.name, p.levels.front()));
  if (p.levels.size() > 1) out += fmt::format(" to {}", knob_text(p.name, p.levels.back()));
  return out;
}

/// "not found: ...", with the hint on its own line.
void print_absent(const std::string& name, const Error& why) {
  fmt::print("  {}  absent ({}): {}\n", name, to_string(why.code), why.what);
  if (!why.hint.empty()) fmt::print("    {}\n", why.hint);
}

void print_engines() {
  fmt::print("\nEngines\n");
  const auto runtime = onnx_runtime();
  if (runtime) {
    fmt::print("  onnx  {}\n", *runtime);
  } else {
    print_absent("onnx", runtime.error());
  }
}

/// Who else may write these knobs, and what to do about it.
void print_rivals(const Host& host) {
  fmt::print("\nRivals\n");
  const auto found = rivals(host);
  if (found.empty()) fmt::print("  none found\n");
  for (const Rival& rival : found) {
    fmt::print("  {}  {}\n    writes {}\n    {}\n", rival.name, rival.evidence, rival.writes, rival.when);
    if (!rival.pause.empty()) fmt::print("    pause: {}\n", rival.pause);
    if (!rival.resume.empty()) fmt::print("    resume: {}\n", rival.resume);
  }
}

/// Every knob that is missing and why; those that only some machines have and nobody asked for in one line, unless `all`.
void print_absent_knobs(const Machine& machine, bool all) {
  std::string rare;
  for (const auto& [name, why, by_request] : machine.absent_knobs) {
    if (all || !by_request || why.code != Errc::kNotFound) {
      print_absent(name, why);
    } else {
      rare += (rare.empty() ? "" : ", ") + name;
    }
  }
  if (!rare.empty()) fmt::print("  not on this machine: {} ('probe --all' says where they were looked for)\n", rare);
}

/// What a meter covers and how well, its parts, and what was found out about it.
void print_meter(const MeterInfo& info, bool by_default) {
  std::string when;
  if (by_default) when = info.gpu_alone ? ", used by default for work on this GPU" : ", used by default";
  if (by_default && info.estimated) when = ", used by tune where there is no sensor";
  if (info.only_by_name) when = ", only with --meter " + info.name;
  fmt::print("  {}  {}{}\n    covers {}\n    error {}\n", info.name, info.estimated ? "estimated" : "measured", when, info.boundary,
             info.error);
  std::string rails;
  for (const Rail& rail : info.rails) {
    rails += fmt::format("{}{}{}{}", rails.empty() ? "" : ", ", rail.name, rail.inside ? " (in " + info.rails[*rail.inside].name + ")" : "",
                         rail.counted ? "" : " (not counted)");
  }
  if (!rails.empty()) fmt::print("    rails {}\n", rails);
  for (const auto& remark : info.remarks) fmt::print("    note {}\n", remark);
}

void print_machine(Host& host, bool all) {
  const Machine machine = discover(host, {});
  fmt::print("{}{}\n\nKnobs\n", machine.description, machine.gpu.empty() ? "" : ", " + machine.gpu);
  for (const auto& knob : machine.knobs) {
    const auto now = knob->read();
    const Parameter& p = knob->parameter();
    fmt::print("  {}  {}, now {}\n    {}\n", p.name, level_range(p), now ? knob_text(p.name, *now) : now.error().text(), p.help);
    for (const auto& path : knob->paths()) fmt::print("    {}\n", path);
  }
  for (const auto& knob : machine.knobs_by_request) {
    fmt::print("  {}  {}; only with --knob {}=...\n    {}\n", knob->parameter().name, level_range(knob->parameter()),
               knob->parameter().name, knob->parameter().help);
  }
  print_absent_knobs(machine, all);
  fmt::print("  batch, threads, instances  knobs of the program itself, with --model\n");
  for (const auto& note : machine.gpu_notes) fmt::print("  Note: {}\n", note);
  fmt::print("\nMeters\n");
  bool chosen = false;
  for (const auto& meter : machine.meters) {
    const MeterInfo& info = meter->info();
    print_meter(info, !chosen && !info.only_by_name);
    chosen = chosen || !(info.only_by_name || info.gpu_alone);
  }
  for (const auto& absence : machine.absent_meters) print_absent(absence.name, absence.why);
  fmt::print("\nGauges\n");
  for (const auto& gauge : machine.gauges) {
    const auto value = gauge->read();
    const std::string now = !value            ? value.error().text()
                            : gauge->counts() ? fmt::format("{:.0f} since boot", *value)
                                              : format_metric(gauge->name(), *value);
    fmt::print("  {}  {}\n", gauge->name(), now);
  }
  print_power_modes(host.files, machine);
  print_rivals(host);
}

int probe(const Cli& cli, const std::string& device, bool all) {
  constexpr std::string_view kSimulated = "sim:";
  if (device.empty()) {
    ThisMachine machine(cli.sysroot, cli.gpu);
    if (const auto fits = machine.check_gpu(); !fits) return complain(fits.error(), usage_or_failure(fits.error()));
    print_machine(machine.host(), all);
    print_engines();
    return kExitOk;
  }
  if (!device.starts_with(kSimulated)) {
    return complain(
        Error{Errc::kInvalid, fmt::format("--device {}: only simulated boards can be named", device), "sim:BOARD, or leave it out"},
        kExitUsage);
  }
  const auto machine = simulation::Machine::make(device.substr(kSimulated.size()));
  if (!machine) return complain(machine.error(), kExitUsage);
  Host host = (*machine)->host();
  fmt::print("Simulated: no such board is here, its kernel files are answered by a model of it.\n");
  print_machine(host, all);
  return kExitOk;
}

}  // namespace

void add_probe(CLI::App& app, Cli& cli) {
  CLI::App* command = app.add_subcommand("probe", "List knobs, meters and engines of this machine; changes nothing");
  auto device = std::make_shared<std::string>();
  command->add_option("--device", *device, "sim:jetson-tx2 or sim:jetson-orin instead of this machine");
  auto all = std::make_shared<bool>(false);
  command->add_flag("--all", *all, "Also say where knobs were looked for that only some machines have");
  add_gpu_options(*command, cli.gpu);
  command->callback([device, all, &cli] { cli.exit_code = probe(cli, *device, *all); });
}

}  // namespace polythrottle
