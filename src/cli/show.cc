// polythrottle show: a study again, from its file alone; also under other limits than it was made for.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <optional>

#include "cli/cli.h"
#include "cli/question.h"
#include "report/explain.h"
#include "report/report.h"
#include "study/summary.h"
#include "study/what_if.h"

namespace polythrottle {
namespace {

struct ShowOptions {
  Question question;
  std::string json, csv;
};

Status write_outputs(const ShowOptions& o, const Summary& summary, const std::optional<Result<WhatIf>>& answer) {
  if (!o.json.empty()) {
    const std::string json = answer ? render_json(summary, *answer ? &**answer : nullptr) : render_json(summary);
    TRY_STATUS(write_file(o.json, json));
  }
  if (!o.csv.empty()) TRY_STATUS(write_file(o.csv, render_csv(summary)));
  return {};
}

void print(const Summary& summary, const std::optional<Result<WhatIf>>& answer) {
  if (answer) fmt::print("Asked about other limits than the study's ({}); nothing was measured anew.\n\n", summary.facts.at(fact::kSlo));
  fmt::print("{}\n", render_answer(summary));
  if (answer && *answer) fmt::print("{}\n", render_what_if(summary, **answer));
  if (answer && !*answer) fmt::print("Nothing is said of settings that were not measured: {}.\n\n", answer->error().text());
  if (!summary.constraints.empty()) {
    fmt::print("Pareto set: no trial beats these in both columns. Energy is {}.\n{}\n", to_string(summary.provenance),
               render_pareto(summary));
  }
  fmt::print("Trials. Energy is {}.\n{}", to_string(summary.provenance), render_trials(summary));
}

int show(const ShowOptions& o) {
  auto limits = other_limits(o.question);
  if (!limits) return complain(limits.error(), kExitUsage);
  const bool others = limits->has_value();
  const auto summary = summarize_file(o.question, std::move(*limits));
  if (!summary) return complain(summary.error(), kExitFailure);
  const auto answer = others ? std::optional(what_if(*summary)) : std::nullopt;
  if (const auto written = write_outputs(o, *summary, answer); !written) return complain(written.error(), kExitFailure);
  if (o.json != "-" && o.csv != "-") print(*summary, answer);
  return kExitOk;
}

}  // namespace

void add_show(CLI::App& app, Cli& cli) {
  CLI::App* command = app.add_subcommand("show", "Print a study again: answer, Pareto set, trials");
  auto o = std::make_shared<ShowOptions>();
  bind_question(*command, o->question);
  command->add_option("--json", o->json, "As JSON to this file, - for stdout");
  command->add_option("--csv", o->csv, "Trials as CSV to this file, - for stdout");
  command->footer("Examples:\n  polythrottle show study.sqlite\n  polythrottle show study.sqlite --slo p99=80ms");
  command->callback([o, &cli] { cli.exit_code = show(*o); });
}

}  // namespace polythrottle
