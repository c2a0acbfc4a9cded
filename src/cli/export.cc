// polythrottle export: what a study found, in a form that something else takes up.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/cli.h"
#include "cli/question.h"
#include "report/profile.h"

namespace polythrottle {
namespace {

struct ExportOptions {
  Question question;
  std::string format = "profile";
  std::string output = "-";
};

int export_study(const ExportOptions& o) {
  auto limits = other_limits(o.question);
  if (!limits) return complain(limits.error(), kExitUsage);
  if (const auto distinct = check_distinct({{"--output", o.output}}, {{"study", o.question.study}}); !distinct)
    return complain(distinct.error(), kExitUsage);
  const auto summary = summarize_file(o.question, std::move(*limits));
  if (!summary) return complain(summary.error(), kExitFailure);
  const auto profile = profile_of(*summary);
  if (!profile) return complain(profile.error(), kExitFailure);
  if (const auto written = write_file(o.output, render_profile(*profile)); !written) return complain(written.error(), kExitFailure);
  return kExitOk;
}

}  // namespace

void add_export(CLI::App& app, Cli& cli) {
  CLI::App* command = app.add_subcommand("export", "Write a study's best setting as a profile for 'apply'");
  auto o = std::make_shared<ExportOptions>();
  bind_question(*command, o->question);
  command->add_option("--format", o->format, "profile: JSON that 'polythrottle apply' sets on machines of the same kind")
      ->check(CLI::IsMember({"profile"}))
      ->capture_default_str();
  command->add_option("-o,--output", o->output, "To this file, - for stdout")->capture_default_str();
  command->footer("Examples:\n  polythrottle export study.sqlite -o camera.json\n  polythrottle export study.sqlite --slo p99=80ms | less");
  command->callback([o, &cli] { cli.exit_code = export_study(*o); });
}

}  // namespace polythrottle
