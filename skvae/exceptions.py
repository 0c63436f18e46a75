"""Warnings that fitting may give."""

from sklearn.exceptions import ConvergenceWarning

__all__ = ["PosteriorCollapseWarning", "UndertrainedWarning"]


class PosteriorCollapseWarning(UserWarning):
    """No latent component carries information: q(z|x) equals p(z) for every row.

    Its message says what to try. See Bowman et al. 2016 (https://arxiv.org/abs/1511.06349), who
    met it first, and Lucas et al. 2019 (https://arxiv.org/abs/1911.02469), for why it comes.
    """


class UndertrainedWarning(ConvergenceWarning):
    """The bound still rose steeply when ``fit`` had run all its epochs.

    Its message says by how much, and how many epochs to try. It comes when the second half of
    six epochs or more brought more than a fifth of the whole rise of the bound, and at least
    one nat per row. A fit of the default
    number of epochs or more, one that was stopped, by early stopping or Ctrl-C, and ``partial_fit``
    give none. A filter for scikit-learn's ``ConvergenceWarning`` holds for it, too.
    """
