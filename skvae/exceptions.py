"""Warnings of skvae."""

__all__ = ["PosteriorCollapseWarning"]


class PosteriorCollapseWarning(UserWarning):
    """No latent component carries information: q(z|x) equals p(z) for every row."""
