// polythrottle explain: which knob saves what and what binds the optimum, from the study's file alone.

#include "report/explain.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/cli.h"
#include "cli/gnuplot.h"
#include "cli/question.h"
#include "study/explain.h"

namespace polythrottle {
namespace {

struct ExplainOptions {
  Question question;
  std::string json, plot;
};

Result<PlotFormat> plot_format(const std::string& path) {
  if (path.ends_with(".svg")) return PlotFormat::kSvg;
  if (path.ends_with(".png")) return PlotFormat::kPng;
  return fail(Errc::kInvalid, fmt::format("--plot {}: the name says neither .svg nor .png", path), "write FILE.svg or FILE.png");
}

/// Everything that is wrong with the flags alone.
Status check_flags(const ExplainOptions& o) {
  if (!o.plot.empty()) TRY_STATUS(plot_format(o.plot));
  return check_distinct({{"--json", o.json}, {"--plot", o.plot}}, {{"study", o.question.study}});
}

Status write_outputs(const ExplainOptions& o, const Explanation& explanation) {
  if (!o.json.empty()) TRY_STATUS(write_file(o.json, render_explanation_json(explanation)));
  if (o.plot.empty()) return {};
  TRY(const auto format, plot_format(o.plot));
  TRY_STATUS(check_writable(o.plot));
  return run_gnuplot(render_plot_script(explanation, format), o.plot);
}

int explain_study(const ExplainOptions& o) {
  auto limits = other_limits(o.question);
  if (!limits) return complain(limits.error(), kExitUsage);
  if (const auto fine = check_flags(o); !fine) return complain(fine.error(), kExitUsage);
  const bool own_limits = !*limits;
  const auto summary = summarize_file(o.question, std::move(*limits));
  if (!summary) return complain(summary.error(), kExitFailure);
  const auto explanation = explain(*summary, own_limits);
  if (!explanation) return complain(explanation.error(), kExitFailure);
  if (o.json != "-") {
    if (!own_limits) fmt::print("Asked about other limits than the study's ({}).\n\n", summary->facts.at(fact::kSlo));
    fmt::print("{}", render_explanation(*explanation));
  }
  if (const auto written = write_outputs(o, *explanation); !written) return complain(written.error(), kExitFailure);
  return kExitOk;
}

}  // namespace

void add_explain(CLI::App& app, Cli& cli) {
  CLI::App* command = app.add_subcommand("explain", "Which knob of a study saves what, and what keeps its best setting where it is");
  auto o = std::make_shared<ExplainOptions>();
  bind_question(*command, o->question);
  command->add_option("--json", o->json, "As JSON to this file, - for stdout");
  command->add_option("--plot", o->plot, "Picture to this file, .svg or .png; drawn by the program gnuplot");
  command->footer("Examples:\n  polythrottle explain study.sqlite\n  polythrottle explain study.sqlite --slo p99=80ms --plot why.svg");
  command->callback([o, &cli] { cli.exit_code = explain_study(*o); });
}

}  // namespace polythrottle
