"""The estimator inside the graphs of skl2onnx."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skvae._vae import VariationalAutoencoder
from skvae.export._graph import require, translated
from skvae.export._parts import Transform


def register_skl2onnx() -> None:
    """Register the estimator with skl2onnx, so that a whole fitted Pipeline becomes one graph.

    After this call, ``skl2onnx.to_onnx`` takes a :class:`VariationalAutoencoder` wherever it takes
    a transformer: in a Pipeline, ColumnTransformer, FeatureUnion or search. Its output is
    ``transform(X)``. It is float64 if the input is float64 (with networks in float32; see
    :func:`to_onnx`), otherwise float32, and integers of more than 24 bits are then rounded. One
    call is enough; further calls change nothing.

    The ``target_opset`` of skl2onnx must be 18 or later, as it is by default.

    Raises
    ------
    ImportError
        When the extra ``onnx`` is not installed.

    See Also
    --------
    to_onnx : Converts the estimator alone: its encoder, decoder or score.

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
