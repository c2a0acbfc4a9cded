#include "optimizer/phases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "optimizer/candidates.h"

namespace polythrottle {
namespace {

bool is_host_clock(const Parameter& parameter) { return parameter.role == Role::kHostClock; }

/// The candidates that agree with `like` in every knob for which `fixed` holds, with the levels that occur in them.
template <class Fixed>
Result<Space> part_of(const Space& space, CandidateId like, Fixed fixed) {
  std::vector<Parameter> parameters = space.parameters();
  std::vector<std::vector<bool>> used;
  for (const Parameter& p : parameters) used.emplace_back(p.levels.size(), false);
  std::vector<Config> rows;
  for (CandidateId id = 0; id < space.size(); ++id) {
    const auto levels = space.levels(id), wanted = space.levels(like);
    bool belongs = true;
    for (std::size_t k = 0; k < levels.size() && belongs; ++k) belongs = levels[k] == wanted[k] || !fixed(parameters[k]);
    if (!belongs) continue;
    for (std::size_t k = 0; k < levels.size(); ++k) used[k][levels[k]] = true;
    rows.push_back(space.config(id));
  }
  for (std::size_t k = 0; k < parameters.size(); ++k) {
    std::vector<Value> levels;
    for (std::size_t i = 0; i < used[k].size(); ++i) {
      if (used[k][i]) levels.push_back(parameters[k].levels[i]);
    }
    parameters[k].levels = std::move(levels);
  }
  return Space::list(std::move(parameters), rows);
}

std::vector<Trial> made_in(const Space& space, std::span<const Trial> history) {
  std::vector<Trial> out;
  std::copy_if(history.begin(), history.end(), std::back_inserter(out), [&](const Trial& t) { return space.find(t.asked).has_value(); });
  return out;
}

Problem problem_in(const Space& space, const Problem& whole, Config reference) {
  return {space, whole.objective, whole.constraints, std::move(reference), whole.seed, whole.search};
}

/// How many levels lie between two candidates, over all knobs.
int steps(const Space& space, CandidateId a, CandidateId b) {
  int sum = 0;
  for (std::size_t k = 0; k < space.parameters().size(); ++k) sum += std::abs(int{space.levels(a)[k]} - int{space.levels(b)[k]});
  return sum;
}

/// The next setting of a sweep outwards from the reference, or the stop.
Advice sweep(const Problem& problem, std::span<const Trial> history) {
  const std::vector<bool> open = open_candidates(problem.space, teaching(history));
  const auto centre = problem.space.find(problem.reference);
  std::optional<CandidateId> next;
  const auto distance = [&](CandidateId id) { return centre ? steps(problem.space, id, *centre) : 0; };
  for (CandidateId id = 0; id < open.size(); ++id) {
    if (open[id] && (!next || distance(id) < distance(*next))) next = id;
  }
  if (!next) return space_exhausted();
  const auto done = std::count(open.begin(), open.end(), false);
  return {Advice::Kind::kTry, problem.space.config(*next), fmt::format("setting {} of {}", done + 1, open.size()), {}};
}

/// A sweep does not care what a setting may break.
bool swept(const Problem& problem) { return problem.space.size() <= kMostSwept && problem.search.explore != Explore::kStrict; }

class PaperPhases final : public Optimizer {
 public:
  explicit PaperPhases(const OptimizerMaker& make) : first_(make()), second_(make()), whole_(make()) {}

  Result<Advice> ask(const Problem& problem, std::span<const Trial> history) override {
    TRY_STATUS(check_phases(problem.space));
    const auto reference = problem.space.find(problem.reference);
    if (!reference) return fail(Errc::kInvalid, fmt::format("the reference {} is not in the space", problem.reference.text()));
    TRY(const Space clocks, part_of(problem.space, *reference, [](const Parameter& p) { return !is_host_clock(p); }));
    const std::span<const Trial> before = until_second(clocks, history);
    const std::vector<Trial> first = made_in(clocks, before);
    const Problem alone = problem_in(clocks, problem, problem.reference);
    if (before.size() == history.size()) {
      TRY(Advice advice, swept(alone) ? Result<Advice>(sweep(alone, first)) : first_->ask(alone, first));
      if (advice.kind != Advice::Kind::kStop) return named("phase 1 (CPU clock): ", std::move(advice));
    }
    const auto best = polythrottle::recommend(alone, first);
    const auto known = best && best->known_to_meet ? problem.space.find(best->config) : std::nullopt;
    return second(problem, history, known.value_or(*reference));
  }

  std::optional<Recommendation> recommend(const Problem& problem, std::span<const Trial> history) override {
    return whole_->recommend(problem, history);
  }

 private:
  /// What was done before phase 2 began: its first trial is the first exploration outside phase 1.
  static std::span<const Trial> until_second(const Space& clocks, std::span<const Trial> history) {
    const auto began = std::find_if(history.begin(), history.end(),
                                    [&](const Trial& t) { return t.advice.kind == Advice::Kind::kTry && !clocks.find(t.asked); });
    return history.first(static_cast<std::size_t>(began - history.begin()));
  }

  static Advice named(const char* phase, Advice advice) {
    advice.reason = phase + advice.reason;
    return advice;
  }

  Result<Advice> second(const Problem& problem, std::span<const Trial> history, CandidateId start) {
    TRY(const Space rest, part_of(problem.space, start, is_host_clock));
    TRY(Advice advice, second_->ask(problem_in(rest, problem, problem.space.config(start)), made_in(rest, history)));
    if (advice.kind == Advice::Kind::kStop && advice.reason == space_exhausted().reason) {
      advice.reason = "every setting with this CPU clock is measured";
    }
    return named("phase 2: ", std::move(advice));
  }

  // One for each problem: they may keep what they worked out for it.
  std::unique_ptr<Optimizer> first_, second_, whole_;
};

}  // namespace

std::unique_ptr<Optimizer> make_paper_phases(const OptimizerMaker& make) { return std::make_unique<PaperPhases>(make); }

Status check_phases(const Space& space) {
  const bool has_one = std::any_of(space.parameters().begin(), space.parameters().end(),
                                   [](const Parameter& p) { return is_host_clock(p) && p.levels.size() > 1; });
  if (has_one) return {};
  return fail(Errc::kInvalid, "--phases paper needs a CPU clock knob; this space has none", "use --phases joint");
}

}  // namespace polythrottle
