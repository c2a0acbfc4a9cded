#include "bench/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "bench/earlier.h"
#include "bench/portable_random.h"
#include "optimizer/phases.h"

namespace polythrottle::bench {
namespace {

constexpr std::size_t kTableCap = 25, kBoardCap = 40;
constexpr std::uint64_t kEnsembleStride = 1000;
/// Tells the noise of an earlier study from that of the searches compared.
constexpr std::uint64_t kEarlierStream = 1;

/// One problem under one limit, before anything was searched.
struct Case {
  const SearchProblem* problem = nullptr;
  Goal goal;
};

Status check_suits(const Comparison& comparison, const Method& method, const SearchProblem& problem) {
  if (method.earlier != Earlier::kNone && comparison.neighbour_of(problem) == nullptr) {
    return fail(Errc::kInvalid, fmt::format("--methods {} needs two workloads of {}; here is one", method.name, problem.family));
  }
  if (method.phased && !check_phases(problem.space)) {
    return fail(Errc::kInvalid, fmt::format("--methods {} needs a CPU clock with a choice; {} has none", method.name, problem.family));
  }
  return {};
}

Status check_methods(const Comparison& comparison) {
  for (const Method& method : comparison.methods) {
    for (const SearchProblem& problem : comparison.problems) TRY_STATUS(check_suits(comparison, method, problem));
  }
  return {};
}

Result<std::vector<Case>> cases_of(const Comparison& comparison) {
  std::vector<Case> cases;
  for (const SearchProblem& problem : comparison.problems) {
    for (const SloRule& rule : comparison.slos) {
      TRY(Goal goal, goal_of(problem, rule));
      cases.push_back({&problem, std::move(goal)});
    }
  }
  return cases;
}

struct Searched {
  Figures figures{};
  double largest_suggestion_milliseconds = 0.0;
};

/// All searches of a comparison, numbered: case, method, ensemble, seed, the last fastest.
class Searches {
 public:
  Searches(const Comparison& comparison, const std::vector<Case>& cases) : comparison_(comparison), cases_(cases) {}

  std::size_t per_cell() const { return comparison_.ensembles.size() * comparison_.seeds; }
  std::size_t count() const { return cases_.size() * comparison_.methods.size() * per_cell(); }

  Result<Searched> run(std::size_t number) const {
    const Method& method = method_of(number);
    const std::uint64_t seed = seed_of(number);
    SearchPlan plan = plan_of(case_of(number), seed);
    plan.optimizer_seed += kEnsembleStride * comparison_.ensembles[number / comparison_.seeds % comparison_.ensembles.size()];
    plan.options.explore = method.explore.value_or(comparison_.explore);
    TRY(plan.options.earlier, earlier_for(method, case_of(number), seed));
    plan.options.min_gain = 0.0;
    TRY(const SearchRecord to_cap, record(plan, method));
    std::optional<SearchRecord> own;
    if (method.steered) {
      plan.options.min_gain = comparison_.min_gain;
      TRY(own, record(plan, method));
    }
    return Searched{figures_of(to_cap, own, plan.cap), largest_suggestion_milliseconds(to_cap)};
  }

  std::string name(std::size_t number) const {
    const Case& searched_case = case_of(number);
    return fmt::format("{} on {}, {}, --slo {}, seed {}", method_of(number).name, searched_case.problem->family,
                       searched_case.problem->workload, searched_case.goal.slo, seed_of(number));
  }

 private:
  static Result<SearchRecord> record(const SearchPlan& plan, const Method& method) {
    TRY(const auto optimizer, method.make(plan.cap));
    return run_search(plan, *optimizer);
  }

  /// With the usual options.
  SearchPlan plan_of(const Case& searched, std::uint64_t seed) const {
    SearchPlan plan{*searched.problem, searched.goal, comparison_.noise.of(*searched.problem)};
    plan.noise_seed = plan.optimizer_seed = seed;
    plan.cap = comparison_.cap_of(*searched.problem);
    plan.stop_early = comparison_.stop_early;
    return plan;
  }

  /// What the method is given of another workload under the same limit, searched with the usual options and noise of its own.
  Result<std::vector<EarlierStudy>> earlier_for(const Method& method, const Case& searched, std::uint64_t seed) const {
    if (method.earlier == Earlier::kNone) return std::vector<EarlierStudy>{};
    const SearchPlan plan = plan_of(neighbour_of(searched), mixed(seed, kEarlierStream));
    if (method.earlier == Earlier::kMisleading) return std::vector{misleading_study(plan)};
    TRY(const auto optimizer, method.make(plan.cap));
    TRY(EarlierStudy study, finished_study(plan, *optimizer));
    return std::vector{std::move(study)};
  }

  /// Of the workload that stands next to this one, the case with the same limit.
  const Case& neighbour_of(const Case& searched) const {
    const SearchProblem* problem = comparison_.neighbour_of(*searched.problem);
    return *std::find_if(cases_.begin(), cases_.end(),
                         [&](const Case& c) { return c.problem == problem && c.goal.slo == searched.goal.slo; });
  }

  std::uint64_t seed_of(std::size_t number) const { return number % comparison_.seeds + 1; }
  const Method& method_of(std::size_t number) const { return comparison_.methods[number / per_cell() % comparison_.methods.size()]; }
  const Case& case_of(std::size_t number) const { return cases_[number / per_cell() / comparison_.methods.size()]; }

  const Comparison& comparison_;
  const std::vector<Case>& cases_;
};

/// Runs them all on the threads asked for; the first failure by number stands for the whole.
Result<std::vector<Searched>> run_all(const Searches& searches, unsigned threads, const std::function<void(std::size_t)>& progress) {
  std::vector<Searched> out(searches.count());
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::size_t done = 0, failed = out.size();
  Error error;
  const auto work = [&] {
    for (std::size_t number = next++; number < out.size(); number = next++) {
      auto searched = searches.run(number);
      const std::scoped_lock lock(mutex);
      if (searched) {
        out[number] = *searched;
        if (progress) progress(++done);
      } else if (number < failed) {
        failed = number;
        error = searched.error();
        next = out.size();
      }
    }
  };
  {
    std::vector<std::jthread> workers;
    for (unsigned thread = 1; thread < threads; ++thread) workers.emplace_back(work);
    work();
  }
  if (failed < out.size()) return fail(error.code, searches.name(failed) + ": " + error.what, error.hint);
  return out;
}

Group group_of(std::span<const Searched> searched, std::size_t ensembles) {
  std::vector<Figures> figures;
  double largest = 0.0;
  for (const Searched& s : searched) {
    figures.push_back(s.figures);
    largest = std::max(largest, s.largest_suggestion_milliseconds);
  }
  return Group(std::move(figures), ensembles, largest);
}

std::vector<std::string> families_of(const Comparison& comparison) {
  std::vector<std::string> families;
  for (const SearchProblem& problem : comparison.problems) {
    if (families.empty() || families.back() != problem.family) families.push_back(problem.family);
  }
  return families;
}

Block workloads_block(const Comparison& comparison, const std::vector<Cell>& cells, const std::string& family, const std::string& slo) {
  Block block{family, slo, 0, {}};
  for (const Method& method : comparison.methods) {
    std::vector<Group> groups;
    for (const Cell& cell : cells) {
      if (cell.problem->family == family && cell.goal.slo == slo && cell.method == &method) groups.push_back(cell.group);
    }
    block.workloads = groups.size();
    block.groups.push_back(Group::together(groups));
  }
  return block;
}

Block mean_block(const std::string& family, std::span<const Block> blocks) {
  Block out{family, {}, 0, {}};
  for (std::size_t method = 0; method < blocks.front().groups.size(); ++method) {
    std::vector<Group> groups;
    for (const Block& block : blocks) groups.push_back(block.groups[method]);
    out.groups.push_back(Group::mean_of(groups));
  }
  return out;
}

}  // namespace

std::size_t Comparison::cap_of(const SearchProblem& problem) const {
  return std::min(problem.space.size(), cap.value_or(problem.board.empty() ? kTableCap : kBoardCap));
}

const SearchProblem* Comparison::neighbour_of(const SearchProblem& problem) const {
  const SearchProblem* first = nullptr;
  bool passed = false;
  for (const SearchProblem& other : problems) {
    if (other.family != problem.family) continue;
    if (&other == &problem) {
      passed = true;
    } else if (passed) {
      return &other;
    } else if (first == nullptr) {
      first = &other;
    }
  }
  return first;
}

std::size_t Comparison::searches() const { return problems.size() * slos.size() * methods.size() * ensembles.size() * seeds; }

Result<std::vector<Cell>> compare(const Comparison& comparison, const std::function<void(std::size_t done)>& progress) {
  TRY_STATUS(check_methods(comparison));
  TRY(const auto cases, cases_of(comparison));
  const Searches searches(comparison, cases);
  TRY(const auto searched, run_all(searches, comparison.threads, progress));
  std::vector<Cell> cells;
  std::span<const Searched> left = searched;
  for (const Case& c : cases) {
    for (const Method& method : comparison.methods) {
      cells.push_back({c.problem, &method, c.goal, group_of(left.first(searches.per_cell()), comparison.ensembles.size())});
      left = left.subspan(searches.per_cell());
    }
  }
  return cells;
}

std::vector<Block> blocks_of(const Comparison& comparison, const std::vector<Cell>& cells) {
  std::vector<Block> out, of_families;
  for (const std::string& family : families_of(comparison)) {
    std::vector<Block> of_slos;
    for (const SloRule& slo : comparison.slos) of_slos.push_back(workloads_block(comparison, cells, family, slo.text));
    out.insert(out.end(), of_slos.begin(), of_slos.end());
    of_families.push_back(mean_block(family, of_slos));
    of_families.back().workloads = of_slos.front().workloads;
    if (of_slos.size() > 1) out.push_back(of_families.back());
  }
  if (of_families.size() > 1) out.push_back(mean_block({}, of_families));
  return out;
}

}  // namespace polythrottle::bench
