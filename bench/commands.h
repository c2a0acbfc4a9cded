#pragma once
// Subcommands of polythrottle-bench.

#include <CLI/App.hpp>

namespace polythrottle::bench {

void add_grid(CLI::App& app, int& exit_code);
void add_trials(CLI::App& app, int& exit_code);
void add_paper(CLI::App& app, int& exit_code);
void add_sizing(CLI::App& app, int& exit_code);
void add_optimizers(CLI::App& app, int& exit_code);
void add_coverage(CLI::App& app, int& exit_code);
void add_interference(CLI::App& app, int& exit_code);

}  // namespace polythrottle::bench
