#include "journal/observed.h"

#include <type_traits>
#include <utility>

namespace polythrottle {
namespace {

class ObservedJournal final : public Journal {
 public:
  ObservedJournal(std::unique_ptr<Journal> inner, JournalObserver observer) : inner_(std::move(inner)), observer_(std::move(observer)) {}

  Result<StudyFacts> facts() const override { return inner_->facts(); }
  Result<std::vector<Trial>> history() const override { return inner_->history(); }
  Status describe(const StudyFacts& facts) override {
    return around("describe", [&] { return inner_->describe(facts); });
  }
  Result<TrialId> begin(const Advice& advice, std::uint64_t seed, double wall_seconds) override {
    return around("begin", [&] { return inner_->begin(advice, seed, wall_seconds); });
  }
  Status finish(TrialId id, const Outcome& outcome, double wall_seconds) override {
    return around("finish", [&] { return inner_->finish(id, outcome, wall_seconds); });
  }

 private:
  template <class Call>
  std::invoke_result_t<Call> around(const char* name, Call&& call) {
    observer_.before(name);
    auto answer = call();
    observer_.after(name);
    return answer;
  }

  std::unique_ptr<Journal> inner_;
  JournalObserver observer_;
};

}  // namespace

std::unique_ptr<Journal> observed_journal(std::unique_ptr<Journal> inner, JournalObserver observer) {
  return std::make_unique<ObservedJournal>(std::move(inner), std::move(observer));
}

}  // namespace polythrottle
