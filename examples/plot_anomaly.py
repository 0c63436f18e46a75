"""
===============================
Anomalies, by ``score_samples``
===============================

A model that has learned what rows usually look like gives unusual ones a low score. The rows here
are 569 biopsies of breast tissue, 30 measurements of cell nuclei each. The model sees only
benign ones; of the rest, benign and malignant, it has to say which are unlike them. No label of a
malignant case is used anywhere but in the last step, to see how well that went.
"""

# %%
# Trained on the benign
# ---------------------
# ``early_stopping`` because the rows are few: 30 % of the benign are held out for the end.

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from skvae import VariationalAutoencoder

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
benign, malignant = X[y == 1], X[y == 0]
train, test = train_test_split(benign, test_size=0.3, random_state=0)
vae = VariationalAutoencoder(4, early_stopping=True, random_state=0).fit(train)

rows = {"benign, trained on": train, "benign, held out": test, "malignant": malignant}
scores = {name: vae.score_samples(X) for name, X in rows.items()}
for name, score in scores.items():
    print(f"{name:20s}median {np.median(score):8.1f} nats per row")

# %%
# Against others
# --------------
# The area under the ROC curve is the probability that a malignant case scores below a benign one.
# The other detectors are scikit-learn's, on the same rows, with their defaults; where they need
# scaled columns, they get them. ``FactorAnalysis`` is the linear model of the same kind.

from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import FactorAnalysis
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

detectors = {
    "IsolationForest": IsolationForest(random_state=0),
    "LocalOutlierFactor": make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True)),
    "EllipticEnvelope": EllipticEnvelope(random_state=0),
    "FactorAnalysis(4)": make_pipeline(StandardScaler(), FactorAnalysis(4)),
    "VAE(4)": vae,
    "VAE(4), Student's t": VariationalAutoencoder(
        4, likelihood="student_t", early_stopping=True, random_state=0
    ),
}
new = pd.concat([test, malignant])
is_malignant = np.repeat([False, True], [len(test), len(malignant)])
areas = {}
for name, detector in detectors.items():
    if detector is not vae:
        detector.fit(train)
    low = detector.score_samples(new)
    areas[name] = roc_auc_score(is_malignant, -low)
    print(f"{name:22s}ROC AUC {areas[name]:.3f}")

# %%
# How the scores are spread
# -------------------------
# The held-out benign cases lie a little lower than those trained on: with so few rows, some of
# what was learned is by heart. Compare new rows with the held-out ones, never with the others.
# The line is where 5 % of the held-out benign lie below: a threshold is a choice, and this is one.

import matplotlib.pyplot as plt

threshold = np.quantile(scores["benign, held out"], 0.05)
figure, ax = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
bins = np.linspace(-150, max(score.max() for score in scores.values()), 45)
for (name, score), colour in zip(scores.items(), ("#94a4a2", "#3f90da", "#bd1f01"), strict=True):
    shown = np.clip(score, bins[0], None)
    ax.hist(shown, bins, density=True, histtype="step", linewidth=1.8, color=colour, label=name)
ax.axvline(threshold, color="black", linestyle=":")
ax.set(xlabel="score_samples, nats (all below −150 at −150)", ylabel="share of the rows")
ax.set_yticks([])
ax.legend(frameon=False, loc="upper center")
found = (scores["malignant"] < threshold).mean()
ax.set_title(f"{found:.0%} of the malignant score below 95 % of the held-out benign")
plt.show()

# %%
# Why is it unusual?
# ------------------
# The reconstruction is the most similar usual row. Where a case differs from it, in units of
# that measurement's ordinary residual, is where it is unusual.

residual = (test - vae.reconstruct(test)).std()
case = malignant.iloc[[int(scores["malignant"].argsort()[len(malignant) // 2])]]
surprise = ((case - vae.reconstruct(case)) / residual).iloc[0]
largest = surprise.reindex(surprise.abs().sort_values().index)[-10:]
figure, ax = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
ax.barh(largest.index, largest, color="#3f90da")
ax.axvline(0, color="black", linewidth=0.8)
ax.set(xlabel="difference from the reconstruction, ordinary residuals")
ax.set_title("The malignant case of median score: what is unusual about it")
plt.show()

# %%
# What to take home
# -----------------
# ``score_samples`` ranks rows by how usual they are, in the form of scikit-learn's detectors. On
# a table like this, smooth and of a few hundred rows, simpler detectors do as well or better, as
# the list above says; try them first. The VAE adds the last picture, and takes images, counts and
# mixed tables in the same way.

best = max(areas, key=areas.get)
print(f"best here: {best}, {areas[best]:.3f}")
