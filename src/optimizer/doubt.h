#pragma once
// Fitting a field to looks of which one may be wrong.

#include <vector>

#include "optimizer/evidence.h"

namespace polythrottle {

/// Fits; then, where one look surprises, fits with and without belief in it and keeps what explains the data better, outliers being rare.
/// `doubted` gets the rows that are not believed; only settings looked at once are doubted. Errors: those of Field::fit.
Result<Field> fit_with_doubt(const std::vector<const FieldPrior*>& priors, const RelativeKnobs& knobs,
                             std::vector<FieldObservation> observations, const std::vector<Visit>& visits,
                             std::vector<Eigen::Index>& doubted);

}  // namespace polythrottle
