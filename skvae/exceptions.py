"""Warnings that fitting may give."""

__all__ = ["PosteriorCollapseWarning"]


class PosteriorCollapseWarning(UserWarning):
    """No latent component carries information: q(z|x) equals p(z) for every row.

    Its message says what to try. See Bowman et al. 2016 (https://arxiv.org/abs/1511.06349), who
    met it first, and Lucas et al. 2019 (https://arxiv.org/abs/1911.02469), for why it comes.
    """
