#include "serving/job_boost.h"

#include <algorithm>
#include <cmath>

namespace polythrottle::serving {
namespace {

/// A job's deadline is aimed at with this to spare, as part of the time left.
constexpr double kSpare = 0.9;

/// Does the smallest piece leave time under the SLO for those that come while it runs? As many as chance will hardly make them.
bool fits(const ServingState& state, const LoadTable& table, std::size_t row, const JobSpec& job) {
  const Seconds step = state.predictor->step(state.rows[row].speeds, {job.cost, job.pieces.back()}, 0.0).mean;
  const double come = state.arrivals.rate * step.count();
  const double most = 1.0 + come + 2.0 * std::sqrt(std::max(state.arrivals.dispersion, 0.0) * come);
  return step + table.latency(row, static_cast<std::size_t>(std::ceil(most))) <= state.slo;
}

}  // namespace

std::optional<JobCost> job_cost(const ServingState& state, const LoadTable& table, std::size_t row, std::size_t base) {
  const auto& busy = state.rows[row].busy;
  if (!busy || state.predictor == nullptr || !state.predictor->calibrated()) return std::nullopt;
  const double left = 1.0 - table.utilization(row, state.arrivals.rate);
  if (!(left > 0.0)) return std::nullopt;
  JobCost cost;
  bool any = false;
  for (const PendingJob& job : state.jobs) {
    if (job.paused) continue;
    any = true;
    if (!fits(state, table, row, *job.spec)) return std::nullopt;
    const int piece = job.spec->pieces.front();
    const Seconds one = state.predictor->step(state.rows[row].speeds, {job.spec->cost, piece}, 0.0).mean;
    cost.finish += one * (static_cast<double>(job.items_left()) / piece) / left;
    if (job.spec->deadline && state.now + cost.finish > state.now + (*job.spec->deadline - state.now) * kSpare) cost.in_time = false;
  }
  if (!any) return std::nullopt;
  cost.energy = (*busy - table.power(base, state.arrivals.rate)) * cost.finish;
  return cost;
}

std::optional<Boost> job_boost(const ServingState& state, const LoadTable& table, std::size_t base, double headroom, Joules switch_cost,
                               double min_gain) {
  const bool pending = std::any_of(state.jobs.begin(), state.jobs.end(), [](const PendingJob& job) { return !job.paused; });
  if (!pending) return std::nullopt;
  const ArrivalEstimate& arrivals = state.arrivals;
  const auto at_base = job_cost(state, table, base, base);
  const auto better = [](const JobCost& a, const JobCost& b) {
    if (a.in_time != b.in_time) return a.in_time;
    return a.in_time ? a.energy < b.energy : a.finish < b.finish;
  };
  std::optional<Boost> found;
  std::optional<JobCost> in_force;
  for (std::size_t row = 0; row < state.rows.size(); ++row) {
    if (row != base && !table.serves(row, arrivals.rate * headroom, arrivals.dispersion)) continue;
    const auto cost = row == base ? at_base : job_cost(state, table, row, base);
    if (!cost) continue;
    if (row == state.row) in_force = cost;
    if (!found || better(*cost, found->cost)) found = Boost{row, *cost, at_base};
  }
  if (!found) return std::nullopt;
  // No change for nothing: the row in force stays if it is as good, and the base is left only for what repays two changes.
  const auto worth = [&](const JobCost& from, Joules price) {
    if (from.in_time != found->cost.in_time) return true;
    if (!from.in_time) return found->cost.finish < from.finish * (1.0 - min_gain);
    const Joules gain = from.energy - found->cost.energy;
    return gain > price && gain.si() > min_gain * std::abs(from.energy.si());
  };
  if (in_force && found->row != state.row && state.row != base && !worth(*in_force, switch_cost))
    found = Boost{state.row, *in_force, at_base};
  // Once the clocks are up, one change is paid for and another is due anyway.
  const Joules price = state.row == base ? switch_cost * 2.0 : Joules(0.0);
  if (found->row == base || (at_base && !worth(*at_base, price))) return std::nullopt;
  return found;
}

}  // namespace polythrottle::serving
