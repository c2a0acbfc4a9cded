#pragma once
// Runs the real binary as a user would.

#include <string>
#include <vector>

namespace polythrottle::e2e {

struct Ran {
  int exit_code = -1;  ///< 128 + signal if it was killed
  std::string out, err;
};

/// The words that start the program: build/<preset>/bin/polythrottle, or those of the environment variable POLYTHROTTLE_UNDER_TEST, such as
/// an emulator and a program for another CPU (tests/static/run).
std::vector<std::string> program_under_test();
/// The program with these arguments; waits for its end. HOME and the state folder are a scratch folder.
Ran run(const std::vector<std::string>& arguments);
/// Starts it and kills it with SIGKILL after so many milliseconds, unless it has ended by then; true if it was killed.
bool run_and_kill(const std::vector<std::string>& arguments, int milliseconds);

/// `words` of a tune whose trials last as long as their shortest window, for tests in real time that are about something else.
std::vector<std::string> briefly(std::vector<std::string> words);

/// A path in this test program's scratch folder; whatever stood there (with -wal and -shm) is gone.
std::string scratch(const std::string& name);
void write(const std::string& path, const std::string& text);
std::string read(const std::string& path);

/// A made-up table, 4 GPU clocks x 3 batches: energy has its least at 900 MHz, batch 4 under an SLO of 2x.
std::string small_table();

}  // namespace polythrottle::e2e
