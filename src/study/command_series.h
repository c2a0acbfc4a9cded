#pragma once
// Runs one program, or two in turn, as often as it takes, and keeps account of what counts.

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "study/command_runs.h"
#include "study/compare.h"

namespace polythrottle {

enum class Fate {
  kCounted,
  kWarmUp,       ///< discarded: it came first
  kVoid,         ///< discarded: something other than the program had a part in it
  kFailed,       ///< it exited with another code than 0, or was killed; the series ends with it
  kInterrupted,  ///< we ended it; the series ends with it
};
const char* to_string(Fate fate);

/// One run in its place.
struct Turn {
  std::size_t side = 0;   ///< 0: A, 1: B
  std::size_t round = 0;  ///< of its kind (warm-up or not), from 0; both sides run in each
  Fate fate = Fate::kCounted;
  CommandRun run;
};

struct SeriesPlan {
  std::vector<Program> programs;  ///< one or two
  std::size_t runs = 1;           ///< of each, that count
  std::size_t warm_up = 0;        ///< of each, before
};

/// All runs in the order they happened.
struct Series {
  std::vector<Turn> turns;
  bool interrupted = false;  ///< in a run or between two
  std::string given_up;      ///< why no more were made: too many in a row were void; empty: all were made, or one failed or was interrupted
};

/// What is about to run.
using TurnBegins = std::function<void(std::size_t side, std::size_t round, bool warm_up)>;
using TurnEnds = std::function<void(const Turn& turn)>;

/// Two programs alternate as A B, B A, A B ...: each is first in half of the rounds, so that a steady drift hits both alike. A void run is
/// made again at once, and its round goes without it if that is void too; three void runs in a row end the series. The first run that
/// fails or is interrupted ends it too, warm-up included. Errors: a program that cannot be started.
Result<Series> run_series(CommandMeter& meter, const SeriesPlan& plan, const TurnBegins& begins, const TurnEnds& ends,
                          std::stop_token stop);

/// The runs of one side that count.
std::vector<const CommandRun*> counted_runs(const Series& series, std::size_t side);
/// The run that ended the series early; null where all were made.
const Turn* cut_short_by(const Series& series);

/// Energy (J), power (W) and time (s) of a run.
RunValue energy_of(const CommandRun& run);
RunValue power_of(const CommandRun& run);
RunValue time_of(const CommandRun& run);

/// Rounds in which both sides count, by one of the quantities above.
std::vector<RunPair> pairs_of(const Series& series, RunValue (*quantity)(const CommandRun& run));

}  // namespace polythrottle
