#pragma once
// Whether the machine is still the one that was measured: latency and energy in their band, temperature, nobody else at the knobs.

#include <optional>
#include <string>
#include <vector>

#include "base/units.h"
#include "serving/row_choice.h"
#include "serving/state.h"

namespace polythrottle::serving {

/// Two cumulative sums (Page 1954, Biometrika 41), one for each side, over numbers that are expected at 0 give or take `tolerated`. Each
/// block adds (mean - tolerated)/deviation - 1/2, at most 3, so that no single block raises an alarm; the sum alarms at `height`.
class DriftTest {
 public:
  /// One alarm in so many blocks, on average, where the truth lies at the edge of what is tolerated and blocks scatter normally; fewer
  /// within. By Siegmund's approximation (Siegmund 1985, Sequential Analysis, eq. 2.57) of the run length. `blocks` above 100.
  static double height(double blocks);

  explicit DriftTest(double tolerated, double height) : tolerated_(tolerated), height_(height) {}
  /// A block: its mean, and the standard deviation of that. Answers the side that alarms: +1 above, -1 below, 0 none.
  int add(double mean, double deviation);

 private:
  double tolerated_, height_;
  double above_ = 0.0, below_ = 0.0;
};

/// How well a row's numbers are known: relative standard deviations.
struct RowBand {
  double batch = 0.05;   ///< of one batch's latency around its mean
  double visit = 0.02;   ///< of the mean, from one visit to the next, and of the expectation itself
  double energy = 0.03;  ///< of the energy of a window, likewise
};

struct DriftOptions {
  double tolerated = 0.05;            ///< relative: what is no drift yet
  double false_alarms_per_day = 0.1;  ///< at most, of latency and energy together; at the edge of what is tolerated
  Seconds block{1};                   ///< batches of so long make one block: there are at most so many a day
  std::optional<Celsius> hottest;     ///< temperature that raises kHot
};

/// Fed by the driver, which hands an alarm to Core::on_alarm. The first alarm stays; feeding goes on without effect. Not thread-safe.
class DriftGuard {
 public:
  /// `bands`: one per row.
  DriftGuard(std::vector<RowBand> bands, const DriftOptions& options);

  /// A batch ran alone or beside a step (then nothing is learned of the row). `expected`: as measured in the study for this row, size and
  /// load, or a prediction that does not learn from what it is held against: one that does follows the drift.
  std::optional<Alarm> batch_done(Time now, std::size_t row, Seconds latency, Seconds expected, bool beside);
  /// Joules of a window of at least one block in one row without jobs, and what its requests should have taken.
  std::optional<Alarm> energy_window(Time now, std::size_t row, Joules drawn, Joules expected);
  std::optional<Alarm> temperature(Time now, Celsius celsius);
  /// What the knobs hold while `asked` is in force. Names that `got` lacks are not looked at.
  std::optional<Alarm> read_back(Time now, const Config& asked, const Config& got);

  /// The study is not to be relied on any longer.
  struct Stale {
    Alarm alarm = Alarm::kDrift;
    Time at{0};
    std::string reason;  ///< one line for people
  };
  const std::optional<Stale>& stale() const { return stale_; }

 private:
  struct Block {
    Time began{0};
    std::size_t row = 0;
    double sum = 0.0;
    std::size_t count = 0;
  };
  std::optional<Alarm> raise(Alarm alarm, Time now, std::string reason);
  std::optional<Alarm> close(Time now);

  std::vector<RowBand> bands_;
  DriftOptions options_;
  DriftTest latency_, energy_;
  std::optional<Block> block_;
  std::optional<Stale> stale_;
};

}  // namespace polythrottle::serving
