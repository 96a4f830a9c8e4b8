#!/usr/bin/env python3
"""Writes reference.json: what scipy and numpy say about a few series. Run it after a change of the
series; the tests compare this crate's statistics with the stored figures.

scipy.stats.theilslopes, scipy.stats.kendalltau (alternative='greater'), numpy.quantile, numpy.linalg.lstsq."""
import json
import pathlib

import numpy as np
from scipy import stats

rng = np.random.default_rng(20240917)
theil = []
for n, noise, step in ((5, 0.1, 1.0), (40, 3.0, 0.25), (160, 8.0, 0.5)):
    t = np.cumsum(rng.uniform(0.5, 1.5, n)) * step
    y = 100 + 2.5 * t + noise * rng.standard_normal(n)
    y[:: max(n // 7, 2)] += 40
    theil.append({"t": t.tolist(), "y": y.tolist(), "slope": float(stats.theilslopes(y, t)[0])})

kendall = []
for y in (
    [1, 2, 3],
    [1, 3, 2, 4],
    [2, 1, 4, 3, 5],
    [1, 2, 3, 4, 5, 6],
    [3, 1, 2, 6, 5, 4, 7],
    [9, 8, 7, 3, 2, 1],
    list(rng.permutation(10)),
):
    r = stats.kendalltau(range(len(y)), y, alternative="greater", method="exact")
    kendall.append({"y": [float(v) for v in y], "p": float(r.pvalue)})
# Beyond ten values: the normal approximation with a correction for continuity, with ties.
normal = []
for n, ties in ((14, False), (30, False), (30, True)):
    y = 0.1 * np.arange(n) + rng.standard_normal(n)
    if ties:
        y = np.round(y)
    s = int(np.sign(y[None, :] - y[:, None])[np.triu_indices(n, 1)].sum())
    _, c = np.unique(y, return_counts=True)
    var = (n * (n - 1) * (2 * n + 5) - (c * (c - 1) * (2 * c + 5)).sum()) / 18
    normal.append({"y": y.tolist(), "p": float(stats.norm.sf((s - np.sign(s)) / np.sqrt(var)))})

blocks = []
for n in (36, 60):
    t = np.arange(n) * 0.5
    y = 7 * t + 20 * rng.standard_normal(n)
    part = [np.arange(k * n // 6, (k + 1) * n // 6) for k in range(6)]
    bt = np.array([t[i].mean() for i in part])
    by = np.array([np.median(y[i]) for i in part])
    slopes = np.diff(by) / np.diff(bt)
    half = stats.t.ppf(0.95, 4) * (0.2 * slopes.std(ddof=1) / np.sqrt(5) + 0.8 * stats.linregress(bt, by).stderr)
    s = float(stats.theilslopes(y, t)[0])
    blocks.append({"t": t.tolist(), "y": y.tolist(), "slope": s, "low": s - half, "high": s + half})

out = pathlib.Path(__file__).with_name("reference.json")
out.write_text(json.dumps({"theil": theil, "kendall": kendall, "normal": normal, "blocks": blocks}, indent=1) + "\n")
