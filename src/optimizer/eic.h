#pragma once
// The method of the PolyThrottle paper: constrained Bayesian optimisation over the candidates not yet measured, EIC = EI x PF.

#include <memory>

#include "base/result.h"
#include "optimizer/optimizer.h"
#include "optimizer/refusal.h"
#include "space/space.h"
#include "surrogate/gp.h"

namespace polythrottle {

/// What is modelled of a metric.
enum class Target {
  kRaw,  ///< its value
  kLog,  ///< its logarithm; kRaw where a value or the limit is not positive
};

/// How targets are centred and scaled before they are modelled; xi is in this unit.
enum class Standardisation {
  kMeanAndDeviation,   ///< of the observations; one dreadful setting makes the unit large
  kMedianAndAbsolute,  ///< median and 1.4826 x median absolute deviation; kMeanAndDeviation where that is zero
};

/// What an observation's error is taken to be.
enum class Noise {
  kFitted,    ///< one variance for all, by maximum likelihood
  kReported,  ///< each one's own standard error; a fitted one on top where any observation lacks it
};

/// What EI is measured against, among the settings found feasible.
enum class Incumbent {
  kBestMeasured,
  kBestPosteriorMean,
};

/// The numbers of the paper, and where it is silent the reading whose trials on the simulated boards come nearest to the published bars
/// (docs/results.md: Matern-5/2, log targets, physical values, reported noise). With no feasible setting yet, PF alone is maximised.
///
/// One process for the objective (completed trials), one for the metric of each limit (completed trials, and trials stopped early whose
/// metric is beyond the limit: a lower bound of the truth, used as it is). A limit counts with its slack, as in `judge`. Settings that were
/// refused or failed, or were stopped early without saying which limit they broke, have no metrics to teach: a further process of fixed
/// scales, with prior mean "runs", is conditioned on +1 (did not run) and -1 (ran), and P(it runs) is one more factor of PF.
struct EicOptions {
  int random_starts = 5;  ///< paper; trials of kind kTry that taught something
  double xi = 0.1;        ///< paper; in standard deviations of the objective
  Kernel kernel = Kernel::kMatern52;
  Encoding encoding = Encoding::kValue;
  Target target = Target::kLog;
  Standardisation standardisation = Standardisation::kMeanAndDeviation;
  Noise noise = Noise::kReported;
  Incumbent incumbent = Incumbent::kBestMeasured;
  double refusal_length_scale = kRefusalLengthScale;  ///< how far a refusal is felt, inputs in [0, 1]

  /// Errors: kInvalid, naming the field.
  Status validate() const;
};

/// Errors: those of EicOptions::validate.
Result<std::unique_ptr<Optimizer>> make_eic(const EicOptions& options);

}  // namespace polythrottle
