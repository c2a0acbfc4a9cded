#include "interference/terms.h"

#include <algorithm>

namespace polythrottle::interference {
namespace {

/// a / b, or `otherwise` where a network has nothing of the kind.
double ratio(double a, double b, double otherwise) { return b > 0.0 ? a / b : otherwise; }

}  // namespace

Terms terms(const WorkCost& cost, double items, const Speeds& speeds, const WorkCost& unit) {
  const double fixed = ratio(cost.kernels, unit.kernels, 1.0);
  const double arith = ratio(cost.macs * items, unit.macs, items);
  const double moved = ratio(cost.weights + cost.activations * items, unit.weights + unit.activations, items);
  const double gpu = 1.0 / speeds.gpu, mem = 1.0 / speeds.mem, cpu = 1.0 / speeds.cpu;
  Terms out;
  out << fixed * cpu, items * cpu, fixed * gpu, fixed * mem, arith * gpu, moved * mem, std::max(arith * gpu, moved * mem),
      std::max(arith * gpu, fixed * cpu);
  return out;
}

Waits waits(const Step& step, const Speeds& speeds, const WorkCost& unit) {
  const double each = ratio(unit.macs, unit.kernels, 1.0);
  const double kernel = ratio(ratio(step.cost.macs * step.items, step.cost.kernels, step.items), each, step.items);
  Waits out;
  out << 1.0, kernel / (kernel + 8.0) / speeds.gpu;
  return out;
}

Rests rests(const WorkCost& cost, double items, const Speeds& speeds, const WorkCost& unit, Seconds rested) {
  constexpr double kFollows = 0.1;  // s
  const double share = rested.count() > 0.0 ? rested.count() / (rested.count() + kFollows) : 0.0;
  const double arith = ratio(cost.macs * items, unit.macs, items);
  Rests out;
  out << share * arith / (arith + 4.0) / speeds.gpu, share * ratio(cost.kernels, unit.kernels, 1.0) / speeds.gpu;
  return out;
}

}  // namespace polythrottle::interference
