#pragma once
// Energy over a stretch of time, with its errors.

#include <memory>
#include <vector>

#include "meter/meter.h"

namespace polythrottle {

/// What a closed window saw.
struct WindowReading {
  Seconds elapsed{0};
  Joules energy;
  std::vector<Joules> one_sigma;  ///< shared: per error source of the meter
  Joules own_error;               ///< 1 standard deviation of this window alone: both edges, and sampling
  std::vector<Joules> rails;      ///< per rail of the meter
  std::size_t reads = 0;          ///< of the meter, opening and closing included
  Seconds reading_time{0};        ///< that all of them took: what measuring cost
  /// The meter's readings from opening to closing, both included, about a block length apart and at least 0.9 of it (a power sensor: half;
  /// unless the whole window is shorter): the caller forms blocks from them for a statistical error.
  std::vector<MeterSample> samples;
};

/// Reads one meter at opening, every block on the clock's ticker (which also keeps a wrapping counter alive), and at closing; a power
/// sensor also within the blocks, every MeterInfo::sampling or a little faster on average, but not evenly: a load in step with its readings
/// would be seen always in the same place. Never sooner after one another than MeterInfo::refresh. The meter must outlive it, and nobody
/// else may read it meanwhile. Destroying an open window ends it.
class Window {
 public:
  /// Errors: those of the meter's first read.
  static Result<std::unique_ptr<Window>> open(Host& host, Meter& meter, Seconds block);
  virtual ~Window() = default;
  /// Ends the window. Errors: the first failed read; kCorrupt if energy did not advance over a window longer than 20 refresh periods;
  /// kInvalid if it was closed before.
  virtual Result<WindowReading> close() = 0;
  /// What it saw until its last whole block; reads nothing and waits for no reading; copies the readings kept so far. From any thread.
  /// Errors: as of `close`; kBusy before the first block.
  virtual Result<WindowReading> so_far() const = 0;

 protected:
  Window() = default;
};

}  // namespace polythrottle
