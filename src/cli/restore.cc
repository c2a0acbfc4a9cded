// polythrottle restore: puts back what a killed run left, and what was kept on purpose.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/borrow.h"
#include "cli/cli.h"

namespace polythrottle {
namespace {

int restore(const Cli& cli) {
  ThisMachine here(cli.sysroot, cli.gpu, cli.injection);
  Host& host = here.host();
  const std::string record_path = here.record_path();
  // What cannot be looked at is reported by `recover`.
  const auto left = look_at_record(host, record_path).value_or(std::nullopt);
  const auto recovery = recover_all(host, record_path, {.undo_kept = true});
  if (!recovery) return complain(recovery.error(), kExitFailure);
  if (recovery->knobs.empty()) fmt::print("Nothing to restore: no run left a record.\n");
  for (const auto& line : describe_recovery(host, left, recovery->knobs)) fmt::print("{}\n", line);
  bool whole = true;
  for (const auto& r : recovery->knobs) {
    if (r.status) continue;
    whole = false;
    complain(not_restored(r), kExitFailure);
  }
  if (!whole) fmt::print("Not all is back. The record stays: {}\n", record_path);
  if (!recovery->record) return complain(recovery->record.error(), kExitFailure);
  return whole ? kExitOk : kExitFailure;
}

}  // namespace

void add_restore(CLI::App& app, Cli& cli) {
  CLI::App* command = app.add_subcommand("restore", "Put back the settings that a killed run left, or that were kept on purpose");
  add_gpu_options(*command, cli.gpu);
  command->callback([&cli] { cli.exit_code = restore(cli); });
}

}  // namespace polythrottle
