#pragma once
// What is believed of latency and energy before anything is measured: many machines that nobody built, simulated on the actual settings.

#include <Eigen/Core>
#include <array>
#include <cstdint>

#include "surrogate/relative_knobs.h"

namespace polythrottle {

using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Prior of a quantity at every row of a RelativeKnobs, as a straight line in unknown weights: f(row) = mean(row) + basis.row(row) . w with
/// w standard normal. Two fields of one prior share their weights: what one teaches, the other knows.
struct FieldPrior {
  Eigen::VectorXf mean;  ///< (rows)
  RowMatrix basis;       ///< (rows, components)
};

/// Of ln(latency of one batch) and ln(energy per inference), both minus their value at the reference.
struct PhysicsPrior {
  FieldPrior latency;
  FieldPrior energy;
};

struct PhysicsOptions {
  int members = 160;        ///< simulated machines
  int components = 24;      ///< at most; directions kept of what they differ in
  double log_linear = 0.2;  ///< weight of straight lines and products in the logarithms of the knobs, beside the simulations; 0: none
  Eigen::Index sample_rows = 1200;  ///< of these the directions are found
  std::uint64_t seed = 0;
  unsigned threads = 2;
};

/// Draws the machines, runs each at every row and keeps the main directions of their differences.
///
/// A machine is a roofline with overlap (compute, memory and host time joined by p-norms, a constant part), batching with a part of each
/// time that does not grow, a voltage curve with a floor, a governor that may lower the clock of an idle unit, and a board cap that lowers
/// it further. Knobs act through their roles alone; those of role kOther only through the log-linear part. Every share, exponent and floor
/// is drawn from wide ranges, so that a real machine is somewhere among them. The simulated boards of this program are built from traced
/// networks and fitted tables and share neither formulas nor constants with these.
/// Cost: about members x rows x 0.2 us, over `threads`. Memory: rows x (components + 1) x 8 bytes, and 2 MB. The result does not depend on
/// `threads`. Thread safe.
PhysicsPrior physics_prior(const RelativeKnobs& knobs, const PhysicsOptions& options);

/// ln of the factor by which one batch is larger than the reference's: (rows).
Eigen::VectorXf log_batch(const RelativeKnobs& knobs);

}  // namespace polythrottle
