#pragma once
// Fitting a field to looks of which one may be wrong.

#include <set>
#include <vector>

#include "optimizer/evidence.h"

namespace polythrottle {

/// Fits; then, where one look surprises, fits with and without belief in it and keeps what explains the data better, outliers being rare.
/// `doubted` gets the rows that are not believed; only settings looked at once are doubted. Errors: those of Field::fit.
Result<Field> fit_with_doubt(const std::vector<const FieldPrior*>& priors, const RelativeKnobs& knobs,
                             std::vector<FieldObservation> observations, const std::vector<Visit>& visits,
                             std::vector<Eigen::Index>& doubted);

/// Which earlier studies (tasks of `earlier`) make the observations of this one likelier, tried one after the other: those of a machine
/// that behaves otherwise would not only mislead, they would widen every scale. One that nothing speaks against yet is kept, unless physics
/// does. Errors: those of Field::fit.
Result<std::set<int>> studies_that_help(const std::vector<const FieldPrior*>& priors, const RelativeKnobs& knobs,
                                        const std::vector<FieldObservation>& observations, const std::vector<FieldObservation>& earlier);

}  // namespace polythrottle
