// polythrottle restore: puts back what a killed run left.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/cli.h"
#include "knob/lease.h"
#include "platform/platform.h"

namespace polythrottle {
namespace {

int restore(const Cli& cli) {
  ThisMachine here(cli.sysroot, cli.gpu, cli.injection);
  Host& host = here.host();
  const Machine machine = discover(host, {});
  std::vector<Knob*> knobs;
  for (const auto& knob : machine.knobs) knobs.push_back(knob.get());
  const auto restored = recover(host, knobs, default_record_path());
  if (!restored) return complain(restored.error(), kExitFailure);
  if (restored->empty()) fmt::print("Nothing to restore: no run left a record.\n");
  bool whole = true;
  for (const auto& r : *restored) {
    if (!r.status) {
      whole = false;
      complain(r.status.error(), kExitFailure);
    } else {
      fmt::print("{}  found {}, now {}{}\n", r.knob, to_text(r.found), to_text(r.now), r.written ? ", restored" : "");
    }
  }
  return whole ? kExitOk : kExitFailure;
}

}  // namespace

void add_restore(CLI::App& app, Cli& cli) {
  CLI::App* command = app.add_subcommand("restore", "Put back the settings that a killed run left");
  command->callback([&cli] { cli.exit_code = restore(cli); });
}

}  // namespace polythrottle
