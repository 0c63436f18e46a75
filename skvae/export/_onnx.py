"""Half of a model as an ONNX file; the estimator inside the graphs of skl2onnx."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skvae import _files
from skvae._fitted import opened
from skvae._vae import VariationalAutoencoder
from skvae.export._graph import HALVES, Transform, require, translated


def to_onnx(
    vae: VariationalAutoencoder,
    path: str | os.PathLike[str],
    part: str = "encoder",
    *,
    dtype: Any = "float32",
    opset_version: int | None = None,
) -> None:
    """Write half of a fitted model to an ONNX file, which needs neither torch nor Python.

    The graph takes any number of rows and gives what the estimator's methods give, up to
    rounding: to 1e-5 absolutely for the posterior and for values in [0, 1], to 1e-5 of a
    column's standard deviation for real ones and of the mean itself for counts. All that goes
    on around the networks is in it; bounds and draws are not.

    ========== ========================== ===================================================
    part       input                      outputs
    ========== ========================== ===================================================
    encoder    ``X``, (n, n_features)     ``loc``, ``scale``, both (n, n_components): what
                                          ``posterior(X)`` returns; ``loc`` is ``transform(X)``
    decoder    ``Z``, (n, n_components)   ``X``, (n, n_features): ``inverse_transform(Z)``
    ========== ========================== ===================================================

    X is in the units of ``fit``; for a model of bytes (see ``unit_``) these are [0, 1], and
    bytes themselves go in under ``dtype="uint8"``. A column of type category under
    ``likelihood="mixed"`` goes in and comes out as codes, positions in ``categories_``. The
    metadata of the file holds the version of skvae, class, part, likelihood, unit, and the
    names of the features, as JSON, where the model has them.

    Parameters
    ----------
    vae : VariationalAutoencoder or a search over one
        Fitted; it is not changed.
    path : path-like
        The file; replaced if it exists, atomically: after an error it is as it was.
    part : {"encoder", "decoder"}, default="encoder"
        Which half.
    dtype : {"float32", "float64", "uint8"}, default="float32"
        Of the input, and but for bytes, for which it is float32, of the output. Under
        ``"float64"`` columns far from 0 keep their digits; the networks stay in float32, as
        they were trained, because runtimes have no convolutions in float64. ``"uint8"``, of
        the encoder only: bytes, divided by ``unit_`` inside.
    opset_version : int, default=None
        Version of ONNX's operators, 18 or later. ``None``: the one that torch recommends.

    Raises
    ------
    ImportError
        When the extra ``onnx`` is not installed.
    NotFittedError
        Before ``fit``.
    TypeError
        When ``vae`` is something else, or has steps before the model; see
        :func:`register_skl2onnx` for a Pipeline.
    ValueError
        When ``part``, ``dtype`` or ``opset_version`` is none of the above or out of reach.
    NotImplementedError
        When a network or part of your own holds operations that ONNX does not have, or takes a
        fixed number of rows.
    FileNotFoundError
        When its folder is not there.
    OSError
        When the file cannot be written.

    See Also
    --------
    register_skl2onnx : For a whole Pipeline.
    skvae.load : For going on in Python.

    Examples
    --------
    >>> import onnxruntime
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VariationalAutoencoder, export
    >>> X = load_iris().data.astype("float32")
    >>> vae = VariationalAutoencoder(max_epochs=5, random_state=0).fit(X)
    >>> path = getfixture("tmp_path") / "encoder.onnx"
    >>> export.to_onnx(vae, path, part="encoder")
    >>> loc, scale = onnxruntime.InferenceSession(path).run(None, {"X": X})
    >>> bool(abs(loc - vae.transform(X)).max() < 1e-5)
    True
    """
    inside = opened(vae, "vae")
    if inside.before:
        raise TypeError(
            f"vae is a {type(vae).__name__} with steps before the model, which would not be in the "
            "file. Call register_skl2onnx() and then skl2onnx.to_onnx(pipeline, X[:1])."
        )
    if part not in HALVES:
        raise ValueError(f"part={part!r} must be {' or '.join(map(repr, HALVES))}.")
    content = translated(HALVES[part](inside.model), dtype, opset_version).SerializeToString()
    _files.replace(path, content)


def register_skl2onnx() -> None:
    """Teach skl2onnx the estimator, so that a whole fitted Pipeline becomes one graph.

    After this ``skl2onnx.to_onnx`` takes a :class:`VariationalAutoencoder` wherever it takes a
    transformer: in a Pipeline, ColumnTransformer, FeatureUnion or search. Its output is
    ``transform(X)``, in float64 where the input is (networks in float32; see :func:`to_onnx`),
    else in float32: integers of more than 24 bits are then rounded. Once is enough; calling it
    again changes nothing.

    The ``target_opset`` of skl2onnx must be 18 or later, which its default is.

    Raises
    ------
    ImportError
        When the extra ``onnx`` is not installed.

    See Also
    --------
    to_onnx : For the estimator alone, both halves.

    Examples
    --------
    >>> import onnxruntime, skl2onnx
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from skvae import VariationalAutoencoder, export
    >>> X, y = load_iris(return_X_y=True)
    >>> vae = VariationalAutoencoder(max_epochs=5, random_state=0)
    >>> pipeline = make_pipeline(vae, LogisticRegression()).fit(X, y)
    >>> export.register_skl2onnx()
    >>> graph = skl2onnx.to_onnx(pipeline, X[:1].astype("float32"))
    >>> session = onnxruntime.InferenceSession(graph.SerializeToString())
    >>> label, _ = session.run(None, {"X": X.astype("float32")})
    >>> bool((label == pipeline.predict(X)).all())
    True
    """
    require("onnx", "onnxscript")
    (skl2onnx,) = require("skl2onnx")
    skl2onnx.update_registered_converter(
        VariationalAutoencoder, "SkvaeVariationalAutoencoder", _set_output_type, _convert
    )


# skl2onnx's own words: operator is the estimator in its graph, container what is written so far


def _input_dtype(operator: Any) -> str:
    """Return the type in which rows enter the graph, as the estimator would read them."""
    (types,) = require("skl2onnx.common.data_types")
    kinds = {type(variable.type) for variable in operator.inputs}
    if types.DoubleTensorType in kinds:
        return "float64"
    return "uint8" if kinds == {types.UInt8TensorType} else "float32"


def _set_output_type(operator: Any) -> None:
    """Tell skl2onnx type and shape of ``transform(X)``."""
    check_is_fitted(operator.raw_operator)
    (types,) = require("skl2onnx.common.data_types")
    is_double = _input_dtype(operator) == "float64"
    out = types.DoubleTensorType if is_double else types.FloatTensorType
    n_samples = operator.inputs[0].type.shape[0]
    operator.outputs[0].type = out([n_samples, len(operator.raw_operator.active_components_)])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Put the graph of ``transform`` into skl2onnx's, under names that nothing else has."""
    onnx, _ = require("onnx", "onnx.compose")
    dtype, opset_version = _input_dtype(operator), container.target_opset_onnx
    model = translated(Transform(operator.raw_operator), dtype, opset_version)
    prefix = scope.get_unique_operator_name("skvae") + "_"
    graph = onnx.compose.add_prefix(model, prefix).graph
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    columns = [f"{prefix}column_{i}" for i, _ in enumerate(operator.inputs)]
    for variable, column in zip(operator.inputs, columns, strict=True):
        container.add_node("Cast", variable.full_name, column, name=f"{column}_cast", to=kind)
    container.add_node("Concat", columns, graph.input[0].name, name=f"{prefix}concat", axis=1)
    container.nodes.extend(graph.node)
    container.initializers.extend(graph.initializer)
    # Without this the graph would be labelled by the oldest version that skl2onnx's nodes allow.
    container.node_domain_version_pair_sets.add(("", opset_version))
    out = graph.output[0].name, operator.outputs[0].full_name
    container.add_node("Identity", *out, name=f"{prefix}out")
