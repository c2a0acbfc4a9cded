#pragma once
// For tests: the summary of a study of a made-up machine, as it reads back from a journal.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "optimizer/synthetic_search.h"
#include "study/runner.h"
#include "study/summary.h"
#include "trial/json.h"

namespace polythrottle {

class SyntheticStudy {
 public:
  /// Limits as `tune` takes them, the SLO first; absolute ones.
  SyntheticStudy(Space space, SyntheticSearch::Machine machine, std::vector<std::string> limits, std::uint64_t seed = 0)
      : limits_(std::move(limits)), search(std::move(space), std::move(machine), numbers(limits_), seed) {
    search.add(search.problem().reference, Advice::Kind::kReference);
  }

  StudyFacts facts() const {
    Json more = Json::array();
    for (std::size_t i = 1; i < limits_.size(); ++i) more.push_back(limits_[i]);
    return {{fact::kProvenance, "simulated"},
            {fact::kObjective, search.objective.metric},
            {fact::kReference, to_json(search.problem().reference).dump()},
            {fact::kSlo, limits_.front()},
            {fact::kConstraints, more.dump()},
            {fact::kDevice, "made-up"},
            {fact::kDeviceText, "a made-up machine"},
            {fact::kSpace, to_json(search.space().parameters()).dump()},
            {fact::kAllowed, search.space().ranges()},
            {fact::kSeed, std::to_string(search.problem().seed)}};
  }

  /// Everything measured once, in the order of the candidates.
  void measure_all() {
    for (CandidateId id = 0; id < search.space().size(); ++id) {
      if (!(search.space().config(id) == search.problem().reference)) search.add(search.space().config(id));
    }
  }

  /// Written to a journal and read back; `limits` as `show` takes them, nothing for the study's own.
  Result<Summary> summary(const std::vector<std::string>& limits = {}) const {
    const auto journal = memory_journal();
    TRY_STATUS(journal->describe(facts()));
    for (const Trial& t : search.history) {
      TRY(const TrialId id, journal->begin(t.advice, 0, static_cast<double>(10 * t.id)));
      TRY_STATUS(journal->finish(id, t.outcome, static_cast<double>(10 * t.id + 2)));
    }
    TRY(const auto read, journal->facts());
    TRY(auto history, journal->history());
    if (limits.empty()) return summarize(read, std::move(history));
    return summarize(read, std::move(history), specs(limits));
  }

 private:
  static std::vector<ConstraintSpec> specs(const std::vector<std::string>& texts) {
    std::vector<ConstraintSpec> out;
    for (std::size_t i = 0; i < texts.size(); ++i) out.push_back(i == 0 ? parse_slo(texts[i]).value() : parse_constraint(texts[i]).value());
    return out;
  }
  static std::vector<Constraint> numbers(const std::vector<std::string>& texts) {
    std::vector<Constraint> out;
    for (const auto& spec : specs(texts)) out.push_back(resolve(spec, {}).value());
    return out;
  }

  std::vector<std::string> limits_;

 public:
  SyntheticSearch search;
};

}  // namespace polythrottle
