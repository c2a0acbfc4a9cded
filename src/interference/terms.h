#pragma once
// What a batch or a step asks of a device at given clocks, as a few terms that add up: general physics, no constants of any device.

#include <Eigen/Core>

#include "interference/interference.h"

namespace polythrottle::interference {

/// Each term falls when a clock rises and grows with the items, so any sum of them with non-negative coefficients does too. One item of
/// inference at the reference has about 1 in every term.
///   fixed / cpu     requests and launches, on the CPU
///   items / cpu     what the CPU does for each item
///   fixed / gpu     filling and draining the GPU, once a kernel
///   fixed / mem     latency of the memory, once a kernel
///   arith / gpu     arithmetic
///   moved / mem     traffic
///   max(arith / gpu, moved / mem)   roofline: layers bound by the one or by the other, whichever it is at these clocks (S. Williams,
///                                   A. Waterman, D. Patterson, "Roofline", Communications of the ACM 52(4), 2009)
///   max(arith / gpu, fixed / cpu)   layers bound by their launch where they are short
inline constexpr int kTerms = 8;
using Terms = Eigen::Matrix<double, kTerms, 1>;
/// `unit`: the inference whose single item is 1.
Terms terms(const WorkCost& cost, double items, const Speeds& speeds, const WorkCost& unit);

/// What a batch beside a step waits for, apart from being slowed down:
///   1               its turn, where turns have a length of their own
///   x / (x + 8) / gpu   kernels of the step in between, x the arithmetic of one of them over that of one of a single item of inference;
///                   bounded, because long kernels are taken off the device
inline constexpr int kWaits = 2;
using Waits = Eigen::Matrix<double, kWaits, 1>;
Waits waits(const Step& step, const Speeds& speeds, const WorkCost& unit);

/// What a batch pays, alone, for a rest of the device before it, x being the rest over (rest + 0.1 s), which is how fast governors follow:
///   x arith / (arith + 4) / gpu   arithmetic on clocks that have not come up yet; bounded, because they come up while a long batch runs
///   x fixed / gpu   the start itself
inline constexpr int kRests = 2;
using Rests = Eigen::Matrix<double, kRests, 1>;
Rests rests(const WorkCost& cost, double items, const Speeds& speeds, const WorkCost& unit, Seconds rested);

}  // namespace polythrottle::interference
