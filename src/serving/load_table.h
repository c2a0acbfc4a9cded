#pragma once
// Which configuration serves a rate of requests for the least power: what is known of each row under load, made into a table.

#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace polythrottle::serving {

/// Batches of one size in one row, from rare to back to back.
struct BatchCurve {
  struct Point {
    double rate = 0.0;   ///< requests a second; ascending, the first 0, the last that of batches back to back
    Seconds latency{0};  ///< of one batch at that rate: a governor may let the clock fall between rare ones
    Watts power;         ///< mean; at rate 0 that of doing nothing
  };
  int batch = 1;
  std::vector<Point> points;
};
/// Where only batches back to back and idle power were measured: power is a straight line between the two, as it is when the device
/// does a batch's work at the same clocks whatever the load. `after_pause`: latency of a batch when the one before it is long ago.
BatchCurve straight_curve(int batch, Seconds latency, Seconds after_pause, Watts idle, Watts busy);

/// What is known of a row. Without curves nothing is decided by it, and it is not chosen for a rate.
struct RowCost {
  std::vector<BatchCurve> batches;  ///< by batch, ascending; sizes between are interpolated, none above the last is run
  double tail = 1.05;               ///< a high percentile of latency over its mean, at least 1
};

/// How the server turns requests into batches, and what it may risk.
struct LoadModel {
  bool wait = true;               ///< a batch waits for more requests as long as its first deadline allows (PolicyOptions::wait)
  double margin = 0.05;           ///< of the SLO, left free, in [0, 1)
  double max_utilization = 0.85;  ///< of the time that full batches would need; in (0, 1)
  double miss_budget = 1e-3;      ///< probability that a request waits too long in the queue; in (0, 1)
};

/// Pure. Rates are in requests a second, `dispersion` as ArrivalEstimate::dispersion.
///
/// The model, of one row at rate r: the mean batch is b = min(B, 1 + r (SLO - t(b, r))), since a batch waits for as long as its first
/// deadline allows, or what gathers during the batch before where that is more; power is read off the curves of b at r. B is the largest
/// batch with t(B) + t(B) <= SLO: a request that comes just after a batch has begun is still answered in time by the next.
/// The row serves r if r t(B)/B is at most `max_utilization`, if t(b, r) + t(b, r) <= SLO (not asked of the reference), and if waiting
/// longer than the SLO leaves has at most the probability `miss_budget` by the heavy-traffic approximation of a single server (Kingman
/// 1961, Proc. Camb. Phil. Soc. 57): P(W > w) = u exp(-2 (1 - u) w / (s d)), s the time per request in full batches and d the dispersion of
/// arrivals.
class LoadTable {
 public:
  /// `costs`: one per row, the first is the reference's. Errors: kInvalid for a curve whose rates do not ascend from 0, whose latencies
  /// are not positive, or where the first row has none; kOutOfRange where no row answers a single request within the SLO, saying the
  /// least SLO that one does.
  static Result<LoadTable> make(std::span<const RowCost> costs, Seconds slo, const LoadModel& model = {});

  std::size_t rows() const { return rows_.size(); }
  bool serves(std::size_t row, double rate, double dispersion) const;
  /// 0: it serves none.
  double highest_rate(std::size_t row, double dispersion) const;
  /// Infinite where nothing is known of the row.
  Watts power(std::size_t row, double rate) const;
  double mean_batch(std::size_t row, double rate) const;
  /// Time that full batches would need, over the time there is; above 1 the queue grows.
  double utilization(std::size_t row, double rate) const;
  /// The same in batches of whatever size does most, room or not.
  double least_utilization(std::size_t row, double rate) const;
  /// Mean latency of so many requests, back to back; of the largest batch where there are more.
  Seconds latency(std::size_t row, std::size_t requests) const;
  /// A batch of so many at the row's clocks: back to back, and at its slowest, where a governor has let them fall or the table says so at
  /// some load. nullopt: nothing is known of it.
  std::optional<std::pair<Seconds, Seconds>> band(std::size_t row, std::size_t requests) const;
  /// The B of the model; 0: not even one request.
  int max_batch(std::size_t row) const { return rows_[row].max_batch; }
  /// Of those that serve rate x headroom, the one of least power at `rate`; `strongest` where none does.
  std::size_t best(double rate, double dispersion, double headroom = 1.0) const;
  /// The row that serves the highest rate.
  std::size_t strongest(double dispersion) const;

  /// Rates from `from` to `to` for which `row` is best.
  struct Stretch {
    double from = 0.0, to = 0.0;
    std::size_t row = 0;
  };
  /// Ascending, up to the highest rate that any row serves; neighbours with one row are merged. Empty where none serves any.
  std::vector<Stretch> stretches(double dispersion) const;

 private:
  /// At the rates of `grid_`.
  struct Row {
    std::vector<double> power, batch, answer;  // W, requests, s from coming just after a batch has begun to the answer
    std::vector<double> slowest;               // s by batch size: at the load where it is slowest
    std::vector<double> latency;               // s, back to back, by batch - 1
    int max_batch = 0;
    double service = 0.0;  // s per request in full batches
    double fastest = 0.0;  // s per request in batches of whatever size does most
    bool known = false;
  };
  double at(const std::vector<double>& values, double rate) const;
  Row row_of(const RowCost& cost) const;

  LoadModel model_;
  double usable_ = 0.0;  // s of the SLO
  std::vector<double> grid_;
  double log_step_ = 0.0;
  std::vector<Row> rows_;
};

}  // namespace polythrottle::serving
