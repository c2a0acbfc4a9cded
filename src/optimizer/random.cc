#include <fmt/format.h>

#include <algorithm>

#include "optimizer/candidates.h"
#include "optimizer/optimizer.h"

namespace polythrottle {
namespace {

class RandomSearch final : public Optimizer {
 public:
  Result<Advice> ask(const Problem& problem, std::span<const Trial> history) override {
    const std::vector<bool> open = open_candidates(problem.space, teaching(history));
    const std::vector<CandidateId> order = seeded_permutation(open.size(), problem.seed);
    const auto next = std::find_if(order.begin(), order.end(), [&](CandidateId id) { return open[id]; });
    if (next == order.end()) return space_exhausted();
    return Advice{
        Advice::Kind::kTry, problem.space.config(*next), fmt::format("random draw {} of {}", next - order.begin() + 1, order.size()), {}};
  }
};

std::unique_ptr<Optimizer> make() { return std::make_unique<RandomSearch>(); }

}  // namespace

namespace optimizer_driver {
extern const OptimizerDriver random;
constinit const OptimizerDriver random{
    .name = "random", .summary = "settings at random, none twice; the order depends on the seed alone", .make = make, .exhaustive = false};
}  // namespace optimizer_driver

}  // namespace polythrottle
