#include "cli/question.h"

#include "journal/journal.h"

namespace polythrottle {

void bind_question(CLI::App& command, Question& q) {
  command.add_option("STUDY", q.study, "Study file")->required();
  command.add_option("--slo", q.slo, "Ask about another SLO, without a new measurement");
  command.add_option("--constraint", q.constraints, "Ask about other constraints, repeatable")->allow_extra_args(false);
}

Result<std::optional<std::vector<ConstraintSpec>>> other_limits(const Question& q) {
  if (q.slo.empty() && q.constraints.empty()) return std::nullopt;
  std::vector<ConstraintSpec> out;
  if (!q.slo.empty()) {
    TRY(auto slo, parse_slo(q.slo));
    out.push_back(std::move(slo));
  }
  for (const auto& text : q.constraints) {
    TRY(auto constraint, parse_constraint(text));
    out.push_back(std::move(constraint));
  }
  return out;
}

Result<Summary> summarize_file(const Question& q, std::optional<std::vector<ConstraintSpec>> limits) {
  TRY(const auto journal, open_sqlite_journal(q.study, OpenMode::kReadOnly));
  TRY(const auto facts, journal->facts());
  TRY(auto history, journal->history());
  if (limits && q.slo.empty()) {  // other constraints alone: the study's own SLO stays
    TRY(const auto own, limits_of(facts));
    limits->insert(limits->begin(), own.front());
  }
  return summarize(facts, std::move(history), limits);
}

}  // namespace polythrottle
