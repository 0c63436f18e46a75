"""
=================================
Missing values, and honest errors
=================================

Half of all values of a table are removed at random and estimated from the other half. This is done
once, for a filled table with an interval for each estimate, and then twenty times, for an analysis
whose standard errors include the uncertainty of the missing values.

The table is 569 biopsies of breast tissue with 30 measurements of cell nuclei each.
"""

# %%
# Half a table
# ------------
# No biopsy is complete. The imputer is trained on the remaining values. Here it has one model. The
# mean of three models, the default, is slightly more accurate and takes three times as long.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

from skvae import VAEImputer

X = load_breast_cancer(as_frame=True).data
rng = np.random.default_rng(0)
hidden = rng.random(X.shape) < 0.5
gaps = X.mask(hidden)
imputer = VAEImputer(n_estimators=1, random_state=0).set_output(transform="pandas").fit(gaps)
filled = imputer.transform(gaps)
gaps.iloc[:4, :5]

# %%

filled.iloc[:4, :5].round(2)

# %%
# Other imputers
# --------------
# This is the root mean squared error of the removed values, in standard deviations of their
# columns, so that the error of the column mean is 1. scikit-learn's imputers have default
# parameters; neighbours are computed with scaled columns.

from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - registers the class
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

mean, spread = gaps.mean(), gaps.std()
scaled = (gaps - mean) / spread
fills = {
    "SimpleImputer": SimpleImputer().fit_transform(scaled),
    "KNNImputer": KNNImputer().fit_transform(scaled),
    "IterativeImputer": IterativeImputer(max_iter=30, random_state=0).fit_transform(scaled),
    "VAEImputer": (filled - mean) / spread,
}
truth = ((X - mean) / spread).to_numpy()[hidden]
errors = {name: np.asarray(fill)[hidden] - truth for name, fill in fills.items()}
print(pd.Series({name: np.sqrt(np.mean(e**2)) for name, e in errors.items()}).round(2).to_string())

# %%
# Intervals
# ---------
# ``interval`` returns an interval that contains a missing value with a given probability, here .9.
# On the left are those of one column. On the right you see how often intervals of any probability
# contain the value, over all columns. On the diagonal, they contain it as often as they should;
# above it, they are wider than necessary. The quantiles of draws alone may be too close together
# or, as here, too far apart. Therefore ``fit`` hides some values from the models, and widens or
# narrows the intervals by means of these.

column = "worst texture"
low, high = (pd.DataFrame(end, columns=X.columns)[column] for end in imputer.interval(gaps, 0.9))
draws = imputer.draw(gaps, 200, random_state=0)
position = np.mean(draws < X.to_numpy(), axis=0)[hidden]
levels = np.linspace(0, 1, 41)
held = [np.mean(abs(2 * position - 1) <= level) for level in levels]


def share_within(level):
    """Return how many of the values that were taken out lie in their intervals."""
    low, high = imputer.interval(gaps, level)
    return np.mean(((low <= X.to_numpy()) & (high >= X.to_numpy()))[hidden])


some_levels = [0.5, 0.8, 0.9, 0.95]
within = [share_within(level) for level in some_levels]

# sphinx_gallery_thumbnail_panels = [0]
figure, (some, every) = plt.subplots(1, 2, figsize=(10.5, 4.6), layout="constrained")
there = np.flatnonzero(gaps[column].isna())
there = there[X[column].to_numpy()[there].argsort()][::5]
x = X[column].to_numpy()[there]
centre = filled[column].to_numpy()[there]
some.vlines(x, low[there], high[there], color="tab:blue", alpha=0.5)
some.plot(x, centre, ".", color="tab:blue", label="estimate, and interval of .9")
some.plot(x, x, color="k", linewidth=0.8, label="what it was")
some.set(xlabel=f"{column}, taken out", ylabel="estimated")
some.legend(loc="lower right")
every.plot([0, 1], [0, 1], color="k", linewidth=0.8)
every.plot(levels, held, color="tab:blue", linewidth=2, label="of draws")
every.plot(some_levels, within, "o", color="tab:orange", label="of interval")
every.legend(loc="lower right")
every.set(xlabel="its probability", ylabel="share of values within", aspect="equal")
plt.show()

# %%
# Twenty tables
# -------------
# An analysis should not treat estimates as measurements. This is a regression of concavity on other
# measurements of a nucleus, all in standard deviations.

outcome, causes = "mean concavity", ["mean radius", "mean texture", "mean smoothness"]


def regression(table):
    """Return the coefficients of least squares, and their squared standard errors."""
    table = ((table - mean) / spread).astype(float)
    A = np.column_stack([np.ones(len(table)), table[causes]])
    coefficients, (rss,), *_ = np.linalg.lstsq(A, table[outcome], rcond=None)
    variances = rss / (len(A) - A.shape[1]) * np.diag(np.linalg.inv(A.T @ A))
    return coefficients[1:], variances[1:]


# %%
# By Rubin's rules, the estimate is the mean over the imputed tables. Its variance is the mean of
# their variances plus the variance between the tables times 1 + 1/m.

m = 20
fits = [regression(pd.DataFrame(draw, columns=X.columns)) for draw in draws[:m]]
estimates, variances = map(np.array, zip(*fits, strict=True))
pooled = estimates.mean(0), variances.mean(0) + (1 + 1 / m) * estimates.var(0, ddof=1)

answers = {
    "no value missing": regression(X),
    "20 draws, pooled": pooled,
    "filled once, by the VAE": regression(filled),
    "filled once, by means": regression(gaps.fillna(mean)),
    "rows without a gap in these": regression(gaps.dropna(subset=[outcome, *causes])),
}
for name, (coefficients, variance) in answers.items():
    pairs = zip(coefficients, np.sqrt(variance), strict=True)
    print(f"{name:30s}" + "".join(f"{b:8.2f} ± {error:.3f}" for b, error in pairs))

# %%
figure, axes = plt.subplots(1, 3, figsize=(10.5, 3), layout="constrained", sharey=True)
for i, (ax, cause) in enumerate(zip(axes, causes, strict=True)):
    for height, (coefficients, variance) in enumerate(answers.values()):
        ax.errorbar(coefficients[i], -height, xerr=1.96 * np.sqrt(variance[i]), fmt="o")
    ax.axvline(answers["no value missing"][0][i], color="k", linewidth=0.8, zorder=0)
    ax.set_title(cause)
axes[0].set_yticks(-np.arange(len(answers)), answers)
plt.show()

# %%
# Summary
# -------
# A table that is filled once looks more regular than it was. Each estimate is predicted from the
# other values, without the noise of measurements. So relations look too strong, and their standard
# errors are as small as if nothing had been missing. Filling with column means makes relations too
# weak. The draws include the noise, and their differences show what is not known. They do not
# include the uncertainty of the choice of rows; for this, fit imputers to rows drawn with
# replacement.
#
# Here, values were removed at random. If high values are missing because they are high, no method
# that only sees the other values can know it; see :doc:`/guide/missing_values`.
