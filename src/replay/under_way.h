#pragma once
// The board's side of a replay: what the core has asked of it and has not ended, and the row it is in.

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "replay/board.h"
#include "replay/replay.h"
#include "serving/core.h"

namespace polythrottle::replay {

/// The core did what its contract forbids.
tl::unexpected<Error> broken(const std::string& how);

/// Starts batches, steps and changes of the row, one of each at a time, and says what has ended. One thread.
class UnderWay {
 public:
  struct Batch {
    serving::BatchId id = 0;
    std::vector<serving::RequestId> requests;
    bool clean = true;       ///< no step ran beside it, and the row did not change
    std::size_t queued = 0;  ///< that stayed behind
  };
  struct Step {
    serving::StepId id = 0;
    std::size_t job = 0;
    int items = 0;
  };

  /// `options` outlives it. The board is in `options.row`.
  UnderWay(const ReplayOptions& options, std::unique_ptr<Board> board);

  const Board& board() const { return *board_; }
  std::size_t row() const { return row_; }
  bool nothing() const { return !batch_ && !step_ && !applying_; }
  bool step() const { return step_.has_value(); }

  /// Errors: kCorrupt for a second one while one is under way, an empty batch, a row that is not there; those of the board.
  Status start_batch(const serving::RunBatch& run, std::size_t stay_behind);
  Status start_step(const serving::RunStep& run, std::size_t job);
  Status start_change(const serving::Apply& apply, serving::Cause why);

  /// As Board::next.
  std::optional<Board::Event> next(std::optional<Seconds> until) { return board_->next(until); }
  /// What the event was the end of.
  Batch batch_done(const Board::Event& event);
  Step step_done(const Board::Event& event);
  /// The row that was asked for. It is in force if the event says that it took effect.
  std::size_t applied(Seconds now, const Board::Event& event);

  /// What comes later is no part of the shares of the rows.
  void traffic_ended(Seconds now);
  /// Fills in changes and shares of the rows, and the timeline but for the power.
  void fill(ReplayResult& result);

 private:
  void count_row_time(Seconds now);

  const ReplayOptions& options_;
  std::unique_ptr<Board> board_;
  std::optional<Batch> batch_;
  std::optional<Step> step_;
  std::optional<std::size_t> applying_;
  serving::Cause why_ = serving::Cause::kRate;  ///< of the change under way
  std::size_t row_;
  Seconds row_since_{0};
  std::optional<Seconds> traffic_ended_;
  std::size_t changes_ = 0, changes_failed_ = 0;
  std::map<serving::Cause, std::size_t> causes_;
  std::vector<Seconds> in_row_;
  Timeline timeline_;
};

}  // namespace polythrottle::replay
