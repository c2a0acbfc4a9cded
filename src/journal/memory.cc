#include "journal/journal.h"

namespace polythrottle {
namespace {

class MemoryJournal final : public Journal {
 public:
  Result<StudyFacts> facts() const override { return facts_; }

  Status describe(const StudyFacts& facts) override {
    for (const auto& [key, value] : facts) facts_[key] = value;
    return {};
  }

  Result<TrialId> begin(const Advice& advice, std::uint64_t seed, double wall_seconds) override {
    Trial trial;
    trial.id = static_cast<TrialId>(trials_.size()) + 1;
    trial.advice = advice;
    trial.asked = advice.config;
    trial.seed = seed;
    trial.started = wall_seconds;
    trial.outcome.state = TrialState::kRunning;
    trials_.push_back(trial);
    return trial.id;
  }

  Status finish(TrialId id, const Outcome& outcome, double wall_seconds) override {
    if (id < 1 || id > static_cast<TrialId>(trials_.size())) return fail(Errc::kInvalid, "finish: no such trial");
    Trial& trial = trials_[static_cast<std::size_t>(id - 1)];
    if (trial.state != TrialState::kRunning) return fail(Errc::kInvalid, "finish: the trial is not running");
    trial.state = outcome.state;
    trial.outcome = outcome;
    trial.finished = wall_seconds;
    return {};
  }

  Result<std::vector<Trial>> history() const override { return trials_; }

 private:
  StudyFacts facts_;
  std::vector<Trial> trials_;
};

}  // namespace

std::unique_ptr<Journal> memory_journal() { return std::make_unique<MemoryJournal>(); }

}  // namespace polythrottle
