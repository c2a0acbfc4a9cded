// Time of one suggestion and of fitting the surrogate. Run the release build on a quiet machine.

#include <benchmark/benchmark.h>

#include "optimizer/optimizer.h"
#include "optimizer/synthetic_search.h"
#include "surrogate/gp.h"
#include "surrogate/physics_prior.h"

namespace polythrottle {
namespace {

/// Four knobs, gpu x mem x batch x cpu: 13 x 11 x 5 x `cpu` settings; `trials` of them measured.
SyntheticSearch searched(int cpu, std::size_t trials) {
  const std::vector<Parameter> knobs{clock_knob("gpu", 13), clock_knob("mem", 11, Role::kMemoryClock),
                                     knob("batch", {1, 2, 4, 8, 16}, Role::kBatch), clock_knob("cpu", cpu, Role::kHostClock)};
  SyntheticSearch search(Space::product(knobs).value(), machine, {mean_latency_at_most(0.1)});
  search.add(search.problem().reference, Advice::Kind::kReference);
  const auto random = make_optimizer("random").value();
  search.run(*random, trials - 1);
  return search;
}

void suggest(benchmark::State& state, const char* name) {
  const SyntheticSearch search = searched(static_cast<int>(state.range(1)), static_cast<std::size_t>(state.range(0)));
  const auto optimizer = make_optimizer(name).value();
  benchmark::DoNotOptimize(search.ask(*optimizer));  // whatever depends on the space alone is made here
  for (auto _ : state) benchmark::DoNotOptimize(search.ask(*optimizer));
  state.SetLabel(std::to_string(search.space().size()) + " candidates");
}
BENCHMARK_CAPTURE(suggest, eic, "eic")
    ->ArgNames({"trials", "cpu"})
    ->Args({30, 7})
    ->Args({30, 84})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(suggest, polythrottle, "polythrottle")
    ->ArgNames({"trials", "cpu"})
    ->Args({10, 7})
    ->Args({30, 7})
    ->Args({50, 7})
    ->Args({30, 84})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

/// The first suggestion of a search: draws the prior.
void prior(benchmark::State& state) {
  const SyntheticSearch search = searched(static_cast<int>(state.range(0)), 2);
  const RelativeKnobs knobs(search.space(), search.problem().reference);
  for (auto _ : state) benchmark::DoNotOptimize(physics_prior(knobs, {}));
  state.SetLabel(std::to_string(search.space().size()) + " candidates");
}
BENCHMARK(prior)->ArgName("cpu")->Arg(7)->Arg(84)->Unit(benchmark::kMillisecond)->UseRealTime();

Eigen::MatrixXd spread_points(Eigen::Index n, Eigen::Index d) {
  Eigen::MatrixXd points(n, d);
  for (Eigen::Index i = 0; i < n; ++i) {
    for (Eigen::Index j = 0; j < d; ++j)
      points(i, j) = std::fmod(static_cast<double>(i + 1) * std::sqrt(2.0 + 1.37 * static_cast<double>(j)), 1.0);
  }
  return points;
}

void fit(benchmark::State& state) {
  const Eigen::MatrixXd x = spread_points(state.range(0), 4);
  const Eigen::VectorXd y = (3.0 * x.col(0).array()).sin() + x.col(1).array().square() + 0.05 * (50.0 * x.col(2).array()).sin();
  for (auto _ : state) benchmark::DoNotOptimize(GaussianProcess::fit(x, y));
}
BENCHMARK(fit)->ArgName("n")->Arg(30)->Arg(50)->Unit(benchmark::kMillisecond);

void predict(benchmark::State& state) {
  const Eigen::MatrixXd x = spread_points(30, 4), points = spread_points(state.range(0), 4);
  const GpParameters parameters{
      .mean = 0.0, .signal_variance = 1.0, .noise_variance = 0.01, .length_scales = Eigen::VectorXd::Constant(4, 0.5)};
  const auto gp = GaussianProcess::with_parameters(x, x.col(0), parameters).value();
  for (auto _ : state) benchmark::DoNotOptimize(gp.predict(points));
}
BENCHMARK(predict)->ArgName("points")->Arg(5000)->Arg(60000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace polythrottle
