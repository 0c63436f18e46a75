"""
==================================
Strange rows, a threshold, and why
==================================

The table has 569 biopsies of breast tissue, with 30 measurements of cell nuclei each. There are two
typical questions. Which rows hold a mistake? And which new cases are unlike those that are known to
be benign? ``VAEOutlierDetector`` answers both, and names the measurements that are the reason.
"""

# %%
# Mistakes in a table
# -------------------
# These are the 357 benign cases. In ten of them, the decimal point of one measurement is moved. The
# detector is fitted to this table, with the mistakes in it. Each training step leaves out the rows
# that are least likely at that time, so that mistakes are not learned.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer

from skvae import VAEOutlierDetector

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
benign, malignant = X[y == 1].reset_index(drop=True), X[y == 0]
rng = np.random.default_rng(0)
table, wrong = benign.copy(), np.sort(rng.choice(len(benign), 10, replace=False))
names = rng.permutation(X.columns)[:10]
for row, name, factor in zip(wrong, names, rng.choice([0.1, 10], 10), strict=True):
    table.loc[row, name] *= factor

detector = VAEOutlierDetector(contamination=0.05, random_state=0).fit(table)
scores = detector.score_samples(table)
flagged = scores < detector.offset_
print(f"{flagged.sum()} of {len(table)} flagged, with {flagged[wrong].sum()} of the 10 mistakes")

# %%
# ``contamination`` is the share of rows that somebody has time to check. Scores are bounds on log
# p(x) in nats; the line is ``offset_``. Biopsies are very different, so that some rows without a
# mistake are as unusual. The default, ``"auto"``, flags only rows that score far below all others:

strict = VAEOutlierDetector(random_state=0).fit(table).predict(table) == -1
print(f"auto: {strict.sum()} flagged, with {strict[wrong].sum()} of the 10 mistakes")

# %%
# The picture of the first:

figure, ax = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
lowest = detector.offset_ - 150
bins = np.linspace(lowest, scores.max(), 60)
is_wrong = np.isin(np.arange(len(table)), wrong)
groups = {"as they were": ("#3f90da", ~is_wrong), "with a mistake": ("#bd1f01", is_wrong)}
for name, (colour, of_these) in groups.items():
    ax.hist(np.clip(scores[of_these], lowest, None), bins, color=colour, label=name, alpha=0.7)
ax.axvline(detector.offset_, color="black", linestyle=":", label="threshold")
ax.set(xlabel="score_samples, nats per row (lower ones at the left end)", ylabel="rows")
ax.set_yscale("log")
ax.legend(frameon=False, loc="upper left")
plt.show()

# %%
# Why is a row strange?
# ---------------------
# ``explain`` hides each measurement in turn. Its contribution is the rise of the score without it.
# The measurement with the largest contribution should be the one with the mistake.

reasons = detector.explain(table.loc[wrong])
for name, found in zip(names, X.columns[reasons.argmax(axis=1)], strict=True):
    print(f"mistake in {name:25s}strangest {found}")

# %%
# A measurement may be ordinary by itself but not fit the others. Here, one case gets the perimeter
# of another one. It is large but not unusual; radius and area say that it should be small.

from skvae.display import OutlierDisplay

case = benign.loc[[(benign["mean radius"] - 10).abs().idxmin()]].copy()
case["mean perimeter"] = benign["mean perimeter"].quantile(0.9)
print(f"radius {case['mean radius'].item():.1f}, usual {benign['mean radius'].median():.1f}")
# sphinx_gallery_thumbnail_number = 2
OutlierDisplay.from_estimator(detector, case, n_features=8)
plt.show()

# %%
# These are all ten, side by side:

OutlierDisplay.from_estimator(detector, table.loc[wrong])
plt.show()

# %%
# New cases
# ---------
# If you know that the rows have no outliers, set ``novelty=True``. Then nothing is left out, and
# the model follows the rows more closely. Here it is fitted to 70 % of the benign cases, without
# mistakes. Each of its three models leaves out a fifth of these to find the threshold.
# ``contamination`` is the share of false alarms among such rows.

from sklearn.model_selection import train_test_split

train, test = train_test_split(benign, test_size=0.3, random_state=0)
monitor = VAEOutlierDetector(novelty=True, contamination=0.05, random_state=0).fit(train)
for name, rows in (("benign, new", test), ("malignant", malignant)):
    print(f"{name:13s}{(monitor.predict(rows) == -1).mean():.0%} flagged")

# %%
# Other detectors
# ---------------
# The area under the ROC curve is the probability that a malignant case scores below a benign one.
# The other detectors are those of scikit-learn, on the same rows, with default parameters.

import pandas as pd
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

new, is_malignant = pd.concat([test, malignant]), np.repeat([0, 1], [len(test), len(malignant)])
detectors = {
    "VAEOutlierDetector": monitor,
    "IsolationForest": IsolationForest(random_state=0).fit(train),
    "EllipticEnvelope": EllipticEnvelope(random_state=0).fit(train),
    "LocalOutlierFactor": make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True)).fit(
        train
    ),
}
for name, fitted in detectors.items():
    print(f"{name:20s}ROC AUC {roc_auc_score(is_malignant, -fitted.score_samples(new)):.3f}")

# %%
# Summary
# -------
# You only need ``fit``, ``predict`` and ``explain``. Which detector is best depends on the table;
# the benchmarks compare nine detectors on 21 public tables.
