// polythrottle-bench grid: the noise-free truth of a whole space; not journaled.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <thread>

#include "bench/commands.h"
#include "bench/truth.h"
#include "cli/cli.h"
#include "report/report.h"

namespace polythrottle::bench {
namespace {

int grid(const TuneOptions& options, const std::string& slo, const std::string& csv) {
  auto opened = open_simulated_device(options, options.device.substr(options.device.find(':') + 1));
  if (!opened) return complain(opened.error(), kExitUsage);
  const Space& space = opened->device.space;
  const auto began = std::chrono::steady_clock::now();
  const auto truth = truth_of(options, space, std::max(1U, std::thread::hardware_concurrency()));
  if (!truth) return complain(truth.error(), kExitUsage);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();

  const Truth& reference = (*truth)[*space.find(opened->device.reference)];
  double limit = INFINITY;
  if (!slo.empty()) {
    const auto spec = parse_slo(slo);
    if (!spec) return complain(spec.error(), kExitUsage);
    limit = spec->relative ? spec->limit * reference.latency_seconds : spec->limit;
  }
  std::size_t best = space.size(), near = 0, met = 0;
  for (std::size_t id = 0; id < space.size(); ++id) {
    if ((*truth)[id].latency_seconds > limit) continue;
    ++met;
    if (best == space.size() || (*truth)[id].joules < (*truth)[best].joules) best = id;
  }
  for (std::size_t id = 0; best < space.size() && id < space.size(); ++id) {
    near += (*truth)[id].latency_seconds <= limit && (*truth)[id].joules <= 1.05 * (*truth)[best].joules ? 1U : 0U;
  }
  if (!csv.empty()) {
    std::string text;
    for (const auto& p : space.parameters()) text += p.name + ',';
    text += "latency_mean_seconds,energy_joules_per_inference,provenance\n";
    for (std::size_t id = 0; id < space.size(); ++id) {
      const Config config = space.config(static_cast<CandidateId>(id));
      for (const auto& [name, value] : config.entries()) text += to_text(value) + ',';
      text += fmt::format("{},{},simulated\n", (*truth)[id].latency_seconds, (*truth)[id].joules);
    }
    if (const auto written = write_file(csv, text); !written) return complain(written.error(), kExitFailure);
    if (csv == "-") return kExitOk;
  }
  fmt::print("{} {}: {} settings in {:.2f} s, {} within the limit, {} of those within 5 % of the best (simulated, noise-free)\n",
             opened->facts.at("device_description"), opened->facts.at("model"), space.size(), seconds, met, near);
  std::vector<std::vector<std::string>> rows{{"", "energy (simulated)", "latency", "setting"}};
  const auto row = [&](const char* name, std::size_t id) {
    const Config config = space.config(static_cast<CandidateId>(id));
    std::string setting;
    for (const auto& [knob, value] : config.entries()) setting += (setting.empty() ? "" : "  ") + knob + " " + knob_text(knob, value);
    rows.push_back({name, format_metric(kEnergy, (*truth)[id].joules), format_metric(kLatencyMean, (*truth)[id].latency_seconds), setting});
  };
  row("reference", *space.find(opened->device.reference));
  if (best < space.size()) row("best", best);
  fmt::print("{}", align(rows, {1, 2}));
  if (best == space.size()) return complain(Error{Errc::kOutOfRange, "no setting meets " + slo, {}}, kExitFailure);
  fmt::print("saving {:.1f} %\n", 100.0 * (1.0 - (*truth)[best].joules / reference.joules));
  return kExitOk;
}

}  // namespace

void add_grid(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("grid", "Noise-free truth of a simulated board's whole space");
  auto options = std::make_shared<TuneOptions>();
  auto slo = std::make_shared<std::string>(), csv = std::make_shared<std::string>();
  command->add_option("--device", options->device, "sim:jetson-tx2 or sim:jetson-orin")->required();
  command->add_option("--model", options->model, "efficientnet-b0, -b4, -b7, bert-base")->required();
  command->add_option("--precision", options->precision, "fp16 (default) or fp32");
  command->add_option("--space", options->space, "full (default), paper, paper-7.2");
  command->add_option("--knob", options->knobs, "As for tune")->allow_extra_args(false);
  command->add_option("--slo", *slo, "mean=20ms, or 1.2x the reference's");
  command->add_option("--csv", *csv, "Every setting as CSV to this file, - for stdout");
  command->callback([=, &exit_code] { exit_code = grid(*options, *slo, *csv); });
}

}  // namespace polythrottle::bench
