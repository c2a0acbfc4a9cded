// What `polythrottle measure` costs: the same program bare and measured, in turn, its wall-clock time taken here.
//
//   measure-overhead [ROUNDS]     default 20; the meter is the estimate, which every machine has
//
// Two answers. The fixed cost: how much longer the whole command line takes. And what is done to the program: its time as `measure` reports
// it, against its time when started bare in the same way. Programs: /bin/true, and a loop of about a second that does a fixed amount of
// work.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "study/compare.h"

extern char** environ;

namespace polythrottle {
namespace {

using Words = std::vector<std::string>;
using Steady = std::chrono::steady_clock;

double burn(long iterations) {
  volatile double x = 1.0;
  for (long i = 0; i < iterations; ++i) x = x * 1.0000001 + 1e-9;
  return x;
}

long iterations_for(double seconds) {
  long iterations = 1'000'000;
  for (;;) {
    const auto began = Steady::now();
    burn(iterations);
    const double took = std::chrono::duration<double>(Steady::now() - began).count();
    if (took > 0.1) return std::lround(static_cast<double>(iterations) * seconds / took);
    iterations *= 2;
  }
}

struct Took {
  double seconds = 0.0;  ///< from just before its start to its end
  double cpu = 0.0;      ///< of it and all it has waited for, in seconds
};

Took timed(const Words& words) {
  std::vector<char*> argv;
  for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const auto began = Steady::now();
  pid_t pid = 0;
  if (posix_spawn(&pid, argv[0], nullptr, nullptr, argv.data(), environ) != 0) std::exit(1);
  int status = 0;
  rusage used{};
  wait4(pid, &status, 0, &used);
  const double seconds = std::chrono::duration<double>(Steady::now() - began).count();
  if (status != 0) fmt::print(stderr, "{} failed\n", words.front()), std::exit(1);
  const auto time = [](const timeval& t) { return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec); };
  return {seconds, time(used.ru_utime) + time(used.ru_stime)};
}

double reported_seconds(const std::string& file) {
  std::ifstream in(file);
  return nlohmann::json::parse(in)["time_seconds"]["value"].get<double>();
}

void compare(const std::string& name, const Words& program, int rounds) {
  const std::string file = fmt::format("/tmp/measure-overhead-{}.json", getpid());
  Words measured{POLYTHROTTLE_PROGRAM, "measure", "--meter", "estimate", "--quiet", "--json", file, "--output", "drop", "--"};
  measured.insert(measured.end(), program.begin(), program.end());
  std::vector<RunValue> more, more_cpu;
  std::vector<RunPair> inside;
  double bare_sum = 0.0;
  for (int i = 0; i < rounds; ++i) {
    const bool measured_first = i % 2 == 1;
    Took whole, bare;
    if (measured_first) whole = timed(measured);
    bare = timed(program);
    if (!measured_first) whole = timed(measured);
    more.push_back({whole.seconds - bare.seconds, 0.0, {}});
    more_cpu.push_back({whole.cpu - bare.cpu, 0.0, {}});
    inside.push_back({{bare.seconds, 0.0, {}}, {reported_seconds(file), 0.0, {}}, measured_first});
    bare_sum += bare.seconds;
  }
  unlink(file.c_str());
  const auto ratio = ratio_of_runs(inside, {});
  fmt::print("{}: bare {:.2f} ms\n", name, 1e3 * bare_sum / rounds);
  for (const auto& [what, readings] : {std::pair{"time", &more}, {"CPU time", &more_cpu}}) {
    const auto fixed = mean_of_runs(*readings, {});
    fmt::print("  whole command line, {}: {:+.2f} ms (95 %: {:+.2f} to {:+.2f})\n", what, 1e3 * fixed.estimate.value,
               1e3 * fixed.interval->low, 1e3 * fixed.interval->high);
  }
  fmt::print("  the program itself: {:+.2f} % (95 %: {:+.2f} to {:+.2f})\n", 100 * (ratio->ratio - 1), 100 * (ratio->interval->low - 1),
             100 * (ratio->interval->high - 1));
}

}  // namespace
}  // namespace polythrottle

int main(int argc, char** argv) {
  using namespace polythrottle;
  if (argc == 3 && std::string(argv[1]) == "--burn") return burn(std::atol(argv[2])) > 0.0 ? 0 : 1;
  const int rounds = argc > 1 ? std::max(2, std::atoi(argv[1])) : 20;
  const std::string self = "/proc/self/exe";
  char path[4096] = {};
  if (readlink(self.c_str(), path, sizeof path - 1) <= 0) return 1;
  compare("/bin/true", {"/bin/true"}, rounds);
  compare("a loop of a second", {path, "--burn", std::to_string(iterations_for(1.0))}, rounds);
}
