#include "serving/load_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace polythrottle::serving {
namespace {

constexpr std::size_t kGridPoints = 120;
constexpr double kGridDecades = 4.0;
/// Arrivals are never taken as more even than this: an estimate from few requests may be 0.
constexpr double kLeastDispersion = 0.25;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double interpolate(double x0, double y0, double x1, double y1, double x) { return x1 > x0 ? y0 + (y1 - y0) * (x - x0) / (x1 - x0) : y1; }

struct Sample {
  double latency = 0.0, power = 0.0;
};

Sample sample(const BatchCurve& curve, double rate) {
  const auto& p = curve.points;
  const auto above = std::find_if(p.begin() + 1, p.end() - 1, [&](const auto& point) { return point.rate >= rate; });
  const auto& low = *(above - 1);
  const double x = std::min(rate, above->rate);
  return {interpolate(low.rate, low.latency.count(), above->rate, above->latency.count(), x),
          interpolate(low.rate, low.power.si(), above->rate, above->power.si(), x)};
}

/// Between the curves of the neighbouring sizes; `batch` need not be whole. One smaller than any that is known takes and costs what the
/// smallest known does.
Sample sample(const RowCost& cost, double batch, double rate) {
  const auto& curves = cost.batches;
  const auto above = std::find_if(curves.begin(), curves.end() - 1, [&](const BatchCurve& c) { return c.batch >= batch; });
  if (above == curves.begin()) return sample(*above, rate * std::max(1.0, above->batch / batch));
  const Sample high = sample(*above, rate);
  if (above->batch <= batch) return high;
  const Sample low = sample(*(above - 1), rate);
  const double from = (above - 1)->batch, to = above->batch;
  // A batch takes a + b n, so that of the power above idle each request's share is as a/n + b: straight in 1/n.
  return {interpolate(from, low.latency, to, high.latency, batch),
          interpolate(-1.0 / from, low.power, -1.0 / to, high.power, -1.0 / batch)};
}

Status check(const RowCost& cost, std::size_t row) {
  int before = 0;
  for (const BatchCurve& curve : cost.batches) {
    if (curve.batch <= before) return fail(Errc::kInvalid, fmt::format("load table: the batches of row {} do not ascend", row));
    before = curve.batch;
    if (curve.points.size() < 2 || curve.points.front().rate != 0.0) {
      return fail(Errc::kInvalid, fmt::format("load table: row {} batch {} needs points from rate 0 on", row, curve.batch));
    }
    for (std::size_t i = 0; i < curve.points.size(); ++i) {
      const auto& p = curve.points[i];
      const bool fine = p.latency.count() > 0.0 && std::isfinite(p.latency.count()) && std::isfinite(p.power.si()) &&
                        std::isfinite(p.rate) && (i == 0 || p.rate > curve.points[i - 1].rate);
      if (!fine) return fail(Errc::kInvalid, fmt::format("load table: row {} batch {}: point {} cannot be right", row, curve.batch, i));
    }
  }
  return {};
}

}  // namespace

BatchCurve straight_curve(int batch, Seconds latency, Seconds after_pause, Watts idle, Watts busy) {
  // A governor keeps up with the load: at utilization u it needs no more than 1/u of the latency it has back to back.
  BatchCurve curve{batch, {{0.0, after_pause, idle}}};
  const double full = batch / latency.count();
  for (const double u : {0.1, 0.2, 0.4, 0.7, 1.0}) {
    curve.points.push_back({u * full, std::min(after_pause, latency / u), idle + (busy - idle) * u});
  }
  return curve;
}

Result<LoadTable> LoadTable::make(std::span<const RowCost> costs, Seconds slo, const LoadModel& model) {
  if (costs.empty() || costs.front().batches.empty()) {
    return fail(Errc::kInvalid, "load table: nothing is known of the reference", "measure its latency, busy and idle power");
  }
  LoadTable table;
  table.model_ = model;
  table.usable_ = slo.count() * (1.0 - model.margin);
  double highest = 0.0, quickest = kInfinity;
  for (std::size_t row = 0; row < costs.size(); ++row) {
    TRY_STATUS(check(costs[row], row));
    for (const BatchCurve& curve : costs[row].batches) {
      highest = std::max(highest, curve.points.back().rate);
      quickest = std::min(quickest, curve.points.back().latency.count() * costs[row].tail);
    }
  }
  if (quickest > table.usable_) {
    return fail(Errc::kOutOfRange, fmt::format("SLO {:.4g} ms: no row answers a single request in time", slo.count() * 1e3),
                fmt::format("the least SLO that one meets is {:.4g} ms", quickest / (1.0 - model.margin) * 1e3));
  }
  table.log_step_ = kGridDecades * std::log(10.0) / static_cast<double>(kGridPoints - 1);
  table.grid_.push_back(0.0);
  for (std::size_t i = 0; i < kGridPoints; ++i) {
    table.grid_.push_back(highest * std::exp(-table.log_step_ * static_cast<double>(kGridPoints - 1 - i)));
  }
  for (const RowCost& cost : costs) table.rows_.push_back(table.row_of(cost));
  return table;
}

LoadTable::Row LoadTable::row_of(const RowCost& cost) const {
  Row row;
  if (cost.batches.empty()) return row;
  row.known = true;
  const auto slowest = [&](int batch) {
    double most = 0.0;
    for (const double rate : grid_) most = std::max(most, sample(cost, batch, rate).latency);
    return most;
  };
  const auto back_to_back = [&](int batch) { return sample(cost, batch, kInfinity).latency; };
  for (int batch = 1; batch <= cost.batches.back().batch; ++batch) {
    row.latency.push_back(back_to_back(batch));
    row.slowest.push_back(slowest(batch));
    if (2.0 * cost.tail * row.latency.back() <= usable_) row.max_batch = batch;
  }
  // A row that leaves no room for two of its smallest batches serves nothing by the model; what it draws is said all the same.
  const double largest = std::max(cost.batches.front().batch, row.max_batch);
  row.service = row.latency[static_cast<std::size_t>(largest) - 1] / largest;
  row.fastest = row.service;
  for (std::size_t i = 0; i < row.latency.size(); ++i) row.fastest = std::min(row.fastest, row.latency[i] / static_cast<double>(i + 1));
  for (const double rate : grid_) {
    // What gathers grows with the rate and falls with the batch's own length: one crossing.
    const auto gathers = [&](double batch) {
      const double latency = sample(cost, batch, rate).latency;
      const double waiting = model_.wait ? 1.0 + rate * std::max(0.0, usable_ - cost.tail * latency) : 1.0;
      return std::max(waiting, rate * latency);
    };
    double low = 1.0, high = largest;
    if (gathers(high) >= high) low = high;
    for (int step = 0; step < 30 && high - low > 1e-6; ++step) {
      const double middle = (low + high) / 2.0;
      (gathers(middle) > middle ? low : high) = middle;
    }
    const Sample here = sample(cost, low, rate);
    row.batch.push_back(low);
    row.power.push_back(here.power);
    row.answer.push_back(2.0 * cost.tail * here.latency);
  }
  return row;
}

double LoadTable::at(const std::vector<double>& values, double rate) const {
  if (rate <= 0.0) return values.front();
  if (rate >= grid_.back()) return values.back();
  const double place = std::log(rate / grid_[1]) / log_step_;
  const std::size_t low = place < 0.0 ? 0 : std::min(static_cast<std::size_t>(place) + 1, grid_.size() - 2);
  return interpolate(grid_[low], values[low], grid_[low + 1], values[low + 1], rate);
}

bool LoadTable::serves(std::size_t index, double rate, double dispersion) const {
  const Row& row = rows_[index];
  if (!row.known || row.max_batch == 0) return false;
  const double u = rate * row.service;
  if (u > model_.max_utilization) return false;
  // The reference is what one is held against: what its governor does between rare requests is not held against it.
  if (index != 0 && at(row.answer, rate) > usable_) return false;
  const double wait = usable_ - row.latency[static_cast<std::size_t>(row.max_batch) - 1];
  return u * std::exp(-2.0 * (1.0 - u) * wait / (row.service * std::max(dispersion, kLeastDispersion))) <= model_.miss_budget;
}

double LoadTable::highest_rate(std::size_t row, double dispersion) const {
  // Where a governor slows rare batches, a row may serve a rate and none of those just below it: the highest counts.
  std::size_t top = grid_.size();
  while (top > 0 && !serves(row, grid_[top - 1], dispersion)) --top;
  if (top == 0) return 0.0;
  if (top == grid_.size()) return grid_.back();
  double low = grid_[top - 1], high = grid_[top];
  for (int step = 0; step < 30; ++step) {
    const double middle = (low + high) / 2.0;
    (serves(row, middle, dispersion) ? low : high) = middle;
  }
  return low;
}

Watts LoadTable::power(std::size_t row, double rate) const { return Watts(rows_[row].known ? at(rows_[row].power, rate) : kInfinity); }
double LoadTable::mean_batch(std::size_t row, double rate) const { return rows_[row].known ? at(rows_[row].batch, rate) : 1.0; }
double LoadTable::utilization(std::size_t row, double rate) const { return rows_[row].known ? rate * rows_[row].service : kInfinity; }

double LoadTable::least_utilization(std::size_t row, double rate) const { return rows_[row].known ? rate * rows_[row].fastest : kInfinity; }

Seconds LoadTable::latency(std::size_t row, std::size_t requests) const {
  const auto& latency = rows_[row].latency;
  if (latency.empty() || requests == 0) return Seconds(latency.empty() ? kInfinity : 0.0);
  const auto most = static_cast<std::size_t>(std::max(1, rows_[row].max_batch));
  return Seconds(latency[std::min(requests, most) - 1]);
}

std::optional<std::pair<Seconds, Seconds>> LoadTable::band(std::size_t index, std::size_t requests) const {
  const Row& row = rows_[index];
  if (requests == 0 || requests > row.latency.size()) return std::nullopt;
  return std::pair(Seconds(row.latency[requests - 1]), Seconds(std::max(row.latency[requests - 1], row.slowest[requests - 1])));
}

std::size_t LoadTable::best(double rate, double dispersion, double headroom) const {
  std::size_t found = rows_.size();
  double least = kInfinity;
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    const double watts = power(row, rate).si();
    if (watts < least && serves(row, rate * headroom, dispersion) && serves(row, rate, dispersion)) found = row, least = watts;
  }
  return found < rows_.size() ? found : strongest(dispersion);
}

std::size_t LoadTable::strongest(double dispersion) const {
  std::size_t found = 0;
  double most = highest_rate(0, dispersion);
  for (std::size_t row = 1; row < rows_.size(); ++row) {
    const double rate = highest_rate(row, dispersion);
    if (rate > most * (1.0 + 1e-9)) found = row, most = rate;
  }
  return found;
}

std::vector<LoadTable::Stretch> LoadTable::stretches(double dispersion) const {
  const double top = highest_rate(strongest(dispersion), dispersion);
  std::vector<Stretch> out;
  for (std::size_t i = 0; i + 1 < grid_.size() && grid_[i] < top; ++i) {
    const std::size_t row = best(grid_[i], dispersion);
    if (!serves(row, grid_[i], dispersion)) continue;
    const double to = std::min(grid_[i + 1], top);
    if (!out.empty() && out.back().row == row && out.back().to == grid_[i]) {
      out.back().to = to;
      continue;
    }
    double from = grid_[i];
    if (!out.empty() && out.back().to == from) {
      // The change lies between the grid's last two points.
      double low = grid_[i - 1], high = from;
      for (int step = 0; step < 30; ++step) {
        const double middle = (low + high) / 2.0;
        (best(middle, dispersion) == out.back().row ? low : high) = middle;
      }
      out.back().to = from = high;
    }
    out.push_back({from, to, row});
  }
  return out;
}

}  // namespace polythrottle::serving
