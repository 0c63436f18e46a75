"""
==================================
Strange rows, a threshold, and why
==================================

Biopsies of breast tissue: 569 rows, 30 measurements of cell nuclei each. Two questions that come up
with such a table. Which rows hold a mistake, if any? And which new cases are unlike those that are
known to be benign? ``VAEOutlierDetector`` answers both, with the measurements behind the answer.
"""

# %%
# Mistakes in a table
# -------------------
# The 357 benign cases; in ten of them a decimal point has moved, in one measurement each. The
# detector is fitted to the table as it is, mistakes and all. In each step of the training the rows
# that are least likely so far are left out, so that they are not learned.

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
# ``contamination`` is the share that somebody has time to look at. Scores are bounds on log p(x),
# nats; the line is ``offset_``. Biopsies differ much, so that some rows without a mistake are as
# strange. The default, ``"auto"``, flags what is far below all others, and nothing else:

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
# ``explain`` hides each measurement in turn: it adds as many nats as the score rises without it.
# The names that come first should be those of the mistakes.

reasons = detector.explain(table.loc[wrong])
for name, found in zip(names, X.columns[reasons.argmax(axis=1)], strict=True):
    print(f"mistake in {name:25s}strangest {found}")

# %%
# A measurement may be ordinary by itself, and not fit the others. One case gets the perimeter of
# another one, large, but not unusual; radius and area say that it should be small.

from skvae.display import OutlierDisplay

case = benign.loc[[(benign["mean radius"] - 10).abs().idxmin()]].copy()
case["mean perimeter"] = benign["mean perimeter"].quantile(0.9)
print(f"radius {case['mean radius'].item():.1f}, usual {benign['mean radius'].median():.1f}")
# sphinx_gallery_thumbnail_number = 2
OutlierDisplay.from_estimator(detector, case, n_features=8)
plt.show()

# %%
# All ten, side by side:

OutlierDisplay.from_estimator(detector, table.loc[wrong])
plt.show()

# %%
# Unlike the benign
# -----------------
# If rows are known to be clean, ``novelty=True``: nothing is left out then, and the model follows
# the rows more closely. Here it sees 70 % of the benign cases, as they were. Each of its three
# models leaves out a fifth of these, by which the threshold is found; ``contamination`` is the
# share of false alarms among such rows.

from sklearn.model_selection import train_test_split

train, test = train_test_split(benign, test_size=0.3, random_state=0)
monitor = VAEOutlierDetector(novelty=True, contamination=0.05, random_state=0).fit(train)
for name, rows in (("benign, new", test), ("malignant", malignant)):
    print(f"{name:13s}{(monitor.predict(rows) == -1).mean():.0%} flagged")

# %%
# Against others
# --------------
# The area under the ROC curve is the probability that a malignant case scores below a benign one.
# The other detectors are scikit-learn's, on the same rows, with their defaults.

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
# What to take home
# -----------------
# ``fit``, ``predict`` and ``explain`` are all it takes. Which detector ranks best depends on the
# table; the benchmarks compare nine on 21 public ones.
