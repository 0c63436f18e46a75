"""
==============================================
In a Pipeline, and under a hyperparameter search
==============================================

A variational autoencoder goes wherever PCA stands: in front of a classifier, inside a
cross-validation, under a search. Labels are seen by the classifier only.
"""

import argparse
import time
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")  # files only, no window

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - registers the class
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from skvae import VariationalAutoencoder

# %%
# PCA, replaced
# -------------
# 16 components, then a linear classifier. Every fold fits the whole pipeline anew, so that
# the rows it is scored on were seen by neither step. The learning rate is the one that the
# search at the end prefers when epochs are few.


def classify(embedding, X, y):
    """Return the cross-validated accuracy of a linear classifier on an embedding."""
    pipeline = make_pipeline(embedding, LogisticRegression(max_iter=2000))
    return cross_val_score(pipeline, X, y, cv=3, n_jobs=2).mean()


def compare(X, y):
    """Print the accuracies behind PCA and behind a VAE."""
    vae = VariationalAutoencoder(16, learning_rate=3e-3, max_epochs=80, random_state=0)
    print("16 components and LogisticRegression, 3 folds")
    for embedding in (PCA(16), vae):
        print(f"  {type(embedding).__name__:<24}{classify(embedding, X, y):.3f}")


# %%
# A grid for the classifier's sake
# --------------------------------
# Parameters of a step have its name in front. What is asked here is which latent serves the
# classifier; a smaller ``beta`` than 1 keeps more of each row and a poorer bound.


GRID = {"n_components": [2, 8, 16], "beta": [0.25, 1.0]}


def grid_search(X, y):
    """Return a search over the size of the latent and the weight of the KL."""
    vae = VariationalAutoencoder(max_epochs=30, random_state=0)
    pipeline = make_pipeline(vae, LogisticRegression(max_iter=2000))
    grid = {f"variationalautoencoder__{name}": values for name, values in GRID.items()}
    return GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(X, y)


def print_grid(search):
    """Print the mean accuracy of every candidate."""
    print("\ngrid search, 30 epochs, 2 folds")
    results = search.cv_results_
    for params, score in zip(results["params"], results["mean_test_score"], strict=True):
        n_components, beta = (params[f"variationalautoencoder__{k}"] for k in GRID)
        print(f"  n_components={n_components:<3} beta={beta:<5} accuracy {score:.3f}")


# %%
# Successive halving, for the model's own sake
# --------------------------------------------
# Without a classifier there is ``score``, the bound for held-out rows: how many components
# describe digits best? ``max_epochs`` is the resource. All candidates train for 10 epochs,
# the better half for 20, and so on.


def halving_search(X):
    """Return a search for the best bound, with epochs as the resource."""
    return HalvingGridSearchCV(
        VariationalAutoencoder(random_state=0),
        {"n_components": [2, 4, 8, 16], "learning_rate": [1e-3, 3e-3]},
        resource="max_epochs",
        min_resources=10,
        max_resources=80,
        factor=2,
        cv=2,
        random_state=0,
        n_jobs=2,
    ).fit(X)


def by_candidate(search):
    """Return ``{(n_components, learning_rate): ([epochs, ...], [bound, ...])}``."""
    curves = {}
    results = search.cv_results_
    columns = (results[name] for name in ("params", "n_resources", "mean_test_score"))
    for params, epochs, bound in zip(*columns, strict=True):
        curve = curves.setdefault((params["n_components"], params["learning_rate"]), ([], []))
        curve[0].append(int(epochs))
        curve[1].append(float(bound))
    return curves


def print_halving(search):
    """Print how far each candidate came."""
    print("\nsuccessive halving, 2 folds: held-out bound in nats per row after the last epochs")
    for (n_components, rate), (epochs, bounds) in by_candidate(search).items():
        print(
            f"  n_components={n_components:<3} learning_rate={rate:<6} "
            f"{epochs[-1]:>3} epochs {bounds[-1]:8.1f}"
        )
    print(f"  best: {search.best_params_}")


def draw_halving(search):
    """Return a figure of the bound over epochs, a line for each candidate."""
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    colours = {2: "C0", 4: "C1", 8: "C2", 16: "C3"}
    for (n_components, rate), curve in by_candidate(search).items():
        style = "o-" if rate == 1e-3 else "s--"
        ax.plot(*curve, style, color=colours[n_components], label=f"{n_components}, {rate:g}")
    ax.set(xlabel="epochs", ylabel="held-out bound, nats per row", xscale="log")
    ax.set_xticks([10, 20, 40, 80], ["10", "20", "40", "80"])
    ax.minorticks_off()
    ax.legend(title="n_components, learning_rate")
    return figure


def main():
    parser = argparse.ArgumentParser(description="A VAE in a Pipeline and under searches.")
    parser.add_argument("--out", type=Path, default=Path("pictures"), help="folder for pictures")
    out = parser.parse_args().out
    torch.set_num_threads(1)  # on small networks threads mostly wait for each other
    start = time.perf_counter()

    X, y = load_digits(return_X_y=True)
    X = X / 16
    compare(X, y)
    print_grid(grid_search(X, y))
    search = halving_search(X)
    print_halving(search)

    out.mkdir(parents=True, exist_ok=True)
    draw_halving(search).savefig(out / "halving.png", dpi=90)
    print(f"wrote {out / 'halving.png'}\n{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
