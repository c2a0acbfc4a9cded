// polythrottle: the least energy per inference that still meets the latency SLO.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string_view>

#include "cli/cli.h"
#include "cli/signals.h"
#include "cli/version.h"
#include "host/injection.h"

int main(int argc, char** argv) {
  using namespace polythrottle;
  const auto injection = Injection::take_from_environment();  // before there are threads
  if (!injection) return complain(injection.error(), kExitUsage);
  const Signals signals;
  Cli cli;
  cli.stop = signals.token();
  cli.injection = injection->get();
  CLI::App app{
      "Finds the configuration (clocks, batch, threads) with the least energy per inference that meets a latency SLO,\n"
      "and gives the machine back as it was found."};
  app.set_version_flag("--version", std::string("polythrottle ") + kVersion);
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--sysroot", cli.sysroot, "Look for /sys and /proc below this folder (a recorded machine)")->check(CLI::ExistingDirectory);
  app.footer(
      "Exit codes: 0 done, 1 failed or no setting meets the SLO, 2 wrong usage, 130 interrupted.\n"
      "'polythrottle COMMAND --help' tells more.");
  add_tune(app, cli);
  add_show(app, cli);
  add_explain(app, cli);
  add_export(app, cli);
  add_probe(app, cli);
  add_measure(app, cli);
  add_apply(app, cli);
  add_restore(app, cli);
  add_replay(app, cli);
  add_sweep(app, cli);
  add_watchdog(app, cli);
  add_interference(app, cli);
  add_job(app, cli);
  add_serve(app, cli);
  add_load(app, cli);
  // What stands behind "measure ... --" and "job submit ... --" is another program's, whatever it looks like.
  const auto is = [](std::string_view text) { return [text](const char* word) { return word == text; }; };
  char** mark = std::find_if(argv + 1, argv + argc, is("--"));
  if (std::find_if(argv + 1, mark, is("measure")) == mark && std::find_if(argv + 1, mark, is("submit")) == mark) mark = argv + argc;
  if (mark != argv + argc) cli.words.emplace(mark + 1, argv + argc);
  try {
    app.parse(static_cast<int>(mark - argv), argv);
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::CallForAllHelp& e) {
    return app.exit(e);
  } catch (const CLI::CallForVersion& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    return complain(Error{Errc::kInvalid, e.what(), "see --help"}, kExitUsage);
  } catch (const std::exception& e) {
    return complain(Error{Errc::kIo, std::string("unexpected: ") + e.what(), {}}, kExitFailure);
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    return complain(Error{Errc::kIo, "the answer could not be written to stdout", {}}, kExitFailure);
  }
  return cli.exit_code;
}
