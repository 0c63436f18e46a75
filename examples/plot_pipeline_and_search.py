"""
===========================================
In a pipeline, and under a parameter search
===========================================

A variational autoencoder can be used wherever PCA can be used: before a classifier, in a
cross-validation, in a search. Only the classifier sees the labels.
"""

# %%
# PCA, replaced
# -------------
# The pipeline has 16 components of scikit-learn's digits and then a linear classifier. The whole
# pipeline is fitted again in every fold, so that neither step has seen the rows on which it is
# scored.

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from skvae import VariationalAutoencoder

X, y = load_digits(return_X_y=True)
X = X / 16
vae = VariationalAutoencoder(16, max_epochs=40, random_state=0)
for encoder in (PCA(16), vae):
    pipeline = make_pipeline(encoder, LogisticRegression(max_iter=2000))
    accuracy = cross_val_score(pipeline, X, y, cv=3)
    print(f"{type(encoder).__name__:24s}{accuracy.mean():.3f} ± {accuracy.std():.3f}")

# %%
# With 16 components and a linear classifier, the two are close. The rest of this page is about
# choosing the model itself.
#
# A grid search for the classifier
# --------------------------------
# Parameters of a step begin with its name. The question is which latent is best for the classifier.
# A ``beta`` below 1 keeps more information about each row, but gives a worse bound. From here on,
# fits are short on purpose, to compare candidates, so warnings about it are ignored.

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
# Successive halving for the model itself
# ---------------------------------------
# Without a classifier, the search uses ``score``, the bound for held-out rows, and needs no labels.
# The question is how many components describe digits best. ``max_epochs`` is the resource: all
# candidates are trained for 10 epochs, the better half for 20, and so on.

from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - registers the class
from sklearn.model_selection import HalvingGridSearchCV

search = HalvingGridSearchCV(
    VariationalAutoencoder(random_state=0),
    {"n_components": [2, 4, 8, 16], "learning_rate": [3e-3, 1e-2]},
    resource="max_epochs",
    min_resources=10,
    max_resources=80,
    factor=2,
    cv=2,
    random_state=0,
).fit(X)
print(search.best_params_, f"{search.best_score_:.1f} nats per digit")

# %%
# The picture shows the score of each candidate, and where it was dropped. Halving prefers models
# that learn fast at first. Models with many components learn more slowly, so a first round that is
# too short can drop the best one.

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
        "o-" if rate == 3e-3 else "s--",
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
# Summary
# -------
# There are two questions with two scores. To find the best latent for a classifier, score the
# pipeline, with labels. To find the model that describes the rows best, use ``score``, without
# labels. Both need the same code as PCA.
