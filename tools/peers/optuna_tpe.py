#!/usr/bin/python3
"""Optuna's tree-structured Parzen estimator as a peer: multivariate, the latency limit as a constraint, 5 random starts.

Needs Debian's python3-optuna.
"""

import warnings

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from peer import serve

RANDOM_STARTS = 5


class Search:
    """Each knob is an integer, the number of its level, or a category; what was tried is added to the study as it was measured."""

    def __init__(self, start):
        self.candidates = np.array(start["candidates"])
        self.limit = start["limit"]
        self.distributions = {p["name"]: distribution(p) for p in start["parameters"]}
        # The reference setting is told first and is one of the trials that the sampler counts.
        sampler = optuna.samplers.TPESampler(
            multivariate=True, n_startup_trials=RANDOM_STARTS + 1, constraints_func=constraints, seed=start["seed"]
        )
        self.study = optuna.create_study(sampler=sampler)

    def tell(self, trial):
        over = trial["latency"] / self.limit - 1.0
        aborted = trial["energy"] is None
        self.study.add_trial(
            create_trial(
                state=TrialState.PRUNED if aborted else TrialState.COMPLETE,
                value=None if aborted else trial["energy"],
                params=dict(zip(self.distributions, map(int, self.candidates[trial["candidate"]]))),
                distributions=self.distributions,
                # Where the sampler looks for what constraints() gave; it asks that only of trials that it proposed itself.
                system_attrs={"constraints": (over,)},
            )
        )

    def ask(self):
        """The candidate nearest to the proposal, in level numbers: not every combination need exist."""
        proposal = self.study.ask(self.distributions)
        self.study.tell(proposal, state=TrialState.FAIL)  # what is measured is told apart
        levels = np.array([proposal.params[name] for name in self.distributions])
        extent = np.maximum(self.candidates.max(axis=0), 1)
        return np.abs((self.candidates - levels) / extent).sum(axis=1).argmin()


def distribution(parameter):
    levels = len(parameter["levels"])
    if parameter["role"] == "category":
        return CategoricalDistribution(list(range(levels)))
    return IntDistribution(0, levels - 1)


def constraints(trial):
    return trial.system_attrs["constraints"]


if __name__ == "__main__":
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    serve(f"Optuna {optuna.__version__}, TPE multivariate with constraints, {RANDOM_STARTS} random starts", Search)
