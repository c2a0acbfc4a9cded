// A workload for tests of tune --command: it says that a batch took 1 ms + 1 ms x batch / threads, and sleeps and computes for so long.
//
//   fake_command [--batch N] [--threads N] [--scale F] [--load S] [--duration S] [MODE]
//
// --scale: all times times F. --load: seconds before anything; --duration: of the timed part, in modes of modes.h. Modes, most of them
// after 3 batches:
//   exit N     ends with exit code N                 abort      dies of SIGABRT
//   silent     prints nothing at all                 junk       prints lines that are no reports between those that are
//   endless    prints one line without an end        stubborn   ignores SIGTERM
//   child      leaves a child in its group running   environ    also prints POLYTHROTTLE_BATCH to standard error
//   milli      reports milliseconds as seconds       quiet      reports no more
//   plain      prints latency_ms: instead of JSON
// Those of modes.h, print_like: what tools print; and what begins with "steps": speak.
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "modes.h"

namespace {

double now(clockid_t which) {
  timespec time{};
  clock_gettime(which, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void sleep_for(double seconds) {
  timespec time{};
  time.tv_sec = static_cast<time_t>(seconds);
  time.tv_nsec = static_cast<long>((seconds - static_cast<double>(time.tv_sec)) * 1e9);
  nanosleep(&time, nullptr);
}

}  // namespace

namespace fake {

double now() { return ::now(CLOCK_MONOTONIC); }

void work(double seconds) {
  const double until = now() + seconds;
  const double cpu = ::now(CLOCK_PROCESS_CPUTIME_ID) + seconds / 4;
  while (::now(CLOCK_PROCESS_CPUTIME_ID) < cpu) {
  }
  if (const double left = until - now(); left > 0) sleep_for(left);
}

}  // namespace fake

int main(int argc, char** argv) {
  int batch = 1, threads = 1, code = 0;
  double scale = 1.0;
  fake::Task task;
  std::string mode;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const char* next = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--batch") {
      batch = std::atoi(next), ++i;
    } else if (word == "--threads") {
      threads = std::atoi(next), ++i;
    } else if (word == "--scale") {
      scale = std::atof(next), ++i;
    } else if (word == "--load") {
      task.load = std::atof(next), ++i;
    } else if (word == "--duration") {
      task.duration = std::atof(next), ++i;
    } else {
      mode = word;
      if (word == "exit") code = std::atoi(next), ++i;
    }
  }
  if (mode == "silent") {
    for (;;) pause();
  }
  if (mode == "endless") {
    for (;;) {
      std::fputs("and so on ", stdout);
    }
  }
  if (mode == "stubborn") signal(SIGTERM, SIG_IGN);
  if (mode == "child" && fork() == 0) {
    for (;;) pause();
  }
  if (mode == "environ") std::fprintf(stderr, "batch is %s\n", std::getenv("POLYTHROTTLE_BATCH"));
  task.batch = batch;
  const double latency = scale * 1e-3 * (1.0 + static_cast<double>(batch) / threads);
  task.latency = mode.rfind("steps", 0) == 0 ? scale * 1e-3 : latency;
  if (mode.rfind("steps", 0) == 0) return fake::speak(mode, task);
  if (const int exit_code = fake::print_like(mode, task); exit_code >= 0) return exit_code;
  for (long done = 0;; ++done) {
    if (done == 3) {
      if (mode == "exit" || mode == "environ") {
        std::fprintf(stderr, "out of luck\n");
        return code;
      }
      if (mode == "abort") std::abort();
      if (mode == "quiet") {
        for (;;) pause();
      }
    }
    fake::work(latency);
    if (mode == "junk") std::fputs("loss 0.25\n\xff\xfe\x01{}\n{\"step\": 7}\n[1, 2]\n{\"latency_seconds\n\n", stdout);
    if (mode == "plain") {
      std::printf("step %ld latency_ms: %.3f inferences=%d\n", done, 1e3 * latency, batch);
      std::fflush(stdout);
      continue;
    }
    std::printf("{\"latency_seconds\": %.6f, \"inferences\": %d}\n", mode == "milli" ? 1e3 * latency : latency, batch);
    std::fflush(stdout);
  }
}
