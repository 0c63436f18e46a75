"""What a column is, by what one pass over its values says: the guesses of Auto and Mixed.

The thresholds were chosen by held-out log-probabilities of the columns of 33 public tables, and
tried on 34 others.
"""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor

from skvae._factor_analysis import has_any_covariance
from skvae.likelihoods._base import Columns

GREY = 0.1
"""Grey pixels are this often or more at their darkest or brightest, exactly; numbers that were
scaled to [0, 1] are so once or twice (4 % in the worst of 80 tables, 58 % in load_digits)."""

DOUBTFUL = 0.25
"""Where a larger share of columns speaks against the choice, it is in doubt."""

SELDOM = 2.0
"""A normal variable whose mean is so many standard deviations is negative seldom: 2 %."""

NEVER = 3.0
"""And here never: .1 %."""

FAR = 10.0
"""From here on it is so under any model: a network may move far beyond the rows of ``fit``."""

MARGIN = 0.05
"""Nats that a log-normal must gain: it takes no negative number, should one come later."""

MANY = 0.05
"""So large a share of zeros no density describes."""

NEAR = 0.05
"""A column that comes so near to zero, as a share of its mean, may hold one in other rows."""

HEAVY = 0.5
"""Where the excess kurtosis is above this on average over the columns, tails are heavy. (Student's
t gained .4 nats a row or more on 17 of 23 public tables above it and on 2 of 15 below, where the
components of the normal model classify better.)"""

HEAVIEST = 20.0
"""A column's excess kurtosis counts as this at most: it says nothing of the other columns."""


ROWS_PER_COLUMN = 10
"""So many rows for each column can also tell how far each row lies from what is said of it. (Scales
by row gained .5 nats a row in the median of 26 public tables with as many, and on 23 of them; on
three of six with fewer they lost 3 to 5.)"""

MAP = 2
"""So many components are a map. None of them should tell how noisy a row is, in place of where it
lies: two of penguins then found the species of .82 of them by neighbours, and .90 without."""

EVENNESS = 0.5
"""The share of the gradients of the means for which columns count alike. With correlated noise it
costs the density little (at 0.5 in place of 0.3, 32 public tables lost .04 nats in the median, and
.16 on average), and components tell a classifier slightly more: those of 13 labelled tables were
level with PCA or ahead in .76 of 46 cases, and at 0.3 in .74. Where few columns are left beside the
components, correlations have nothing to add: ten tables lost .1 nats, and two of three maps of four
columns told .02 to .09 less of the classes."""

MOST_COLUMNS = 200
"""A matrix of the correlations of more costs more than the networks do."""

MOST_COLUMNS_WITH_GAPS = 30
"""Each row with gaps needs the correlations of its own observed columns, in every step."""


def noise(columns: Columns) -> dict[str, Any]:
    """Return what noise of real numbers is like, where it is not as by default."""
    n_columns, k = len(columns), columns.n_components or 1
    if columns.is_image or columns.n_rows < ROWS_PER_COLUMN * n_columns:
        return {}
    is_map = columns.n_components is not None and k <= MAP
    by_row = {} if is_map else {"scale": "row"}
    most = MOST_COLUMNS_WITH_GAPS if bool(columns.missing.any()) else MOST_COLUMNS
    has_use = n_columns <= most and not has_any_covariance(n_columns, k)
    if has_use and columns.varies_beyond(k):
        return by_row | {"evenness": EVENNESS, "correlated": True}
    return {"evenness": EVENNESS} if is_map else by_row


def real(columns: Columns, among: Tensor | None = None) -> str:
    """Return the likelihood of real numbers: Student's t for a table with heavy tails.

    ``among`` are the columns that count, by default all that vary; pixels of images never do.
    """
    varies = ~columns.constant if among is None else among & ~columns.constant
    kurtosis = columns.kurtosis[varies].clamp_max(HEAVIEST)
    is_heavy = not columns.is_image and bool(kurtosis.mean() > HEAVY)  # NaN where there are none
    return "student_t" if is_heavy else "gaussian"


def grey(columns: Columns) -> bool:
    """Return whether columns in [0, 1] are grey values, as the continuous Bernoulli describes them.

    Its mean never leaves (1/16, 15/16), and its standard deviation is at least 1/16. That is
    right for pixels, which pile up at an end and of which one is as good as the next, and blurs
    all others. Most columns must be so; those of only 0 and 1 say nothing. Where many are and
    many are not, a warning says so.
    """
    within = (columns.mean > 1 / 16) & (columns.mean < 15 / 16)
    is_grey = (columns.at_ends > 0.5) | ((columns.at_ends > GREY) & within)
    share = is_grey[~columns.whole].double().mean().item()
    if DOUBTFUL < share < 1 - DOUBTFUL:
        chosen, other = ("grey", "numbers") if share > 0.5 else ("numbers", "grey")
        cures = {"grey": "continuous_bernoulli", "numbers": "gaussian"}
        names = {"grey": "grey values", "numbers": "real numbers"}
        warnings.warn(
            f"X lies in [0, 1], and {share:.0%} of its columns have many values that are equal to "
            f"their lowest or highest value, as grey pixels do. likelihood='auto' treats all of "
            f"them as {names[chosen]}. If this is right, set likelihood={cures[chosen]!r}; if they "
            f"are {names[other]}, set {cures[other]!r}.",
            stacklevel=7,
        )
    return share > 0.5


def whole(columns: Columns) -> list[str]:
    """Return for each column of whole numbers whether these are counts, or rounded numbers.

    Counts vary by at least the root of their mean, and by factors; years, ages and sizes vary
    around a mean far from 0. A column that is less variable than counts is none either,
    unless the normal variable would be negative too often.
    """
    distance = (columns.mean + 0.5) / columns.scale
    is_narrow = columns.scale.square() < columns.mean
    is_rounded = (distance >= NEVER) | (is_narrow & (distance >= SELDOM)) | (columns.low < 0)
    natural = ["bernoulli" if high <= 1 else "negative_binomial" for high in columns.high.tolist()]
    is_binary = (columns.low >= 0) & (columns.high <= 1)
    return [
        "rounded_gaussian" if rounded else name
        for name, rounded in zip(natural, (is_rounded & ~is_binary).tolist(), strict=True)
    ]


def from_zero(columns: Columns) -> Tensor:
    """Return which columns are never negative, but would be now and then under a normal."""
    return (columns.low >= 0) & (columns.mean < FAR * columns.scale) & ~columns.constant


def number(columns: Columns) -> list[str]:
    """Return for each column of real numbers whether these are positive, and vary by factors.

    A normal and a log-normal are compared by the log-density that they give the column by
    itself, on average: ``−log scale`` and ``−log log_scale − log_mean``, and a constant. A
    column of many zeros, or whose normal would often be negative, is never taken as normal; one of
    two values always is. Student's t cannot be truncated, so near zero it is the normal instead.
    """
    gain = columns.scale.log() - columns.log_scale.log() - columns.log_mean
    is_factor = (gain > MARGIN) | (columns.mean < SELDOM * columns.scale) | (columns.zeros > MANY)
    is_positive = (columns.low >= 0) & (columns.distinct > 2) & is_factor
    may_be_zero = columns.low < NEAR * columns.mean
    name = real(columns, ~is_positive & ~columns.whole)
    names = [name if not near else "gaussian" for near in from_zero(columns).tolist()]
    return [
        name if not positive else "zero_inflated_log_normal" if zero else "log_normal"
        for name, positive, zero in zip(
            names, is_positive.tolist(), may_be_zero.tolist(), strict=True
        )
    ]
