#include "crash/matrix.h"

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "crash/family.h"
#include "crash/scratch_machine.h"
#include "crash/study_words.h"
#include "journal/journal.h"

namespace polythrottle::crash {
namespace {

namespace fs = std::filesystem;

constexpr int kSeedsTried = 20;
constexpr int kResumeEvery = 8;

/// A place of a run, as POLYTHROTTLE_INJECT=count lists it.
struct Point {
  int number = 0;
  bool before = false;
  std::string what;
  bool is_write() const { return before && !what.starts_with("journal "); }
};

std::vector<Point> read_points(const std::string& path) {
  std::ifstream file(path);
  std::vector<Point> out;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    Point point;
    std::string side;
    words >> point.number >> side;
    point.before = side == "before";
    std::getline(words >> std::ws, point.what);
    out.push_back(std::move(point));
  }
  return out;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// One platform.
class Matrix {
 public:
  Matrix(const std::string& fixture, const std::string& folder, const Choice& choice)
      : choice_(choice), folder_(folder), machine_(fixture, folder), study_(folder + "/study.sqlite") {
    tally_.platform = fs::path(fixture).filename().string();
    flags_ = knob_flags(machine_.root(), tally_.knobs);
  }

  Tally all() {
    if (!learn()) return tally_;
    for (const char* kind : {kTunerKilled, kWatchdogKilled, kBothKilled}) {
      if (wanted(kind)) kill_at_every_point(kind);
    }
    for (const char* kind : {kWriteFails, kWritesFail}) {
      if (wanted(kind)) fail_at_every_write(kind);
    }
    if (wanted(kRestoreKilled) || wanted(kRestoreFails)) disturb_restore();
    return tally_;
  }

 private:
  bool wanted(const std::string& kind) const { return std::find(choice_.kinds.begin(), choice_.kinds.end(), kind) != choice_.kinds.end(); }
  void failure(const std::string& injection, const std::string& what) {
    tally_.failures.push_back(tally_.platform + ", " + injection + ": " + what);
  }

  /// A whole run without a fault: its places, and proof that such a run moves every knob, ends well and gives the machine back.
  bool learn() {
    const std::string list = folder_ + "/points";
    std::size_t best_moved = 0;
    for (int seed = 1; seed <= kSeedsTried && best_moved < tally_.knobs.size(); ++seed) {
      fresh();
      const Ended ended = tune(seed, "count:" + list);
      if (ended.exit_code != 0) {
        failure("no fault", "tune ended with " + std::to_string(ended.exit_code) + ": " + first_line(ended.err));
        return false;
      }
      for (const auto& difference : machine_.changed()) failure("no fault", difference);
      const auto trials = trials_of_study();
      std::size_t moved = 0;
      for (const auto& name : tally_.knobs) {
        const auto first = trials->front().asked.get(name);
        moved += std::any_of(trials->begin(), trials->end(), [&](const Trial& t) { return t.asked.get(name) != first; }) ? 1 : 0;
      }
      if (moved <= best_moved) continue;
      best_moved = moved;
      seed_ = seed;
      points_ = read_points(list);
      for (const auto& trial : *trials) {
        if (trial.state != TrialState::kCompleted) failure("no fault", "a trial was not completed: " + trial.outcome.note);
      }
    }
    if (best_moved < tally_.knobs.size()) failure("no fault", "no seed of 20 moves every knob");
    for (const auto& word : tune_words("ROOT", flags_, seed_, "STUDY")) tally_.command += " " + word;
    tally_.points = static_cast<int>(points_.size());
    tally_.writes = static_cast<int>(std::count_if(points_.begin(), points_.end(), [](const Point& p) { return p.is_write(); }));
    return tally_.failures.empty();
  }

  void kill_at_every_point(const std::string& kind) {
    for (std::size_t i = 0; i < points_.size(); i += static_cast<std::size_t>(choice_.every)) {
      const std::string injection = kind + "@" + std::to_string(points_[i].number);
      fresh();
      const Ended ended = tune(seed_, injection);
      if (kind != kWatchdogKilled && ended.signal != SIGKILL) failure(injection, "not reached: " + first_line(ended.err));
      if (kind == kWatchdogKilled && ended.exit_code != 0) failure(injection, "tune did not go on: " + first_line(ended.err));
      if (kind == kTunerKilled) tally_.slowest_rescue = std::max(tally_.slowest_rescue, ended.survived.count());
      keep_if_worst(kind);
      judge(kind, injection, ended, kind != kBothKilled);
      look_at_study(injection, points_[i].number, i % kResumeEvery == 0);
    }
  }

  void fail_at_every_write(const std::string& kind) {
    int nth = 0;
    for (const auto& point : points_) {
      if (!point.is_write() || nth++ % choice_.every != 0) continue;
      const std::string injection = kind + "@" + std::to_string(point.number) + (kind == kWritesFail ? "+" : "");
      fresh();
      const Ended ended = tune(seed_, injection);
      if (ended.exit_code != 0 && ended.exit_code != 1) failure(injection, "tune ended with " + std::to_string(ended.exit_code));
      if (ended.exit_code == 1 && !ended.err.starts_with("polythrottle: ")) failure(injection, "no clear word: " + first_line(ended.err));
      judge(kind, injection, ended, false);
      look_at_study(injection, 0, false);
    }
  }

  /// The restore after the worst crash is itself killed, or refused, at each of its places.
  void disturb_restore() {
    const std::string list = folder_ + "/restore-points";
    put_worst();
    (void)restore("count:" + list);
    const auto points = read_points(list);
    if (points.empty()) failure("restore", "it wrote nothing after the worst crash");
    for (std::size_t i = 0; i < points.size(); i += static_cast<std::size_t>(choice_.every)) {
      const Point& point = points[i];
      for (const char* kind : {kRestoreKilled, kRestoreFails}) {
        if (!wanted(kind) || (kind == kRestoreFails && !point.is_write())) continue;
        const bool kills = kind == kRestoreKilled;
        const std::string injection = std::string(kills ? "kill:self@" : "fail:EIO@") + std::to_string(point.number) + (kills ? "" : "+");
        put_worst();
        const Ended ended = restore(injection);
        if (kills && ended.signal != SIGKILL) failure("restore, " + injection, "not reached: " + first_line(ended.err));
        if (!kills && (ended.exit_code != 1 || ended.err.empty())) failure("restore, " + injection, "it did not say that it failed");
        judge(kind, "restore, " + injection, ended, false);
      }
    }
  }

  /// What is left when everybody is gone, and after one restore.
  void judge(const std::string& kind, const std::string& injection, const Ended& ended, bool survivors_must) {
    Row& row = tally_.rows[kind];
    ++row.runs;
    if (ended.hung) failure(injection, "something of it was still there after two minutes");
    const auto left = machine_.changed();
    if (left.empty()) {
      ++row.by_survivors;
    } else if (survivors_must) {
      failure(injection, "not given back: " + left.front());
    } else if (ended.signal == 0 && ended.err.empty()) {
      failure(injection, "not given back, and nothing was said: " + left.front());
    }
    const Ended restored = restore({});
    const auto still = machine_.changed();
    if (restored.exit_code != 0) failure(injection, "restore: " + first_line(restored.err));
    if (!still.empty()) failure(injection, "after restore: " + still.front());
    if (fs::exists(machine_.record())) failure(injection, "after restore a record is left");
    if (restored.exit_code == 0 && still.empty() && !fs::exists(machine_.record())) ++row.after_restore;
  }

  /// It can be read, no trial is missing whose end was on disk before the crash at that point (0: there was none), and it can be gone on
  /// with.
  void look_at_study(const std::string& injection, int at, bool resume) {
    const auto trials = trials_of_study();
    const auto finished = std::count_if(points_.begin(), points_.end(),
                                        [&](const Point& p) { return !p.before && p.what == "journal finish" && p.number <= at; });
    const auto there =
        trials ? std::count_if(trials->begin(), trials->end(), [](const Trial& t) { return t.state != TrialState::kRunning; }) : 0;
    if (!trials || there < finished) {
      failure(injection, !trials ? "the study cannot be read" : "a finished trial is lost");
      return;
    }
    ++tally_.reopened;
    const bool has_facts = at >= 2;  // the first call of the study file is what makes it one that can be resumed
    if (!resume || !has_facts) return;
    const Ended ended = run_family({"--sysroot", machine_.root(), "tune", "--resume", "--study", study_, "--quiet"}, {}, folder_);
    if (ended.exit_code != 0 || !machine_.changed().empty() || fs::exists(machine_.record())) {
      failure(injection, "resume: " + (ended.exit_code == 0 ? std::string("the machine is not as found") : first_line(ended.err)));
      return;
    }
    ++tally_.resumed;
  }

  std::optional<std::vector<Trial>> trials_of_study() const {
    auto journal = open_sqlite_journal(study_, OpenMode::kReadOnly);
    if (!journal) return std::nullopt;
    auto history = (*journal)->history();
    return history ? std::optional(std::move(*history)) : std::nullopt;
  }

  void fresh() {
    machine_.renew();
    for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(study_ + suffix);
  }
  void keep_if_worst(const std::string& kind) {
    const int changed = kind == kBothKilled ? static_cast<int>(machine_.changed().size()) : 0;
    if (changed <= tally_.most_changed) return;
    tally_.most_changed = changed;
    copy(machine_.root(), folder_ + "/worst");
  }
  void put_worst() const { copy(folder_ + "/worst", machine_.root()); }
  static void copy(const std::string& from, const std::string& to) {
    fs::remove_all(to);
    fs::copy(from, to, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  }

  Ended tune(int seed, const std::string& injection) const {
    return run_family(tune_words(machine_.root(), flags_, seed, study_), {{"POLYTHROTTLE_INJECT", injection}}, folder_);
  }
  Ended restore(const std::string& injection) const {
    std::map<std::string, std::string> environment;
    if (!injection.empty()) environment["POLYTHROTTLE_INJECT"] = injection;
    return run_family({"--sysroot", machine_.root(), "restore"}, environment, folder_);
  }

  Choice choice_;
  std::string folder_;
  ScratchMachine machine_;
  std::string study_;
  std::vector<std::string> flags_;
  int seed_ = 1;
  std::vector<Point> points_;
  Tally tally_;
};

}  // namespace

Tally run_matrix(const std::string& fixture, const std::string& folder, const Choice& choice) {
  fs::create_directories(folder);
  return Matrix(fixture, folder, choice).all();
}

}  // namespace polythrottle::crash
