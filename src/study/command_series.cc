#include "study/command_series.h"

#include <algorithm>

namespace polythrottle {
namespace {

constexpr int kTries = 2;
constexpr std::size_t kVoidInARow = 3;

class Runs {
 public:
  Runs(CommandMeter& meter, const SeriesPlan& plan, const TurnBegins& begins, const TurnEnds& ends, std::stop_token stop)
      : meter_(meter), plan_(plan), begins_(begins), ends_(ends), stop_(std::move(stop)) {}

  Result<Series> all() {
    for (std::size_t round = 0; round < plan_.warm_up; ++round) TRY_STATUS(both(round, true));
    for (std::size_t round = 0; round < plan_.runs; ++round) TRY_STATUS(both(round, false));
    return std::move(series_);
  }

 private:
  Status both(std::size_t round, bool warm_up) {
    const std::size_t sides = plan_.programs.size();
    for (std::size_t i = 0; i < sides && !over_; ++i) {
      const std::size_t side = round % 2 == 0 ? i : sides - 1 - i;
      for (int turn = 0; turn < kTries && !over_; ++turn) {
        TRY(const Fate fate, one(side, round, warm_up));
        if (fate != Fate::kVoid) break;
      }
    }
    return {};
  }

  Result<Fate> one(std::size_t side, std::size_t round, bool warm_up) {
    if (stop_.stop_requested()) {
      over_ = series_.interrupted = true;
      return Fate::kInterrupted;
    }
    if (begins_) begins_(side, round, warm_up);
    TRY(CommandRun run, meter_.run(plan_.programs[side], stop_));
    const Fate fate = fate_of(run, warm_up);
    void_in_a_row_ = fate == Fate::kVoid ? void_in_a_row_ + 1 : 0;
    if (void_in_a_row_ == kVoidInARow) series_.given_up = run.spoiled;
    over_ = fate == Fate::kFailed || fate == Fate::kInterrupted || void_in_a_row_ == kVoidInARow;
    series_.interrupted = fate == Fate::kInterrupted;
    series_.turns.push_back({side, round, fate, std::move(run)});
    if (ends_) ends_(series_.turns.back());
    return fate;
  }

  static Fate fate_of(const CommandRun& run, bool warm_up) {
    if (run.interrupted) return Fate::kInterrupted;
    if (run.exit.code != 0 || run.exit.signal != 0) return Fate::kFailed;
    if (warm_up) return Fate::kWarmUp;
    return run.spoiled.empty() ? Fate::kCounted : Fate::kVoid;
  }

  CommandMeter& meter_;
  const SeriesPlan& plan_;
  const TurnBegins& begins_;
  const TurnEnds& ends_;
  std::stop_token stop_;
  Series series_;
  std::size_t void_in_a_row_ = 0;
  bool over_ = false;
};

}  // namespace

const char* to_string(Fate fate) {
  switch (fate) {
    case Fate::kCounted: return "counted";
    case Fate::kWarmUp: return "warm_up";
    case Fate::kVoid: return "void";
    case Fate::kFailed: return "failed";
    case Fate::kInterrupted: return "interrupted";
  }
  return "void";
}

Result<Series> run_series(CommandMeter& meter, const SeriesPlan& plan, const TurnBegins& begins, const TurnEnds& ends,
                          std::stop_token stop) {
  return Runs(meter, plan, begins, ends, std::move(stop)).all();
}

std::vector<const CommandRun*> counted_runs(const Series& series, std::size_t side) {
  std::vector<const CommandRun*> out;
  for (const auto& turn : series.turns) {
    if (turn.side == side && turn.fate == Fate::kCounted) out.push_back(&turn.run);
  }
  return out;
}

const Turn* cut_short_by(const Series& series) {
  if (series.turns.empty()) return nullptr;
  const Turn& last = series.turns.back();
  return last.fate == Fate::kFailed || last.fate == Fate::kInterrupted ? &last : nullptr;
}

RunValue energy_of(const CommandRun& run) {
  RunValue out{run.reading.energy.si(), run.reading.own_error.si(), {}};
  for (const auto& sigma : run.reading.one_sigma) out.shared.push_back(sigma.si());
  return out;
}

RunValue power_of(const CommandRun& run) { return energy_of(run).over(run.reading.elapsed.count()); }

RunValue time_of(const CommandRun& run) { return {run.time.count(), 0.0, {}}; }

std::vector<RunPair> pairs_of(const Series& series, RunValue (*quantity)(const CommandRun& run)) {
  std::vector<RunPair> out;
  const Turn* before = nullptr;
  for (const auto& turn : series.turns) {
    if (turn.fate != Fate::kCounted) continue;
    if (before != nullptr && before->round == turn.round && before->side != turn.side) {
      const Turn& a = turn.side == 0 ? turn : *before;
      const Turn& b = turn.side == 0 ? *before : turn;
      out.push_back({quantity(a.run), quantity(b.run), turn.side == 0});
    }
    before = &turn;
  }
  return out;
}

}  // namespace polythrottle
