// How many trials a search needs on a recorded table: mean over seeds, beside random search and its expectation.
//   polythrottle-bench trials TABLE.csv WORKLOAD SLO [--seeds N] [--optimizer NAME ...]
// A trial counts when the setting the study would then recommend is within 5 % (and 1 %) of the best of the whole table under the SLO.
// The reference setting is trial 1, as it is for a user. "never" is counted as the whole table.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>

#include "base/stats.h"
#include "bench/commands.h"
#include "cli/cli.h"
#include "host/host.h"
#include "report/report.h"
#include "study/runner.h"
#include "workload/recorded.h"

namespace polythrottle::bench {
namespace {

struct Search {
  std::size_t to_5 = 0, to_1 = 0, violations = 0;  // 0: never
};

double energy_of(const Metrics& metrics) { return metrics.find(kEnergy)->second.value; }

Result<Search> search(Host& host, const RecordedTable& table, const ConstraintSpec& slo, const std::string& name, std::uint64_t seed,
                      double best) {
  Device device{.name = "recorded", .host = host, .space = table.space, .reference = table.reference};
  device.workload = recorded_workload(host, table, Seconds(0));
  const auto journal = memory_journal();
  TRY(const auto optimizer, make_optimizer(name));
  Plan plan;
  plan.limits.push_back(slo);
  plan.budget = table.space.size();
  plan.confirm_rounds = 0;
  plan.seed = seed;
  Search out;
  std::size_t trials = 0;
  Observer observer;
  observer.ended = [&](const Trial& trial, std::span<const Trial> history, const Problem* problem) {
    ++trials;
    const Problem first{device.space, plan.objective, resolve_limits(plan.limits, history).value_or(std::vector<Constraint>{}),
                        device.reference, seed};
    const Problem& now = problem ? *problem : first;
    if (out.to_5 == 0 && !meets(now.constraints, trial.metrics())) ++out.violations;
    const auto choice = recommend(now, history);
    if (!choice || !choice->known_to_meet) return;
    const double energy = energy_of(pooled(history, choice->config));
    if (out.to_5 == 0 && energy <= 1.05 * best) out.to_5 = trials;
    if (out.to_1 == 0 && energy <= 1.01 * best) out.to_1 = trials;
  };
  TRY(const auto end, run_study(device, *journal, nullptr, *optimizer, plan, observer, {}));
  return out;
}

struct TrialsOptions {
  std::string table, workload, slo;
  std::uint64_t seeds = 30;
  std::vector<std::string> optimizers{"eic", "random"};
};

int trials(const TrialsOptions& o) {
  const auto files = real_files();
  const auto clock = real_clock();
  Host host{*files, *clock};
  const auto table = read_recorded_table(o.table, o.workload);
  if (!table) return complain(table.error(), kExitFailure);
  const auto slo = parse_slo(o.slo);
  if (!slo) return complain(slo.error(), kExitUsage);
  const auto limit = resolve(*slo, table->cells[*table->space.find(table->reference)].front());
  if (!limit) return complain(limit.error(), kExitUsage);
  const std::vector<Constraint> limits{*limit};
  const double reference = energy_of(table->cells[*table->space.find(table->reference)].front());
  double best = INFINITY;
  for (const auto& cell : table->cells) {
    if (!cell.empty() && meets(limits, cell.front())) best = std::min(best, energy_of(cell.front()));
  }
  std::size_t near = 0;
  for (const auto& cell : table->cells) {
    near += !cell.empty() && meets(limits, cell.front()) && energy_of(cell.front()) <= 1.05 * best ? 1U : 0U;
  }
  if (near == 0) return complain(Error{Errc::kOutOfRange, "no setting of the table meets " + o.slo, {}}, kExitFailure);
  fmt::print("{} settings, best {} (recorded), saving {:.1f} %, {} within 5 %; {} seeds; random by expectation: {:.1f}\n",
             table->space.size(), format_metric(kEnergy, best), 100.0 * (1.0 - best / reference), near, o.seeds,
             static_cast<double>(table->space.size() + 1) / static_cast<double>(near + 1));
  std::vector<std::vector<std::string>> rows{{"optimizer", "to 5 %", "s.e.", "p90", "to 1 %", "violations before 5 %"}};
  for (const auto& name : o.optimizers) {
    std::vector<double> to_5, to_1, violations;
    for (std::uint64_t seed = 1; seed <= o.seeds; ++seed) {
      const auto found = search(host, *table, *slo, name, seed, best);
      if (!found) return complain(found.error(), kExitFailure);
      const auto counted = [&](std::size_t count) { return static_cast<double>(count == 0 ? table->space.size() : count); };
      to_5.push_back(counted(found->to_5));
      to_1.push_back(counted(found->to_1));
      violations.push_back(static_cast<double>(found->violations));
    }
    std::sort(to_5.begin(), to_5.end());
    rows.push_back(
        {name, fmt::format("{:.1f}", mean(to_5)), fmt::format("{:.1f}", std::sqrt(variance(to_5) / static_cast<double>(o.seeds))),
         fmt::format("{:.0f}", sorted_quantile(to_5, 0.9)), fmt::format("{:.1f}", mean(to_1)), fmt::format("{:.1f}", mean(violations))});
  }
  fmt::print("{}", align(rows, {1, 2, 3, 4, 5}));
  return kExitOk;
}

}  // namespace

void add_trials(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("trials", "Trials to within 5 % of a recorded table's best, over seeds");
  auto o = std::make_shared<TrialsOptions>();
  command->add_option("TABLE", o->table, "Recorded table")->required();
  command->add_option("WORKLOAD", o->workload, "Workload of it")->required();
  command->add_option("SLO", o->slo, "mean=20ms or 1.2x")->required();
  command->add_option("--seeds", o->seeds, "Searches per optimizer")->capture_default_str()->check(CLI::PositiveNumber);
  command->add_option("--optimizer", o->optimizers, "Repeatable (default eic and random)")->allow_extra_args(false);
  command->callback([o, &exit_code] { exit_code = trials(*o); });
}

}  // namespace polythrottle::bench
