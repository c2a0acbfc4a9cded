// polythrottle-bench: what stands behind the numbers in docs/results.md.

#include <CLI/CLI.hpp>

#include "bench/commands.h"
#include "cli/cli.h"

int main(int argc, char** argv) {
  using namespace polythrottle;
  CLI::App app{"Benchmarks of PolyThrottle: searches on recorded tables and simulated boards."};
  app.require_subcommand(1);
  int exit_code = kExitOk;
  bench::add_grid(app, exit_code);
  bench::add_trials(app, exit_code);
  bench::add_paper(app, exit_code);
  bench::add_optimizers(app, exit_code);
  bench::add_coverage(app, exit_code);
  bench::add_sizing(app, exit_code);
  bench::add_interference(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    return complain(Error{Errc::kInvalid, e.what(), "see --help"}, kExitUsage);
  }
  return exit_code;
}
