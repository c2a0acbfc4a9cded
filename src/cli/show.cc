// polythrottle show: a study again, from its file alone.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/cli.h"
#include "journal/journal.h"
#include "report/report.h"
#include "study/summary.h"

namespace polythrottle {
namespace {

struct ShowOptions {
  std::string study, slo, json, csv;
  std::vector<std::string> constraints;
};

int show(const ShowOptions& o) {
  std::optional<std::vector<ConstraintSpec>> limits;
  if (!o.slo.empty() || !o.constraints.empty()) {
    limits.emplace();
    if (!o.slo.empty()) {
      auto slo = parse_slo(o.slo);
      if (!slo) return complain(slo.error(), kExitUsage);
      limits->push_back(std::move(*slo));
    }
    for (const auto& text : o.constraints) {
      auto constraint = parse_constraint(text);
      if (!constraint) return complain(constraint.error(), kExitUsage);
      limits->push_back(std::move(*constraint));
    }
  }
  const auto journal = open_sqlite_journal(o.study, OpenMode::kReadOnly);
  if (!journal) return complain(journal.error(), kExitFailure);
  const auto facts = (*journal)->facts();
  if (!facts) return complain(facts.error(), kExitFailure);
  auto history = (*journal)->history();
  if (!history) return complain(history.error(), kExitFailure);
  if (limits && o.slo.empty()) {  // other constraints alone: the study's own SLO stays
    const auto own = limits_of(*facts);
    if (!own) return complain(own.error(), kExitFailure);
    limits->insert(limits->begin(), own->front());
  }
  const auto summary = summarize(*facts, std::move(*history), limits);
  if (!summary) return complain(summary.error(), kExitFailure);
  if (!o.json.empty()) {
    if (const auto written = write_file(o.json, render_json(*summary)); !written) return complain(written.error(), kExitFailure);
  }
  if (!o.csv.empty()) {
    if (const auto written = write_file(o.csv, render_csv(*summary)); !written) return complain(written.error(), kExitFailure);
  }
  if (o.json == "-" || o.csv == "-") return kExitOk;
  if (limits) fmt::print("Asked about other limits than the study's ({}); nothing was measured anew.\n\n", facts->at(fact::kSlo));
  fmt::print("{}\n", render_answer(*summary));
  if (!summary->constraints.empty()) {
    fmt::print("Pareto set: no trial beats these in both columns. Energy is {}.\n{}\n", to_string(summary->provenance),
               render_pareto(*summary));
  }
  fmt::print("Trials. Energy is {}.\n{}", to_string(summary->provenance), render_trials(*summary));
  return kExitOk;
}

}  // namespace

void add_show(CLI::App& app, Cli& cli) {
  CLI::App* command = app.add_subcommand("show", "Print a study again: answer, Pareto set, trials");
  auto o = std::make_shared<ShowOptions>();
  command->add_option("STUDY", o->study, "Study file")->required();
  command->add_option("--slo", o->slo, "Ask about another SLO, without a new measurement");
  command->add_option("--constraint", o->constraints, "Ask about other constraints, repeatable")->allow_extra_args(false);
  command->add_option("--json", o->json, "As JSON to this file, - for stdout");
  command->add_option("--csv", o->csv, "Trials as CSV to this file, - for stdout");
  command->footer("Examples:\n  polythrottle show study.sqlite\n  polythrottle show study.sqlite --slo p99=80ms");
  command->callback([o, &cli] { cli.exit_code = show(*o); });
}

}  // namespace polythrottle
