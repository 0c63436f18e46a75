"""Warnings that fitting may give."""

from sklearn.exceptions import ConvergenceWarning

__all__ = ["PosteriorCollapseWarning", "UndertrainedWarning"]


class PosteriorCollapseWarning(UserWarning):
    """No latent component carries information: q(z|x) equals p(z) for every row.

    The message says what to try. See Bowman et al. 2016 (https://arxiv.org/abs/1511.06349), who
    described it first, and Lucas et al. 2019 (https://arxiv.org/abs/1911.02469) for its causes.
    """


class UndertrainedWarning(ConvergenceWarning):
    """The bound still rose steeply when ``fit`` had run all its epochs.

    The message says by how much, and how many epochs to try. The warning is given when a fit has at
    least six epochs, and the second half of them brought more than three tenths of the whole rise
    of the bound, and at least one nat per row. It is not given for a fit with the default number of
    epochs or more, for a fit that was ended by early stopping or Ctrl-C, or for ``partial_fit``.
    Filters for scikit-learn's ``ConvergenceWarning`` apply to it, too.
    """
