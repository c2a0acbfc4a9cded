// polythrottle replay: serving beside fine-tuning in virtual time on a simulated board.

#include "report/replay.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/cli.h"
#include "cli/gnuplot.h"
#include "cli/replay_calibration.h"
#include "cli/replay_request.h"
#include "cli/status_line.h"

namespace polythrottle {
namespace {

/// Calibration is seen by none of the runs: its board has a noise of its own.
constexpr std::uint64_t kCalibrationSeed = 0xca11b7a7eULL;

bool is_plot(const std::string& path) { return path.ends_with(".svg"); }

/// Everything that is wrong with the outputs, before anything runs.
Status check_outputs(const ReplayFlags& f) {
  if (!f.timeline.empty() && !is_plot(f.timeline) && !f.timeline.ends_with(".csv")) {
    return fail(Errc::kInvalid, fmt::format("--timeline {}: the name says neither .svg nor .csv", f.timeline),
                "write FILE.svg or FILE.csv");
  }
  const bool file = f.arrivals != "poisson" && f.arrivals != "uniform";
  return check_distinct({{"--json", f.json}, {"--decisions", f.decisions}, {"--timeline", f.timeline}},
                        {{"--arrivals", file ? f.arrivals : std::string()}, {"--predictor-file", f.predictor_file}});
}

Status check_writable_outputs(const ReplayFlags& f) {
  for (const auto* path : {&f.json, &f.decisions, &f.timeline}) {
    if (!path->empty()) TRY_STATUS(check_writable(*path));
  }
  return {};
}

Status write_timeline(const std::string& path, const ReplayHeading& heading, const replay::ContenderRuns& contender) {
  const auto& run = contender.runs.front();
  if (!is_plot(path)) return write_file(path, render_timeline_csv(run));
  auto drawn = run_gnuplot(render_timeline_plot(heading, contender.contender.name, run), path);
  if (!drawn && drawn.error().code == Errc::kNotFound)
    drawn.error().hint = "install it (Debian: apt-get install gnuplot-nox), or write FILE.csv";
  return drawn;
}

Status write_outputs(const ReplayFlags& f, const ReplayHeading& heading, const replay::Comparison& comparison) {
  if (!f.json.empty()) TRY_STATUS(write_file(f.json, render_replay_json(heading, comparison)));
  if (!f.decisions.empty()) TRY_STATUS(write_file(f.decisions, render_decisions(comparison)));
  if (!f.timeline.empty()) TRY_STATUS(write_timeline(f.timeline, heading, comparison.contenders.front()));
  return {};
}

int run_replay(const ReplayFlags& f, const Cli& cli) {
  if (const auto fine = check_outputs(f); !fine) return complain(fine.error(), kExitUsage);
  auto request = replay_request(f);
  if (!request) return complain(request.error(), usage_or_failure(request.error()));
  if (const auto fine = check_writable_outputs(f); !fine) return complain(fine.error(), kExitFailure);
  const auto status = f.quiet ? nullptr : std::make_unique<StatusLine>();
  replay::CompareOptions& compare = request->compare;
  compare.base.stop = cli.stop;
  std::size_t co_runs = 0;
  if (request->calibrate) {
    compare.samples = [&](const replay::Contender& contender) -> Result<interference::Samples> {
      auto samples = calibrate_for(
          compare.base, contender, kCalibrationSeed,
          [&](std::size_t done, std::size_t total) {
            if (status) status->show(fmt::format("calibrating for {}: co-run {} of {}", contender.name, done, total));
          },
          cli.stop);
      if (samples) co_runs = samples->batches.size();
      return samples;
    };
  }
  const auto comparison =
      replay::compare(compare, [&](std::size_t index, std::size_t count, const replay::Contender& contender, Seconds now) {
        if (!status) return;
        status->show(fmt::format(
            "{}: {} of {}, run {} of {} ({:.0f} %)", contender.name, clock_text(now.count()), clock_text(request->heading.duration.count()),
            index + 1, count,
            100.0 * (static_cast<double>(index) + std::min(1.0, now / request->heading.duration)) / static_cast<double>(count)));
      });
  if (status) status->leave("");
  if (cli.stop.stop_requested()) {
    tell("interrupted; nothing was written\n");
    return kExitInterrupted;
  }
  if (!comparison) return complain(comparison.error(), usage_or_failure(comparison.error()));
  if (request->calibrate) request->heading.predictor += fmt::format("; learned from {} batches before the start", co_runs);
  const bool stdout_taken = f.json == "-" || f.decisions == "-";
  if (!stdout_taken) fmt::print("{}", render_replay(request->heading, *comparison));
  if (const auto written = write_outputs(f, request->heading, *comparison); !written) return complain(written.error(), kExitFailure);
  return kExitOk;
}

}  // namespace

void add_replay(CLI::App& app, Cli& cli) {
  CLI::App* command = app.add_subcommand("replay", "Serve requests beside fine-tuning on a simulated board, and say what became of both");
  auto flags = std::make_shared<ReplayFlags>();
  bind_replay_flags(*command, *flags);
  command->callback([flags, &cli] { cli.exit_code = run_replay(*flags, cli); });
}

}  // namespace polythrottle
