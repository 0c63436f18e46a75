"""A display of the course of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from skvae.display import _drawing
from skvae.display._model import FittedModel

CURVES = (
    ("loss", "loss", 1, _drawing.PALETTE[0]),
    ("reconstruction", "−reconstruction", -1, _drawing.PALETTE[1]),
    ("kl", "KL", 1, _drawing.PALETTE[4]),
)
"""Name in the history, name in the legend, sign, colour."""


@dataclass(kw_only=True, eq=False, repr=False)
class HistoryDisplay:
    """Curves of the loss and its terms over the epochs.

    The left panel shows the loss and the negative reconstruction term; the distance between them is
    the weighted KL. The right panel shows the KL, which has another scale. Curves of held-out rows
    are dashed. With ``beta=1`` and no ``free_bits``, and after the warm-up of the KL, the loss is
    the negative elbo. It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    history : list of dict
        One dict per epoch, with ``epoch``, ``train_loss``, ``train_reconstruction``, ``train_kl``
        and, if rows were held out, ``valid_loss`` and so on.

    Attributes
    ----------
    lines_ : dict of matplotlib.lines.Line2D
        The curves. The keys are the names in the history.
    axes_ : ndarray of shape (2,) of matplotlib.axes.Axes
        The axes of the loss and of the KL.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_wine
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.display import HistoryDisplay
    >>> X = load_wine().data
    >>> vae = VariationalAutoencoder(early_stopping=True, max_epochs=5, random_state=0).fit(X)
    >>> display = HistoryDisplay.from_estimator(vae)
    >>> sorted(display.lines_)[:3]
    ['train_kl', 'train_loss', 'train_reconstruction']
    >>> plt.close(display.figure_)
    """

    history: Sequence[Mapping[str, Any]]

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Any = None, line_kwargs: Mapping[str, Any] | None = None
    ) -> Self:
        """Plot the ``history_`` of a fitted estimator.

        Parameters
        ----------
        estimator : estimator instance
            A fitted :class:`~skvae.VariationalAutoencoder`, or a pipeline that ends in one.
        ax : matplotlib.axes.Axes or pair of them, default=None
            The axes to draw on: a pair for the loss and the KL, or one for all curves. If ``None``,
            a new figure with a pair is made.
        line_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.plot`, for every curve. They replace
            the defaults.

        Returns
        -------
        display : HistoryDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            When ``ax`` is not one or two axes.
        TypeError
            When the estimator has no ``history_``.
        NotFittedError
            When the estimator is not fitted.
        """
        history = FittedModel(estimator).attribute("history_", "which is what is shown")
        return cls(history=history).plot(ax, line_kwargs=line_kwargs)

    def plot(self, ax: Any = None, *, line_kwargs: Mapping[str, Any] | None = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or pair of them, default=None
            The axes to draw on: a pair for the loss and the KL, or one for all curves. If ``None``,
            a new figure with a pair is made.
        line_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.plot`, for every curve. They replace
            the defaults.

        Returns
        -------
        display : HistoryDisplay
            The display itself.

        Raises
        ------
        ValueError
            When ``ax`` is not one or two axes.
        """
        from matplotlib.ticker import MaxNLocator

        self.axes_ = self._pair(ax)
        self.figure_ = self.axes_[0].figure
        self.lines_: dict[str, Any] = {}
        for axes, curves in zip(self.axes_, (CURVES[:2], CURVES[2:]), strict=True):
            for curve in curves:
                self._draw_curve(axes, *curve, line_kwargs)
            axes.set(xlabel="epoch", ylabel="nats per row")
            axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
            axes.legend()
        return self

    def _pair(self, ax: Any) -> np.ndarray:
        """Return the two axes to draw in; the same twice when one is given."""
        axes = _drawing.new_axes(ncols=2, figsize=(8, 3.2)) if ax is None else ax
        axes = np.ravel(axes)
        if len(axes) not in (1, 2):
            raise ValueError(f"ax holds {len(axes)} axes. Pass two, for loss and KL, or one.")
        return np.resize(axes, 2)

    def _draw_curve(
        self, ax: Any, key: str, label: str, sign: int, colour: str, line_kwargs: Any
    ) -> None:
        """Draw one term, of the training rows and of those held out."""
        from matplotlib.lines import Line2D

        epochs = [row["epoch"] for row in self.history]
        for part, style, suffix in (("train", "-", ""), ("valid", "--", ", held out")):
            name = f"{part}_{key}"
            if not any(name in row for row in self.history):
                continue
            values = [sign * row.get(name, np.nan) for row in self.history]
            defaults = {"color": colour, "linestyle": style, "label": label + suffix}
            defaults |= {"marker": "o"} if len(epochs) == 1 else {}
            kwargs = defaults | _drawing.canonical(line_kwargs, Line2D)
            (self.lines_[name],) = ax.plot(epochs, values, **kwargs)
