#!/usr/bin/env python3
"""Writes src/interference/nnls_test.json: least-squares problems with the answers of scipy.optimize.nnls.

  apt-get install python3-scipy && tools/nnls_fixture.py > src/interference/nnls_test.json
"""
import json
import sys

import numpy as np
import scipy
from scipy.optimize import nnls

random = np.random.default_rng(7)
problems = []
for index in range(40):
    columns = int(random.integers(1, 9))
    rows = int(random.integers(columns, columns + 12))
    a = random.standard_normal((rows, columns))
    if index % 3 == 1:  # columns of very different size, as raw FLOPs beside batch sizes are
        a = a * 10.0 ** random.integers(-4, 8, columns)
    if index % 3 == 2:  # all positive, as features of latency are, and an answer that is mostly inside
        a = np.abs(a)
    b = a @ np.maximum(0.0, random.standard_normal(columns)) + 0.3 * random.standard_normal(rows)
    a = np.array([[float(f"{v:.4g}") for v in row] for row in a])  # short in the file, and what is solved is what is written
    b = np.array([float(f"{v:.4g}") for v in b])
    x, residual = nnls(a, b)
    problems.append({"a": a.tolist(), "b": b.tolist(), "x": x.tolist(), "residual": residual})
json.dump({"made_by": f"tools/nnls_fixture.py, scipy {scipy.__version__}", "problems": problems}, sys.stdout)
print()
