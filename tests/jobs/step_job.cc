// A job that speaks the step protocol and does nothing: step_job ITEMS HALF. Two steps.
#include <cstdio>
#include <cstdlib>
#include <polythrottle/step.hpp>

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int items = std::atoi(argv[1]);
  polythrottle::Steps steps({items, {items, std::atoi(argv[2]), 1}, 2});
  std::puts(steps.governed() ? "governed" : "free");
  for (int step = 0; step < 2; ++step) {
    for (int left = items; left > 0;) {
      const int now = steps.wait(left);
      std::printf("%d\n", now);
      left -= now;
      steps.done(now);
    }
  }
  steps.end();
  std::puts("saved");
  return 0;
}
