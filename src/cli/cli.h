#pragma once
// Wiring shared by the subcommands.

#include <CLI/App.hpp>
#include <stop_token>
#include <string>

#include "base/result.h"

namespace polythrottle {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInterrupted = 130;

/// What main gives every subcommand and gets back.
struct Cli {
  std::string sysroot;   ///< put before /sys and /proc: a fixture folder instead of this machine
  std::stop_token stop;  ///< set by SIGINT, SIGTERM, SIGHUP
  int exit_code = kExitOk;
};

/// Each adds its subcommand; the callback stores the exit code in `cli`. Both outlive the parse.
void add_tune(CLI::App& app, Cli& cli);
void add_show(CLI::App& app, Cli& cli);
void add_probe(CLI::App& app, Cli& cli);
void add_restore(CLI::App& app, Cli& cli);

/// Prints "polythrottle: what; hint" on stderr and returns `exit_code`.
int complain(const Error& error, int exit_code);

/// "cpu_hz=2000000,batch=4" as name and text pairs. Errors: kInvalid.
Result<std::vector<std::pair<std::string, std::string>>> parse_pairs(const std::string& text, char separator = ',');

/// Writes a whole file: beside it first, then renamed, so that a failure leaves the old one. "-" is stdout.
/// Errors: kPermission, kNotFound, kIo.
Status write_file(const std::string& path, const std::string& text);
/// Would `write_file` work? Asked before a long run; leaves nothing behind.
Status check_writable(const std::string& path);

}  // namespace polythrottle
