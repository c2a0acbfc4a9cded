#pragma once
// Wiring shared by the subcommands.

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/this_machine.h"

namespace polythrottle {

class Injection;

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

/// What main gives every subcommand and gets back.
struct Cli {
  GpuOptions gpu;
  std::string sysroot;             ///< put before /sys and /proc: a fixture folder instead of this machine
  std::stop_token stop;            ///< set by SIGINT, SIGTERM, SIGHUP
  Injection* injection = nullptr;  ///< for tests of the program itself (docs/testing.md); null in an ordinary run
  std::optional<std::vector<std::string>> words;  ///< what stood behind "--"
  int exit_code = kExitOk;
};

/// Each adds its subcommand; the callback stores the exit code in `cli`. Both outlive the parse.
void add_tune(CLI::App& app, Cli& cli);
void add_show(CLI::App& app, Cli& cli);
void add_explain(CLI::App& app, Cli& cli);
void add_export(CLI::App& app, Cli& cli);
void add_probe(CLI::App& app, Cli& cli);
void add_measure(CLI::App& app, Cli& cli);
void add_apply(CLI::App& app, Cli& cli);
void add_restore(CLI::App& app, Cli& cli);
void add_replay(CLI::App& app, Cli& cli);
void add_sweep(CLI::App& app, Cli& cli);
void add_watchdog(CLI::App& app, Cli& cli);
void add_interference(CLI::App& app, Cli& cli);
void add_job(CLI::App& app, Cli& cli);
void add_serve(CLI::App& app, Cli& cli);
void add_load(CLI::App& app, Cli& cli);

/// Writes to stderr, and does not mind if nobody reads it: a lost terminal must not cost the study.
void tell_text(const std::string& text);
template <class... Args>
void tell(fmt::format_string<Args...> format, Args&&... args) {
  tell_text(fmt::format(format, std::forward<Args>(args)...));
}

/// Prints "polythrottle: what; hint" on stderr and returns `exit_code`.
int complain(const Error& error, int exit_code);

/// "cpu_hz=2000000,batch=4" as name and text pairs. Errors: kInvalid.
Result<std::vector<std::pair<std::string, std::string>>> parse_pairs(const std::string& text, char separator = ',');

/// `text` as a finite number. Errors: kInvalid, beginning with `what`.
Result<double> to_number(const std::string& text, const std::string& what);

/// The exit code an error leads to: kInvalid is the user's mistake.
inline int usage_or_failure(const Error& error) { return error.code == Errc::kInvalid ? kExitUsage : kExitFailure; }

/// Writes a whole file: beside it first, then renamed, so that a failure leaves the old one; a link's target, not the link. "-" is stdout;
/// what exists and is no regular file (a pipe, a device) is written to as it is.
/// Errors: kPermission, kNotFound, kIo.
Status write_file(const std::string& path, const std::string& text);
/// No output may be another one, nor a file that is read or written besides. Each pair is what it is called and its path; empty paths do
/// not count. Errors: kInvalid.
Status check_distinct(const std::vector<std::pair<std::string, std::string>>& outputs,
                      const std::vector<std::pair<std::string, std::string>>& others);
/// Would `write_file` work? Asked before a long run; leaves nothing behind.
Status check_writable(const std::string& path);

}  // namespace polythrottle
