"""A display of how much each component carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from skvae._numbers import real
from skvae._vae import ACTIVE_NATS
from skvae.display import _drawing
from skvae.display._model import FittedModel

MAX_NAMED_COMPONENTS = 40
"""More numbers than this do not fit below the bars."""


@dataclass(kw_only=True, eq=False, repr=False)
class ComponentDisplay:
    """Bar chart of the KL of each component, the largest first.

    The KL of a component says how much it tells about a row, in nats, on average over the training
    rows. Components that are not active are grey, hatched and in brackets. It is recommended to use
    :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    kl_per_component : ndarray of shape (n_components,)
        KL of each component in nats, averaged over rows.
    active_components : ndarray of bool, shape (n_components,)
        Which components are active.
    threshold : float, default=0.05
        KL in nats above which a component is active; drawn as a line. If ``None``, there is no
        line.

    Attributes
    ----------
    order_ : ndarray of shape (n_components,)
        The number of the component of each bar.
    bars_ : matplotlib.container.BarContainer
        The bars.
    threshold_line_ : matplotlib.lines.Line2D or None
        The threshold.
    legend_ : matplotlib.legend.Legend
        The legend, with the number of active and other components and the sums of their KL.
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        The figure of the axes.

    See Also
    --------
    TraversalDisplay : Shows what each component does.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_wine
    >>> from skvae import VariationalAutoencoder
    >>> from skvae.display import ComponentDisplay
    >>> X = load_wine().data
    >>> vae = VariationalAutoencoder(n_components=4, max_epochs=5, random_state=0).fit(X)
    >>> display = ComponentDisplay.from_estimator(vae)
    >>> len(display.bars_)
    4
    >>> plt.close(display.figure_)
    """

    kl_per_component: np.ndarray
    active_components: np.ndarray
    threshold: float | None = ACTIVE_NATS

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Any = None, bar_kwargs: Mapping[str, Any] | None = None
    ) -> Self:
        """Plot ``kl_per_component_`` and ``active_components_`` of a fitted estimator.

        Parameters
        ----------
        estimator : estimator instance
            A fitted :class:`~skvae.VariationalAutoencoder`, or a pipeline that ends in one.
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on. If ``None``, a new figure is made.
        bar_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.bar`. They replace the defaults.

        Returns
        -------
        display : ComponentDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            When the estimator has no ``kl_per_component_``.
        NotFittedError
            When the estimator is not fitted.
        """
        model = FittedModel(estimator)
        display = cls(
            kl_per_component=model.attribute("kl_per_component_", "which is what is shown"),
            active_components=model.attribute("active_components_", "which is what is shown"),
        )
        return display.plot(ax, bar_kwargs=bar_kwargs)

    def plot(self, ax: Any = None, *, bar_kwargs: Mapping[str, Any] | None = None) -> Self:
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            The axes to draw on. If ``None``, a new figure is made.
        bar_kwargs : dict, default=None
            Keyword arguments for :meth:`matplotlib.axes.Axes.bar`. They replace the defaults.

        Returns
        -------
        display : ComponentDisplay
            The display itself.

        Raises
        ------
        ValueError, TypeError
            When ``threshold`` is not a number.
        """
        from matplotlib.patches import Rectangle

        if self.threshold is not None:
            real(self.threshold, "threshold")
        n = len(self.kl_per_component)
        if ax is None:
            ax = _drawing.new_axes(figsize=(float(np.clip(0.3 * n + 3.5, 6, 10)), 3.5))
        self.ax_, self.figure_ = ax, ax.figure
        self.order_ = np.argsort(-self.kl_per_component, kind="stable")
        active = self.active_components[self.order_]
        defaults = {
            "color": np.where(active, _drawing.PALETTE[0], "#d0d0d0").tolist(),
            "hatch": np.where(active, "", "////").tolist(),
            "edgecolor": np.where(active, _drawing.PALETTE[0], _drawing.PALETTE[8]).tolist(),
            "linewidth": 0,
        }
        kwargs = defaults | _drawing.canonical(bar_kwargs, Rectangle)
        self.bars_ = ax.bar(range(n), self.kl_per_component[self.order_], **kwargs)
        self._draw_threshold()
        self._name_components(active)
        self._draw_legend(active)
        return self

    def _draw_threshold(self) -> None:
        self.threshold_line_: Any = None
        if self.threshold is not None:
            style = {"color": "black", "linestyle": "--", "linewidth": 1}
            label = f"active above {_drawing.number(self.threshold)} nats"
            self.threshold_line_ = self.ax_.axhline(self.threshold, label=label, **style)

    def _name_components(self, active: np.ndarray) -> None:
        self.ax_.set(xlabel="component", ylabel="KL, nats per row")
        if len(self.order_) <= MAX_NAMED_COMPONENTS:
            size = "medium" if len(self.order_) <= 20 else "small"
            named = zip(self.order_, active, strict=True)
            names = [f"{k}" if is_active else f"({k})" for k, is_active in named]
            self.ax_.set_xticks(range(len(names)), names, fontsize=size)
        else:
            self.ax_.set(xticks=[], xlabel=f"{len(self.order_)} components, by KL")
        middle, width = (len(self.order_) - 1) / 2, max(len(self.order_) + 0.2, 4)
        self.ax_.set_xlim(middle - width / 2, middle + width / 2)

    def _draw_legend(self, active: np.ndarray) -> None:
        entries = []
        for kind, name in ((active, "active"), (~active, "(not active)")):
            if kind.any():
                total = self.kl_per_component[self.order_][kind].sum()
                text = f"{kind.sum()} {name}, {total:.2f} nats"
                entries.append((self.bars_[int(kind.argmax())], text))
        if self.threshold_line_ is not None:
            entries.append((self.threshold_line_, self.threshold_line_.get_label()))
        artists, texts = zip(*entries, strict=True)
        self.legend_ = self.ax_.legend(artists, texts, **_drawing.beside(self.ax_))
