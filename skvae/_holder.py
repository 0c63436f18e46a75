"""What estimators around fitted models have in common: one file for all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from sklearn.utils.validation import check_is_fitted

from skvae import _modelfile, _state
from skvae._model_card import library_versions
from skvae._validation import CheckedEstimator


class Holder(CheckedEstimator):
    """An estimator that holds fitted models."""

    _fitted: ClassVar[Mapping[str, _state.Fitted]]  # of the decorator ``keeps``

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to one safetensors file, for :func:`skvae.load`.

        It works as :meth:`VariationalAutoencoder.save` does. The file holds the models and all
        that was learned around them. If a parameter selects columns by a function or a slice, the
        file holds the positions of the columns that it selected. If the objective of the models is
        of your own class, pass it to ``load`` as the models have it, for outliers
        ``objective=Trimmed(objective=Mine())``.

        Parameters
        ----------
        path : path-like
            The file to write. An existing file is replaced.

        Raises
        ------
        NotFittedError
            When the estimator is not fitted.
        ValueError, TypeError
            When a parameter was set to a value out of its range after ``fit``.
        OSError
            When the file cannot be written.
        """
        check_is_fitted(self)
        header = {"class": type(self).__name__, "versions": library_versions()}
        _modelfile.write(path, header, self._state_of_file(), _state.PARTS)

    def _state_of_file(self) -> dict[str, Any]:
        """Return what a file has of it."""
        return _state.of_holder(self)

    def __getstate__(self) -> dict[str, Any]:
        return _state.plain(self._fitted, super().__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(_state.restored(self._fitted, state))
