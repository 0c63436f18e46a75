"""Progress bars: over the rows of a fit, and over the rows that a long call goes through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from skorch.callbacks import Callback

T = TypeVar("T")

DELAY = 1.0
"""Seconds after which a call counts as long."""

TERMS = {
    "train_loss": "loss",
    "train_reconstruction": "reconstruction",
    "train_kl": "kl",
    "valid_loss": "held-out loss",
}
"""What a bar shows of an epoch, and what it calls it."""

FORMAT = "{desc} {percentage:3.0f}%|{bar}| {rate_fmt}, {remaining} left{postfix}"
"""Without counts, so that the terms have room in 80 columns."""


def _bar(title: str | None, n_rows: int, delay: float = 0.0) -> Any:
    """Return a bar over rows, in a notebook a widget."""
    from tqdm.auto import tqdm

    return tqdm(
        desc=title,
        total=n_rows,
        delay=delay,
        unit=" rows",
        unit_scale=True,
        dynamic_ncols=True,
        bar_format=FORMAT,
    )


def follow(
    batches: Iterator[tuple[slice, T]], n_rows: int, title: str
) -> Iterator[tuple[slice, T]]:
    """Yield the batches, under a bar once they take long."""
    with _bar(title, n_rows, DELAY) as bar:
        for some, batch in batches:
            yield some, batch
            bar.update(some.stop - some.start)


class EpochBar(Callback):
    """One bar over the rows of all epochs, with the terms of the bound (``verbose=1``)."""

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Open no bar yet: how many of the rows are trained on is not known."""
        self.bar_: Any = None
        self.first_ = len(net.history) + 1
        self.shown_: dict[str, str] = {}

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        """Name the epoch, and open the bar in the first."""
        if self.bar_ is None:
            self.bar_ = _bar(None, net.max_epochs * len(dataset_train))
        epoch = 1 + len(net.history) - self.first_
        self.bar_.set_description_str(f"epoch {epoch}/{net.max_epochs}", refresh=False)

    def on_batch_end(self, net: Any, batch: Any = None, training: bool = True, **kw: Any) -> None:
        """Advance; where that is seen, some ten times a second, show the epoch so far."""
        if training and self.bar_.update(len(batch[0]["batch"].x)):
            self._show(net.epoch_means())

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the terms of the epoch, in nats per row."""
        self._show(net.history[-1])

    def _show(self, terms: Mapping[str, Any]) -> None:
        """Show these terms, and the last known of others."""
        self.shown_ |= {name: f"{terms[key]:.4g}" for key, name in TERMS.items() if key in terms}
        self.bar_.set_postfix(self.shown_)

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Close the bar, as full: in a notebook one that is not is painted as failed."""
        self.bar_.total = self.bar_.n
        self.bar_.close()
