#include "replay/under_way.h"

#include <utility>

namespace polythrottle::replay {

tl::unexpected<Error> broken(const std::string& how) { return fail(Errc::kCorrupt, "the serving core " + how); }

UnderWay::UnderWay(const ReplayOptions& options, std::unique_ptr<Board> board)
    : options_(options), board_(std::move(board)), row_(options.row), in_row_(options.rows.size(), Seconds(0)) {
  if (options_.keep_timeline) timeline_.rows.push_back({Seconds(0), row_});
}

Status UnderWay::start_batch(const serving::RunBatch& run, std::size_t stay_behind) {
  if (batch_) return broken("starts a batch while one runs");
  if (run.requests.empty()) return broken("starts an empty batch");
  batch_ = Batch{run.id, run.requests, !step_ && !applying_, stay_behind};
  return board_->start_batch(static_cast<int>(run.requests.size()));
}

Status UnderWay::start_step(const serving::RunStep& run, std::size_t job) {
  if (step_) return broken("starts a step while one runs");
  step_ = Step{run.id, job, run.items};
  if (batch_) batch_->clean = false;
  return board_->start_step(options_.jobs[job], run.items);
}

Status UnderWay::start_change(const serving::Apply& apply, serving::Cause why) {
  if (applying_) return broken("changes the configuration while it is being changed");
  if (apply.row >= options_.rows.size()) return broken("wants a configuration that is not there");
  applying_ = apply.row;
  why_ = why;
  if (batch_) batch_->clean = false;
  board_->apply(options_.rows[apply.row].config);
  return {};
}

UnderWay::Batch UnderWay::batch_done(const Board::Event& event) {
  Batch batch = *std::exchange(batch_, std::nullopt);
  if (options_.keep_timeline) {
    timeline_.batches.push_back({event.started, event.at, static_cast<int>(batch.requests.size()), batch.queued});
  }
  return batch;
}

UnderWay::Step UnderWay::step_done(const Board::Event& event) {
  const Step step = *std::exchange(step_, std::nullopt);
  if (options_.keep_timeline) timeline_.steps.push_back({event.started, event.at, step.job, step.items});
  return step;
}

std::size_t UnderWay::applied(Seconds now, const Board::Event& event) {
  const std::size_t row = *std::exchange(applying_, std::nullopt);
  if (!event.took_effect) {
    ++changes_failed_;
    return row;
  }
  count_row_time(now);
  row_ = row;
  ++changes_;
  ++causes_[why_];
  if (options_.keep_timeline) timeline_.rows.push_back({now, row_});
  return row;
}

void UnderWay::count_row_time(Seconds now) {
  if (traffic_ended_) return;
  in_row_[row_] += now - row_since_;
  row_since_ = now;
}

void UnderWay::traffic_ended(Seconds now) {
  count_row_time(now);
  traffic_ended_ = now;
}

void UnderWay::fill(ReplayResult& result) {
  result.row_changes = changes_;
  result.row_changes_failed = changes_failed_;
  result.row_causes = causes_;
  result.row_shares.clear();
  for (const Seconds time : in_row_) result.row_shares.push_back(traffic_ended_ ? time / *traffic_ended_ : 0.0);
  result.timeline.batches = std::move(timeline_.batches);
  result.timeline.steps = std::move(timeline_.steps);
  result.timeline.rows = std::move(timeline_.rows);
}

}  // namespace polythrottle::replay
