// How often the stated 95 % error of a window holds the true energy, over machines whose true energy is known (docs/energy.md, "Errors").
//   polythrottle-bench coverage [--windows N] [--seed N] [--meter NAME]

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "bench/commands.h"
#include "cli/cli.h"
#include "e2e/energy_windows.h"

namespace polythrottle::bench {
namespace {

struct CoverageOptions {
  std::size_t windows = 1000;
  std::uint64_t seed = 1;
  std::string meter;
};

int run(const CoverageOptions& options) {
  bool any = false;
  for (const auto& row : coverage::meter_rows()) {
    if (row.name.find(options.meter) == std::string::npos || !row.make(options.seed)) continue;
    any = true;
    const auto counts = coverage::count_windows(row, options.windows, options.seed);
    if (!counts) return complain(counts.error(), kExitFailure);
    fmt::print("{}\n", coverage::table(row.name, *counts));
  }
  if (!any) return complain({Errc::kInvalid, "--meter " + options.meter + ": no such meter in this build", {}}, kExitUsage);
  return kExitOk;
}

}  // namespace

void add_coverage(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("coverage", "How often a window's stated error holds the true energy");
  auto options = std::make_shared<CoverageOptions>();
  command->add_option("--windows", options->windows, "Of each length and meter, each on a fresh machine")->check(CLI::PositiveNumber);
  command->add_option("--seed", options->seed, "Of the first machine");
  command->add_option("--meter", options->meter, "Only meters whose name contains this");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace polythrottle::bench
