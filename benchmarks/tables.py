"""Claim: a small search over VAEs gives tables a higher density than the classics do.

Held-out nats per row, mean of 5 folds, against FactorAnalysis, PCA, GaussianMixture (full and
diagonal, by BIC) and KernelDensity, the others' parameters by inner folds. Asserted: above
FactorAnalysis and PCA on every data set, and above the best of the four on at least three.

    python benchmarks/tables.py [--data-sets wine iris]

About ten minutes on one core. Ours is the importance-weighted bound of 1,000 draws, so at most
log p. For all alike: columns standardised by the training rows of the fold, densities in those
units; uniform noise, the same everywhere, spreads the values of digits (width 1), iris (0.1)
and of sex and the total/HDL ratio of diabetes (1), whose densities could else be driven up
without bound; no column is dropped. Candidates were settled on two folds of another split.

What falls short: GaussianMixture is level on diabetes (it leads by .01 ± .20, standard error over
folds) and on iris (by .00 ± .06). Of the three that we lead, digits (10.18 ± .40) and breast
cancer (3.61 ± 1.73) are clear; wine (.59 ± .37, KernelDensity) is hardly. A GaussianMixture
chosen by inner folds instead of by BIC, "tied" allowed, reaches -4.96 on breast cancer and
-14.97 on wine, where we have -2.82 and -14.55.
"""

import argparse
import time

import numpy as np
import torch
from sklearn import datasets
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from skvae import VariationalAutoencoder
from skvae.likelihoods import Gaussian, StudentT
from skvae.objectives import IWAE
from skvae.priors import FlowPrior, MixtureOfGaussians

N_DRAWS = 1000
SIZES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60)
DATA_SETS = ("breast_cancer", "wine", "diabetes", "iris", "digits")

LINEAR = {"n_components": 20, "hidden_layer_sizes": ()}
SMALL = {  # below 1,000 rows
    "linear, t, flow": {**LINEAR, "likelihood": StudentT(), "prior": FlowPrior(1, (16,))},
    "linear, mixture": {**LINEAR, "prior": MixtureOfGaussians(5)}
    | {"objective": IWAE(10), "steps": 1500},
    "32-4, t, mixture": {"n_components": 4, "hidden_layer_sizes": 32, "likelihood": StudentT()}
    | {"prior": MixtureOfGaussians(3), "weight_decay": 0.1, "steps": 500},
    "32-8, t": {"n_components": 8, "hidden_layer_sizes": 32, "likelihood": StudentT()}
    | {"objective": IWAE(10), "steps": 1500},
}
DEEP = {"n_components": 16, "hidden_layer_sizes": (128, 64), "learning_rate": 3e-3, "steps": 1500}
LARGE = {
    "row": {**DEEP, "likelihood": Gaussian("row", 0.02)},
    "row, mixture": {**DEEP, "likelihood": Gaussian("row", 0.02), "prior": MixtureOfGaussians(20)},
    "row, t": {**DEEP, "likelihood": StudentT(None, "row", 0.02)},
}


def load(name):
    """Return the rows, rounded values spread evenly over what they stand for."""
    if name == "diabetes":
        X = datasets.load_diabetes(scaled=False).data
        width = np.zeros(X.shape[1])
        width[[1, 7]] = 1  # sex, and a ratio of cholesterols that is mostly a whole number
    else:
        X = getattr(datasets, f"load_{name}")().data
        width = {"iris": 0.1, "digits": 1.0}.get(name, 0.0)
    return X + width * np.random.default_rng(0).random(X.shape)


def searched(model, name, values):
    """Return a function that fits the model with the value that 3 inner folds prefer."""

    def fit(X):
        folds = KFold(3, shuffle=True, random_state=0)
        usable = [v for v in values if v <= X.shape[1]]
        search = GridSearchCV(model, {name: usable}, cv=folds).fit(X)
        return search.best_estimator_.score_samples, f"{search.best_params_[name]:.3g}"

    return fit


def fit_mixture(X):
    """Fit mixtures of full and of diagonal normals; keep the one of the lowest BIC."""
    models = [
        GaussianMixture(k, covariance_type=kind, n_init=3, random_state=0).fit(X)
        for kind, most in (("full", 10), ("diag", 60))
        for k in SIZES
        if k <= min(most, len(X) // 20)
    ]
    best = min(models, key=lambda model: model.bic(X))
    return best.score_samples, f"{best.covariance_type} {best.n_components}"


def fit_vae(X, params):
    """Fit one candidate; return its bound on log p(x)."""
    common = {"likelihood": "gaussian", "steps": 1000, "learning_rate": 1e-2}
    params = common | {"gradient_clip": 10.0} | params
    params["max_epochs"] = round(params.pop("steps") / np.ceil(len(X) / 128))
    params["n_components"] = min(params["n_components"], X.shape[1])
    vae = VariationalAutoencoder(**params, learning_rate_schedule="cosine", random_state=0)
    vae.fit(X.astype(np.float32))

    return lambda rows: vae.score_samples(rows.astype(np.float32), n_importance_samples=N_DRAWS)


def fit_searched_vae(X):
    """Choose a candidate by a quarter of the training rows, and fit it to all of them."""
    candidates = SMALL if len(X) < 1000 else LARGE
    train, held_out = train_test_split(X, test_size=0.25, random_state=0)
    scores = {k: fit_vae(train, v)(held_out).mean() for k, v in candidates.items()}
    best = max(scores, key=scores.get)
    return fit_vae(X, candidates[best]), best


MODELS = {
    "VAE": fit_searched_vae,
    "FA": searched(FactorAnalysis(random_state=0), "n_components", SIZES),
    "PCA": searched(PCA(random_state=0), "n_components", SIZES),
    "GMM": fit_mixture,
    "KDE": searched(KernelDensity(), "bandwidth", np.logspace(-1.25, 0.25, 16)),
}


def measure(name):
    """Print and return the held-out nats per row, a dict of one array over folds per model."""
    X, nats = load(name), {}
    for model, fit in MODELS.items():
        start, folds, chosen = time.process_time(), [], []
        for train, test in KFold(5, shuffle=True, random_state=1).split(X):
            scaler = StandardScaler().fit(X[train])
            score_samples, choice = fit(scaler.transform(X[train]))
            scores = score_samples(scaler.transform(X[test]))
            folds.append(scores.mean(dtype=np.float64))
            chosen.append(choice)
        nats[model] = np.array(folds)
        seconds = time.process_time() - start
        line = f"{name}: {model} {nats[model].mean():.2f}, folds {nats[model].round(2)}, chose"
        print(line, "; ".join(chosen), f"in {seconds:.0f} s", flush=True)
    return nats


def difference(ours, theirs):
    """Return mean and standard error of the difference over folds, as text."""
    d = ours - theirs
    return f"{d.mean():+.2f} ± {d.std(ddof=1) / np.sqrt(len(d)):.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-sets", nargs="+", choices=DATA_SETS, default=DATA_SETS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        results = {name: measure(name) for name in args.data_sets}
    print(f"\n| data | {' | '.join(MODELS)} | VAE − FA | VAE − PCA | VAE − best of four |")
    print("| --- " * (len(MODELS) + 4) + "|")
    n_best = 0
    for name, nats in results.items():
        rival = max(list(MODELS)[1:], key=lambda model: nats[model].mean())
        n_best += nats["VAE"].mean() > nats[rival].mean()
        cells = [f"{values.mean():.2f}" for values in nats.values()]
        cells += [difference(nats["VAE"], nats[model]) for model in ("FA", "PCA", rival)]
        print(f"| {name} | {' | '.join(cells)} ({rival}) |")
    for name, nats in results.items():
        assert nats["VAE"].mean() > max(nats["FA"].mean(), nats["PCA"].mean()), name
    assert n_best >= min(3, len(results) - 2), n_best


if __name__ == "__main__":
    main()
