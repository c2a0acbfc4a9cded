// SPDX-License-Identifier: Apache-2.0
// The work of the guest: "runs" one batch after the other by sleeping for as long as a network would take at the clocks of this moment, and
// says so on a line each (docs/command.md).
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double number_in(const char* path) {
  double number = 0;
  FILE* file = fopen(path, "r");
  if (!file || fscanf(file, "%lf", &number) != 1 || number <= 0) {
    fprintf(stderr, "inference: no clock in %s\n", path);
    exit(1);
  }
  fclose(file);
  return number;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

int main(int argc, char** argv) {
  const int batch = argc > 1 ? atoi(argv[1]) : 1;
  for (;;) {
    const double cpu_khz = number_in("/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq");
    const double gpu_hz = number_in("/sys/class/devfreq/17000000.ga10b/cur_freq");
    const double emc_hz = number_in("/sys/kernel/debug/bpmp/debug/clk/emc/rate");
    const double seconds = 0.004 * 2035200 / cpu_khz + batch * (0.006 * 1300500000 / gpu_hz + 0.002 * 2133000000 / emc_hz);
    const struct timespec pause = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (time_t)seconds) * 1e9)};
    const double before = now();
    nanosleep(&pause, NULL);
    printf("{\"latency_seconds\": %.6f, \"inferences\": %d}\n", now() - before, batch);
    if (fflush(stdout) != 0) return 1;
  }
}
