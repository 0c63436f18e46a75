"""What a fitted estimator knows: one table for each class, read by save, load and pickling.

An entry says what a valid value is, which a file that may come from anybody is held to, and
how it becomes plain data (numbers, strings, lists, dicts, arrays) and is made of it again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from skvae import likelihoods, objectives, posteriors, priors
from skvae._architecture import Architecture, same
from skvae._data import Conditions, Reader

PARTS: dict[str, type] = {
    name: getattr(module, name)
    for module in (likelihoods, priors, posteriors, objectives)
    for name in module.__all__
    if hasattr(getattr(module, name), "get_params")
}
"""Classes of parts by name: those that a file holds, and that are made when it is read."""


class Fitted(NamedTuple):
    """A fitted attribute."""

    is_valid: Callable[[Any, Mapping[str, Any]], bool]
    """Whether a fit could have set this value, beside the others by name."""
    is_optional: bool = False
    """Whether there are models without it."""
    to_plain: Callable[[Any], Any] = lambda value: value
    from_plain: Callable[[Any], Any] = lambda value: value
    holds: str | None = None
    """The class of the fitted estimator that it is, or of those in the list that it is; a file
    holds their states within the other's."""


ESTIMATORS: dict[str, type] = {}
"""Classes of estimators that can be saved and loaded, by name."""

Class = TypeVar("Class", bound=type)


def keeps(fitted: Mapping[str, Fitted]) -> Callable[[Class], Class]:
    """Decorate an estimator's class with the table of its fitted attributes."""

    def declare(cls: Class) -> Class:
        ESTIMATORS[cls.__name__] = cls
        cls._fitted = fitted  # type: ignore[attr-defined]  # of a class of any kind
        return cls

    return declare


def plain(fitted: Mapping[str, Fitted], state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state with its fitted attributes as plain data; others as they are."""
    return {
        name: fitted[name].to_plain(value) if name in fitted else value
        for name, value in state.items()
    }


def restored(fitted: Mapping[str, Fitted], state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what :func:`plain` was given."""
    return {
        name: fitted[name].from_plain(value) if name in fitted else value
        for name, value in state.items()
    }


def of_holder(estimator: Any) -> dict[str, Any]:
    """Return what a file has of a fitted estimator that holds others, as plain data.

    Its parameters, checked, of which ``vae`` may be a model to be cloned, and what ``fit`` set.
    """
    estimator._validate_params()
    fitted, params = estimator._fitted, estimator.get_params(deep=False)
    if params["vae"] is not None:
        params["vae"]._validate_params()
        params["vae"] = params["vae"].get_params(deep=False)
    state = {name: value for name, value in vars(estimator).items() if name in fitted}
    for name, value in state.items():
        if fitted[name].holds:
            several = isinstance(value, list)
            state[name] = (
                [one._state_of_file() for one in value] if several else value._state_of_file()
            )
    return plain(fitted, state) | params


def check(fitted: Mapping[str, Fitted], state: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` for a fitted attribute that no fit could have set."""
    for name, attribute in fitted.items():
        is_missing = name not in state
        if not attribute.is_optional if is_missing else not attribute.is_valid(state[name], state):
            raise ValueError(f"{name} is missing, or has a value that no valid model has.")


def are_counts(*values: Any) -> bool:
    """Whether all are positive whole numbers."""
    return all(type(value) is int and value > 0 for value in values)


def is_array(value: Any, kind: str, length: int) -> bool:
    """Whether this is a vector of a kind of type and a length."""
    is_one = isinstance(value, np.ndarray) and value.dtype.kind == kind
    return is_one and value.shape == (length,)


def _are_epochs(history: Any) -> bool:
    terms = ("epoch", "dur", "train_loss", "train_reconstruction", "train_kl")
    return isinstance(history, list) and all(
        isinstance(row, dict) and all(isinstance(row.get(term), int | float) for term in terms)
        for row in history
    )


def _is_reader(reader: Any, state: Mapping[str, Any]) -> bool:
    """Whether this is a reader, and one that a fit could have made."""
    return isinstance(reader, Reader) and reader.is_valid(state["n_features_in_"])


def _is_architecture(architecture: Any, state: Mapping[str, Any]) -> bool:
    """Whether this is what some parameters resolve to, for so many columns."""
    params = architecture.params()
    n_features = state["n_features_in_"]
    context = {name: params[name] for name in ("n_context", "encoder_sees_context", "given")}
    if not _is_context(**context):
        return False
    has_missing = params["encoder_sees_missing"]
    resolved = Architecture.of(params, n_features, 1, has_missing, **context).params()
    families = ("likelihood", "prior", "posterior_family")
    is_settled = not any(
        isinstance(params[name], str) or getattr(params[name], "left_open", False)
        for name in families
    )
    return is_settled and all(
        type(value) is type(params[name]) and same(value, params[name])
        for name, value in resolved.items()
        if name not in families
    )


def _is_context(n_context: Any, encoder_sees_context: Any, given: Any) -> bool:
    """Whether rows can have such a context, and one of them be bound."""
    if type(n_context) is not int or n_context < 0 or type(encoder_sees_context) is not bool:
        return False
    is_vector = isinstance(given, tuple) and all(
        type(value) is float and math.isfinite(value) for value in given
    )
    return given is None or (is_vector and 0 < len(given) == n_context)


def _is_output_config(config: Any, state: Mapping[str, Any]) -> bool:
    return isinstance(config, dict) and all(
        key == "transform" and isinstance(value, str) for key, value in config.items()
    )


VARIATIONAL_AUTOENCODER: dict[str, Fitted] = {
    "n_features_in_": Fitted(lambda value, state: are_counts(value)),
    "feature_names_in_": Fitted(
        lambda value, state: is_array(value, "O", state["n_features_in_"]), is_optional=True
    ),
    "n_samples_": Fitted(lambda value, state: are_counts(value)),
    "_reader": Fitted(_is_reader, to_plain=Reader.to_plain, from_plain=Reader.from_plain),
    "_architecture": Fitted(
        _is_architecture,
        to_plain=Architecture.params,
        from_plain=lambda params: Architecture(**params),
    ),
    "history_": Fitted(lambda value, state: _are_epochs(value)),
    "n_iter_": Fitted(lambda value, state: are_counts(value) and value == len(state["history_"])),
    "best_epoch_": Fitted(
        lambda value, state: are_counts(value) and value <= len(state["history_"])
    ),
    "kl_per_component_": Fitted(
        lambda value, state: is_array(value, "f", state["_architecture"].n_components)
    ),
    "active_components_": Fitted(
        lambda value, state: is_array(value, "b", state["_architecture"].n_components)
    ),
    "_arrays": Fitted(lambda value, state: isinstance(value, dict)),
    "_seed": Fitted(lambda value, state: type(value) is int and 0 <= value < 2**32),
    "_optimizer": Fitted(lambda value, state: isinstance(value, str)),
    "_fitted_dtype": Fitted(lambda value, state: value in ("float32", "float64")),
    "_sklearn_output_config": Fitted(_is_output_config, is_optional=True),
}
"""Of :class:`skvae.VariationalAutoencoder`; ``_arrays`` stands for the net."""


def _is_conditional(vae: Any, state: Mapping[str, Any]) -> bool:
    """Whether this is a model that is told the conditions which stand beside it."""
    conditions, positions = state["_conditions"], state["_positions"]
    n_given = 0 if positions is None else len(positions)
    is_one: bool = type(vae) is ESTIMATORS["VariationalAutoencoder"]
    return (
        is_one
        and vae._architecture.given is None
        and vae._architecture.encoder_sees_context is (positions is not None)
        and vae.n_features_in_ + n_given == state["n_features_in_"]
        and isinstance(conditions, Conditions)
        and conditions.is_valid(vae._architecture.n_context)
        and (positions is None or n_given == len(conditions.columns))
    )


def _are_positions(positions: Any, state: Mapping[str, Any]) -> bool:
    """Whether these are those of some columns of X, in order, or ``None``."""
    n_features = state["n_features_in_"]
    return positions is None or (
        isinstance(positions, np.ndarray)
        and positions.dtype == np.int64
        and positions.ndim == 1
        and np.array_equal(positions, np.unique(positions))
        and bool(((positions >= 0) & (positions < n_features)).all())
    )


CONDITIONAL_VAE: dict[str, Fitted] = {
    "n_features_in_": VARIATIONAL_AUTOENCODER["n_features_in_"],
    "feature_names_in_": VARIATIONAL_AUTOENCODER["feature_names_in_"],
    "_positions": Fitted(_are_positions),
    "_conditions": Fitted(
        lambda value, state: isinstance(value, Conditions),
        to_plain=Conditions.to_plain,
        from_plain=Conditions.from_plain,
    ),
    "vae_": Fitted(_is_conditional, holds="VariationalAutoencoder"),
    "_sklearn_output_config": VARIATIONAL_AUTOENCODER["_sklearn_output_config"],
}
"""Of :class:`skvae.ConditionalVAE`."""


def _are_models(models: Any, state: Mapping[str, Any]) -> bool:
    """Whether these are models that were fitted to the same rows, without a context."""
    n_features, cls = state["n_features_in_"], ESTIMATORS["VariationalAutoencoder"]
    return (
        isinstance(models, list)
        and len(models) > 0
        and all(type(vae) is cls for vae in models)
        and all(vae.n_features_in_ == n_features for vae in models)
        and all(vae._architecture.n_context == 0 for vae in models)
        and all(vae.unit_ == models[0].unit_ for vae in models)
        and all(vae._reader.categories == models[0]._reader.categories for vae in models)
    )


def _are_latest(rows: Any, state: Mapping[str, Any]) -> bool:
    """Whether these are rows as models read them, and no more than a detector keeps."""
    n_features, cls = state["n_features_in_"], ESTIMATORS["VAEOutlierDetector"]
    return (
        isinstance(rows, np.ndarray)
        and rows.dtype in (np.float32, np.float64)
        and rows.ndim == 2
        and rows.shape[1] == n_features
        and 0 < len(rows) <= cls._n_latest(n_features)  # type: ignore[attr-defined]  # the detector
        and not np.isinf(rows).any()
    )


def _is_told_apart(vae: Any, state: Mapping[str, Any]) -> bool:
    """Whether this is a model whose prior tells the classes apart that stand beside it."""
    is_one: bool = type(vae) is ESTIMATORS["VariationalAutoencoder"]
    return (
        is_one
        and vae.n_features_in_ == state["n_features_in_"]
        and vae._architecture.n_context == 0
        and isinstance(vae._architecture.prior, priors.ClassMixture)
        and vae._architecture.prior.n_classes == len(state["classes_"])
    )


LABELS = ["bool", "object", "str", "float32", "float64"]
LABELS += [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
"""Types of labels; texts are as long as they are."""


def _type_of(classes: np.ndarray) -> str:
    return "str" if classes.dtype.kind == "U" else classes.dtype.name


def _classes_of(plain: Any) -> np.ndarray:
    """Return classes of their type and values."""
    ((name, values),) = plain.items()
    if name not in LABELS or not all(isinstance(v, str | int | float) for v in values):
        raise ValueError("classes_ has a value that no valid model has.")
    return np.array(values, name)


def _are_classes(classes: Any, state: Mapping[str, Any]) -> bool:
    """Whether these are classes of labels, each once and in order."""
    return (
        isinstance(classes, np.ndarray)
        and classes.ndim == 1
        and len(classes) > 0
        and _type_of(classes) in LABELS
        and np.array_equal(np.unique(classes), classes)
    )


VAE_CLASSIFIER: dict[str, Fitted] = {
    "n_features_in_": VARIATIONAL_AUTOENCODER["n_features_in_"],
    "feature_names_in_": VARIATIONAL_AUTOENCODER["feature_names_in_"],
    "classes_": Fitted(
        _are_classes,
        to_plain=lambda classes: {_type_of(classes): classes.tolist()},
        from_plain=_classes_of,
    ),
    "vae_": Fitted(_is_told_apart, holds="VariationalAutoencoder"),
    "_sklearn_output_config": VARIATIONAL_AUTOENCODER["_sklearn_output_config"],
}
"""Of :class:`skvae.VAEClassifier`."""


VAE_OUTLIER_DETECTOR: dict[str, Fitted] = {
    "n_features_in_": VARIATIONAL_AUTOENCODER["n_features_in_"],
    "feature_names_in_": VARIATIONAL_AUTOENCODER["feature_names_in_"],
    "estimators_": Fitted(_are_models, holds="VariationalAutoencoder"),
    "offset_": Fitted(lambda value, state: type(value) is float and math.isfinite(value)),
    "_latest": Fitted(_are_latest, is_optional=True),
}
"""Of :class:`skvae.VAEOutlierDetector`."""
