#include <fmt/format.h>

#include <algorithm>

#include "optimizer/candidates.h"
#include "optimizer/optimizer.h"

namespace polythrottle {
namespace {

class Grid final : public Optimizer {
 public:
  Result<Advice> ask(const Problem& problem, std::span<const Trial> history) override {
    const std::vector<bool> open = open_candidates(problem.space, teaching(history));
    const auto next = std::find(open.begin(), open.end(), true);
    if (next == open.end()) return space_exhausted();
    const auto id = static_cast<CandidateId>(next - open.begin());
    return Advice{Advice::Kind::kTry, problem.space.config(id), fmt::format("grid point {} of {}", id + 1, open.size()), {}};
  }
};

std::unique_ptr<Optimizer> make() { return std::make_unique<Grid>(); }

}  // namespace

namespace optimizer_driver {
extern const OptimizerDriver grid;
constinit const OptimizerDriver grid{.name = "grid", .summary = "every setting once, in order", .make = make, .exhaustive = true};
}  // namespace optimizer_driver

}  // namespace polythrottle
