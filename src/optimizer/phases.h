#pragma once
// The order in which the paper searches: first the clock of the host CPU alone, then everything else at the clock found best.

#include <functional>
#include <memory>

#include "optimizer/optimizer.h"

namespace polythrottle {

/// Makes a fresh optimizer.
using OptimizerMaker = std::function<std::unique_ptr<Optimizer>()>;

/// Up to so many settings of phase 1 are all measured, those nearest to the reference first, whatever they may break; more are searched,
/// and under Explore::kStrict fewer are too. The paper does not say how it searched them; one dimension with a dozen levels needs no more.
inline constexpr std::size_t kMostSwept = 16;

/// `make`'s optimizer in two phases. Phase 1: settings that differ from the reference in knobs of Role::kHostClock alone. Phase 2: host
/// clocks as in the best setting of phase 1 that is known to meet the limits (else as in the reference), everything else together; that
/// setting takes the reference's place. Each phase is a problem of its own: a smaller space, and the trials made in it.
///
/// The best of phase 1 is judged by what was measured before phase 2 began, so that a later look does not turn phase 2 around. Reasons of
/// advice begin with "phase 1 (CPU clock): " or "phase 2: "; `recommend` is that of `make`'s optimizer over the whole space. `ask` fails
/// with kInvalid where `check_phases` does.
std::unique_ptr<Optimizer> make_paper_phases(const OptimizerMaker& make);

/// Can this space be searched so? Errors: kInvalid if it has no host clock with a choice.
Status check_phases(const Space& space);

}  // namespace polythrottle
