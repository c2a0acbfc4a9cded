#include "e2e/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

namespace polythrottle::e2e {
namespace {

namespace fs = std::filesystem;

fs::path folder() {
  static const fs::path path = [] {
    const fs::path p = fs::temp_directory_path() / ("polythrottle-e2e-" + std::to_string(getpid()));
    fs::create_directories(p);
    setenv("XDG_STATE_HOME", (p / "state").c_str(), 1);
    return p;
  }();
  return path;
}

pid_t start(const std::vector<std::string>& arguments, const std::string& out, const std::string& err) {
  std::vector<std::string> words = program_under_test();
  words.insert(words.end(), arguments.begin(), arguments.end());
  folder();
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
    dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  return pid;
}

}  // namespace

std::vector<std::string> program_under_test() {
  const char* const given = std::getenv("POLYTHROTTLE_UNDER_TEST");
  std::istringstream text(given != nullptr ? given : POLYTHROTTLE_PROGRAM);
  return {std::istream_iterator<std::string>(text), {}};
}

Ran run(const std::vector<std::string>& arguments) {
  const std::string out = (folder() / "out").string(), err = (folder() / "err").string();
  const pid_t pid = start(arguments, out, err);
  int status = 0;
  waitpid(pid, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read(out), read(err)};
}

bool run_and_kill(const std::vector<std::string>& arguments, int milliseconds) {
  const pid_t pid = start(arguments, "/dev/null", "/dev/null");
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  kill(pid, SIGKILL);
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

std::vector<std::string> briefly(std::vector<std::string> words) {
  for (const char* flag : {"--settle-limit", "--energy-error", "--cool-down", "--idle", "--check-every"}) {
    words.insert(words.end(), {flag, "0"});
  }
  return words;
}

std::string scratch(const std::string& name) {
  const std::string path = (folder() / name).string();
  for (const char* suffix : {"", "-wal", "-shm"}) fs::remove_all(path + suffix);
  return path;
}

void write(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string small_table() {
  std::string text = "workload,gpu_mhz,batch,latency_ms,throughput_per_s,power_w,energy_j_per_inference\n";
  for (const int mhz : {600, 900, 1200, 1500}) {
    for (const int batch : {1, 2, 4}) {
      const double latency = (2.0 + 6.0 * batch) * 1000.0 / mhz;
      const double power = 4.0 + 10.0 * (mhz / 1000.0) * (mhz / 1000.0);
      const double throughput = 1000.0 * batch / latency;
      text += "net," + std::to_string(mhz) + "," + std::to_string(batch) + "," + std::to_string(latency) + "," +
              std::to_string(throughput) + "," + std::to_string(power) + "," + std::to_string(power / throughput) + "\n";
    }
  }
  const std::string path = (folder() / "table.csv").string();
  write(path, text);
  return path;
}

}  // namespace polythrottle::e2e
