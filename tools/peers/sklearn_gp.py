#!/usr/bin/python3
"""scikit-learn's Gaussian processes as a peer: Matern 5/2 with a length for each knob, logarithmic targets, constrained expected
improvement by its logarithm, 5 random starts.

Needs Debian's python3-sklearn, which brings NumPy and SciPy.
"""

import warnings

import numpy as np
import scipy
import sklearn
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from peer import serve

RANDOM_STARTS = 5
OUTER_Z = -5.0  # below it, expected improvement is rounded away and its expansion is exact enough


class Search:
    def __init__(self, start):
        self.inputs = encoded(start["parameters"], np.array(start["candidates"]))
        self.log_limit = np.log(start["limit"])
        self.random = np.random.RandomState(start["seed"] % 2**32)
        self.order = list(self.random.permutation(len(self.inputs)))
        self.trials = []

    def tell(self, trial):
        self.trials.append(trial)

    def ask(self):
        tried = {t["candidate"] for t in self.trials}
        left = np.array([c for c in self.order if c not in tried])
        if len(self.trials) <= RANDOM_STARTS:  # the reference is told first and is none of them
            return left[0]
        latency_mean, latency_deviation = self.belief("latency")
        log_feasible = norm.logcdf((self.log_limit - latency_mean) / latency_deviation)
        feasible = [t["candidate"] for t in self.trials if t["energy"] is not None and np.log(t["latency"]) <= self.log_limit]
        if not feasible:
            return left[log_feasible[left].argmax()]
        energy_mean, energy_deviation = self.belief("energy")
        improvement = log_expected_improvement(energy_mean[feasible].min(), energy_mean, energy_deviation)
        return left[(improvement + log_feasible)[left].argmax()]

    def belief(self, what):
        """Mean and deviation of the metric's logarithm at every candidate."""
        known = [t for t in self.trials if t[what] is not None]
        values = np.log([t[what] for t in known])
        errors = np.array([t[what + "_error"] / t[what] for t in known])
        centre, spread = values.mean(), max(values.std(), 1e-9)
        lengths = np.full(self.inputs.shape[1], 0.5)
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(lengths, (0.05, 20.0), nu=2.5)
        process = GaussianProcessRegressor(
            kernel, alpha=(errors / spread) ** 2 + 1e-8, n_restarts_optimizer=2, random_state=self.random
        )
        process.fit(self.inputs[[t["candidate"] for t in known]], (values - centre) / spread)
        mean, deviation = process.predict(self.inputs, return_std=True)
        return centre + spread * mean, spread * np.maximum(deviation, 1e-9)


def encoded(parameters, candidates):
    """Each candidate in the unit cube: numbers by their value, a category by one column for each level."""
    columns = []
    for parameter, levels in zip(parameters, candidates.T):
        if parameter["role"] == "category":
            columns += [(levels == i).astype(float) for i in range(len(parameter["levels"]))]
        else:
            values = np.array(parameter["levels"], dtype=float)
            columns.append((values[levels] - values.min()) / max(np.ptp(values), 1e-9))
    return np.column_stack(columns)


def log_expected_improvement(incumbent, mean, deviation):
    z = (incumbent - mean) / deviation
    inner = np.maximum(z, OUTER_Z)
    outer = np.minimum(z, OUTER_Z)
    near = np.log(norm.pdf(inner) + inner * norm.cdf(inner))
    far = norm.logpdf(outer) - 2.0 * np.log(-outer) + np.log1p(-3.0 / outer**2)
    return np.log(deviation) + np.where(z > OUTER_Z, near, far)


if __name__ == "__main__":
    warnings.simplefilter("ignore", ConvergenceWarning)
    serve(
        f"scikit-learn {sklearn.__version__}, SciPy {scipy.__version__}: GP Matern 5/2, log EIC, {RANDOM_STARTS} random starts", Search
    )
