#include "bench/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

namespace polythrottle::bench {
namespace {

constexpr std::size_t kTableCap = 25, kBoardCap = 40;
constexpr std::uint64_t kEnsembleStride = 1000;

/// One problem under one limit, before anything was searched.
struct Case {
  const SearchProblem* problem = nullptr;
  Goal goal;
};

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
    const Case& searched_case = case_of(number);
    const std::size_t cap = comparison_.cap_of(*searched_case.problem);
    SearchPlan plan{*searched_case.problem, searched_case.goal, comparison_.noise.of(*searched_case.problem)};
    plan.options.explore = method.explore.value_or(comparison_.explore);
    plan.noise_seed = number % comparison_.seeds + 1;
    plan.optimizer_seed =
        plan.noise_seed + kEnsembleStride * comparison_.ensembles[number / comparison_.seeds % comparison_.ensembles.size()];
    plan.cap = cap;
    plan.stop_early = comparison_.stop_early;
    plan.options.min_gain = 0.0;
    TRY(const SearchRecord to_cap, record(plan, method));
    std::optional<SearchRecord> own;
    if (method.steered) {
      plan.options.min_gain = comparison_.min_gain;
      TRY(own, record(plan, method));
    }
    return Searched{figures_of(to_cap, own, cap), largest_suggestion_milliseconds(to_cap)};
  }

  std::string name(std::size_t number) const {
    const Case& searched_case = case_of(number);
    return fmt::format("{} on {}, {}, --slo {}, seed {}", method_of(number).name, searched_case.problem->family,
                       searched_case.problem->workload, searched_case.goal.slo, number % comparison_.seeds + 1);
  }

 private:
  static Result<SearchRecord> record(const SearchPlan& plan, const Method& method) {
    TRY(const auto optimizer, method.make(plan.cap));
    return run_search(plan, *optimizer);
  }
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

std::size_t Comparison::searches() const { return problems.size() * slos.size() * methods.size() * ensembles.size() * seeds; }

Result<std::vector<Cell>> compare(const Comparison& comparison, const std::function<void(std::size_t done)>& progress) {
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
