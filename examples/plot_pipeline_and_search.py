"""
===========================================
In a pipeline, and under a parameter search
===========================================

A variational autoencoder goes wherever PCA stands: in front of a classifier, inside a
cross-validation, under a search. Labels are seen by the classifier only.
"""

# %%
# PCA, replaced
# -------------
# 16 components of scikit-learn's digits, then a linear classifier. Every fold fits the whole
# pipeline anew, so that the rows it is scored on were seen by neither step.

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from skvae import VariationalAutoencoder

X, y = load_digits(return_X_y=True)
X = X / 16
vae = VariationalAutoencoder(16, learning_rate=3e-3, max_epochs=40, random_state=0)
for encoder in (PCA(16), vae):
    pipeline = make_pipeline(encoder, LogisticRegression(max_iter=2000))
    accuracy = cross_val_score(pipeline, X, y, cv=3)
    print(f"{type(encoder).__name__:24s}{accuracy.mean():.3f} ± {accuracy.std():.3f}")

# %%
# In front of a linear classifier, with 16 components to spend, the two are close. What follows is
# about choosing the model itself.
#
# A grid, for the classifier's sake
# ---------------------------------
# Parameters of a step have its name in front. The question is which latent serves the classifier;
# a ``beta`` below 1 keeps more of each row, at the price of a poorer bound. From here on fits are
# short on purpose, to compare candidates, and need not be told so.

import warnings

from skvae import UndertrainedWarning

warnings.simplefilter("ignore", UndertrainedWarning)
pipeline = make_pipeline(vae.set_params(max_epochs=15), LogisticRegression(max_iter=2000))
grid = {
    "variationalautoencoder__n_components": [2, 8, 16],
    "variationalautoencoder__beta": [0.25, 1.0],
}
by_accuracy = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
results = by_accuracy.cv_results_
for params, score in zip(results["params"], results["mean_test_score"], strict=True):
    settings = ", ".join(f"{name.split('__')[1]}={value}" for name, value in params.items())
    print(f"{settings:28s}accuracy {score:.3f}")

# %%
# Successive halving, for the model's own sake
# --------------------------------------------
# Without a classifier there is ``score``, the bound for held-out rows, and no label is needed: how
# many components describe digits best? ``max_epochs`` is the resource. All candidates train
# for 10 epochs, the better half for 20, and so on.

from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - registers the class
from sklearn.model_selection import HalvingGridSearchCV

search = HalvingGridSearchCV(
    VariationalAutoencoder(random_state=0),
    {"n_components": [2, 4, 8, 16], "learning_rate": [1e-3, 3e-3]},
    resource="max_epochs",
    min_resources=10,
    max_resources=80,
    factor=2,
    cv=2,
    random_state=0,
).fit(X)
print(search.best_params_, f"{search.best_score_:.1f} nats per digit")

# %%
# How the candidates went, and where they were given up. A race is won by who starts fast: models
# of many components learn more slowly, and a first round that is too short can give up the best.

import matplotlib.pyplot as plt
import pandas as pd

rounds = pd.DataFrame(search.cv_results_)
figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
colours = {2: "#3f90da", 4: "#ffa90e", 8: "#bd1f01", 16: "#832db6"}
curves = rounds.groupby(["param_n_components", "param_learning_rate"])
for (n_components, rate), curve in curves:
    ax.plot(
        curve["n_resources"],
        curve["mean_test_score"],
        "o-" if rate == 1e-3 else "s--",
        color=colours[n_components],
        label=f"{n_components}, {rate:g}",
    )
ax.set(xlabel="epochs", ylabel="held-out bound, nats per row", xscale="log")
ax.set_xticks([10, 20, 40, 80], ["10", "20", "40", "80"])
ax.minorticks_off()
ax.set_title("Half of the candidates is given up in each round")
figure.legend(title="n_components,\nlearning_rate", loc="outside right upper", frameon=False)
plt.show()

# %%
# What to take home
# -----------------
# Two questions, two scores. *Which latent helps my classifier?* is asked of the pipeline, with
# labels. *Which model describes my rows?* is asked of ``score``, without them. Neither needs a
# line of code that PCA would not need.
