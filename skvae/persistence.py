"""Loading models from files."""

from __future__ import annotations

import os
from typing import Any

from skvae import _assemble, _modelfile
from skvae._vae import VariationalAutoencoder

__all__ = ["load"]

ESTIMATORS = {VariationalAutoencoder.__name__: VariationalAutoencoder}


def load(path: str | os.PathLike[str], **objects: Any) -> VariationalAutoencoder:
    """Load a model that :meth:`VariationalAutoencoder.save` wrote.

    Nothing in the file is executed: it holds arrays and JSON. The model predicts and
    continues training bit for bit as the one that was saved.

    Parameters
    ----------
    path : path-like
        The file.
    **objects
        Parameters that were objects of the user's own classes and so are not in the file:
        ``encoder=``, ``decoder=``, ``likelihood=``, ``prior=``, ``posterior_family=``,
        ``objective=``, unfitted as they were given to the constructor. ``callbacks=`` and
        ``random_state=`` may be given; they are ``None`` otherwise.

    Returns
    -------
    VariationalAutoencoder
        Fitted.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is truncated, corrupted, foreign or of a later format, or an object
        of the user's is missing.

    Examples
    --------
    >>> import skvae
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> vae = skvae.VariationalAutoencoder(max_epochs=5, random_state=0).fit(X)
    >>> path = getfixture("tmp_path") / "iris.safetensors"
    >>> vae.save(path)
    >>> (skvae.load(path).transform(X) == vae.transform(X)).all()
    np.True_
    """
    document, arrays = _modelfile.read(path)
    if document.get("class") not in ESTIMATORS:
        raise ValueError(
            f"{path} holds a {document.get('class')!r}; this skvae knows {sorted(ESTIMATORS)}."
        )
    estimator = ESTIMATORS[document["class"]]()
    unknown = sorted(set(objects) - set(estimator.get_params(deep=False)))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not a parameter of {document['class']}.")
    try:
        estimator.__setstate__(_state(estimator, document["state"], arrays, objects))
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError) as error:
        raise ValueError(f"{path} does not hold a valid model: {error!r}") from error
    return estimator


def _state(
    estimator: Any, encoded: dict[str, Any], arrays: dict[str, Any], objects: dict[str, Any]
) -> dict[str, Any]:
    """Return the estimator's state, every name of which must be one it knows."""
    known = {*estimator.get_params(deep=False), *estimator._FITTED_STATE}
    unknown = sorted(set(encoded) - known)
    if unknown:
        raise ValueError(f"A valid model has no {unknown[0]!r} in its state.")
    return {
        name: _modelfile.decode(value, name, arrays, _assemble.PARTS, objects)
        for name, value in encoded.items()
    }
