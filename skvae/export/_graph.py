"""From a part of a model, in torch, to its graph in ONNX."""

from __future__ import annotations

import importlib
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.distributions import Distribution

from skvae._version import __version__
from skvae.export._operators import translations
from skvae.export._parts import Part

OLDEST_OPSET = 18
"""The one in which torch's own translations are written; converted to an older one, a graph
keeps attributes that this does not have."""

N_SAMPLES = "n_samples"
"""The number of rows, in the graph."""


def translated(part: Part, dtype: Any, opset_version: int | None) -> Any:
    """Return the checked ``onnx.ModelProto`` of a part, whose input is of this type."""
    onnx, _ = require("onnx", "onnxscript")
    name = getattr(dtype, "__name__", str(dtype))
    if name not in part.dtypes:
        raise ValueError(
            f"dtype={dtype!r} of the {part.name} must be {' or '.join(map(repr, part.dtypes))}."
        )
    model = _exported(part, name, opset_version)
    _check_opset(model, opset_version)
    _describe(model, part)
    onnx.checker.check_model(model, full_check=True)
    return model


def _exported(part: Part, dtype: str, opset_version: int | None) -> Any:
    """Return what torch makes of a part, for any number of rows."""
    with torch.no_grad():
        part(part.example(dtype))  # makes what is made once, which tracing cannot follow
    try:
        with _tracing():
            program = torch.onnx.export(
                part,
                (part.example(dtype),),
                input_names=[part.input],
                output_names=part.outputs,
                opset_version=opset_version,
                dynamic_shapes=({0: torch.export.Dim(N_SAMPLES)},),
                custom_translation_table=translations(),
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise _refusal(part, str(error.__cause__ or error).splitlines()[0]) from error
    assert program is not None
    model = program.model_proto
    # torch itself falls back on a graph for as many rows as the example has, without a word.
    if model.graph.input[0].type.tensor_type.shape.dim[0].dim_param != N_SAMPLES:
        raise _refusal(part, "It takes a fixed number of rows.")
    return model


def _refusal(part: Part, reason: str) -> NotImplementedError:
    return NotImplementedError(
        f"{part.describe_origin()} cannot be converted to ONNX: {reason} One of them has an "
        "operation that torch.onnx does not translate, or depends on the number of rows. Use a "
        "part of skvae instead."
    )


def _check_opset(model: Any, asked: int | None) -> None:
    """Check that torch wrote the version that was asked for; what it cannot convert, it keeps."""
    (written,) = (opset.version for opset in model.opset_import if not opset.domain)
    if asked is not None and (asked != written or asked < OLDEST_OPSET):
        raise ValueError(
            f"opset_version={asked!r} cannot be written by torch {torch.__version__}. Set it, or "
            f"the target_opset of skl2onnx, to {OLDEST_OPSET} or a little more."
        )


@contextmanager
def _tracing() -> Iterator[None]:
    """Let the exporter trace the user's distributions, and keep it from telling trifles."""
    with ExitStack() as stack:
        # Whether arguments are valid hangs on values, which a graph that is traced has not.
        stack.callback(Distribution.set_default_validate_args, Distribution._validate_args)
        Distribution.set_default_validate_args(False)
        for name in ("torch.onnx", "onnxscript"):
            # "torchvision is not installed", which nothing here needs, and steps of conversion,
            # the result of which is checked.
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
        stack.enter_context(warnings.catch_warnings())
        # torch's export uses a class of torch's own pytrees that torch deprecates (2.13).
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        yield


def _describe(model: Any, part: Part) -> None:
    """Write into the graph what it is; take out the source lines that torch notes at each node."""
    onnx, graph, vae = *require("onnx"), model.graph, part.vae
    for item in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    graph.name = f"skvae_{part.name}"
    model.producer_name, model.producer_version = "skvae", __version__
    model.doc_string = f"{part.estimator}, {part.name}: {part.__doc__}"
    properties = {
        "skvae_version": __version__,
        "torch_version": str(torch.__version__),
        "class": part.estimator,
        "part": part.name,
        "likelihood": type(vae.likelihood_).__name__,
        "n_components": str(len(vae.active_components_)),
        "unit": str(vae.unit_),
    }
    if hasattr(vae, "feature_names_in_"):
        properties["feature_names"] = json.dumps(vae.feature_names_in_.tolist())
    onnx.helper.set_model_props(model, properties)


def require(*names: str) -> list[Any]:
    """Return modules of the extra."""
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        raise ImportError(
            f"skvae.export needs {' and '.join(names)}, but {error.name} is not installed. "
            "Run: pip install 'skvae[onnx]'"
        ) from error
