"""Part of a model as an ONNX file."""

from __future__ import annotations

import os
from typing import Any

from skvae import _files
from skvae._fitted import opened
from skvae._host import host_by_default
from skvae._vae import VariationalAutoencoder
from skvae.export._graph import translated
from skvae.export._parts import PARTS


@host_by_default()
def to_onnx(
    vae: VariationalAutoencoder,
    path: str | os.PathLike[str],
    part: str = "encoder",
    *,
    dtype: Any = "float32",
    opset_version: int | None = None,
) -> None:
    """Write a part of a fitted model to an ONNX file, which needs neither torch nor Python.

    The graph takes any number of rows and gives what the estimator's methods give, up to
    rounding: to 1e-5 absolutely for the posterior and for values in [0, 1], to 1e-5 of a
    column's standard deviation for real ones and of the mean itself for counts; for scores to
    1e-5 nats, or 2e-6 of their size where that is more. All that goes on around the networks is
    in it; draws are not.

    ========== ========================== ===================================================
    part       input                      outputs
    ========== ========================== ===================================================
    encoder    ``X``, (n, n_features)     ``loc``, ``scale``, both (n, n_components): what
                                          ``posterior(X)`` returns; ``loc`` is ``transform(X)``
    decoder    ``Z``, (n, n_components)   ``X``, (n, n_features): ``inverse_transform(Z)``
    score      ``X``, (n, n_features)     ``score``, (n,), in nats; of a VAEOutlierDetector
                                          ``score_samples(X)``, and beside it ``decision``,
                                          (n,): ``decision_function(X)``
    ========== ========================== ===================================================

    The score of a VariationalAutoencoder is the elbo with the same eight draws of noise for all
    rows. Its ``score_samples`` has other noise for each row, as a hash of it says, so that the
    two differ by the noise of eight draws.

    X is in the units of ``fit``; for a model of bytes (see ``unit_``) these are [0, 1], and
    bytes themselves go in under ``dtype="uint8"``. NaN is a value that was not observed, as in
    ``posterior``. A column of type category under ``likelihood="mixed"`` goes in and comes out
    as codes, positions in ``categories_``. The metadata of the file holds the version of skvae,
    class, part, likelihood, unit, and the names of the features, as JSON, where the model has
    them.

    Parameters
    ----------
    vae : VariationalAutoencoder, VAEOutlierDetector or a search over one
        Fitted; it is not changed. Encoder and decoder of a detector are those of its ``vae_``.
    path : path-like
        The file; replaced if it exists, atomically: after an error it is as it was.
    part : {"encoder", "decoder", "score"}, default="encoder"
        What the graph says.
    dtype : {"float32", "float64", "uint8"}, default="float32"
        Of the input, and but for bytes, for which it is float32, of the output. Under
        ``"float64"`` columns far from 0 keep their digits; the networks stay in float32, as
        they were trained, because runtimes have no convolutions in float64. ``"uint8"``, of
        encoder and score: bytes, divided by ``unit_`` inside.
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
        When ``part``, ``dtype`` or ``opset_version`` is none of the above or out of reach, and
        for a model that is told a condition; see :meth:`ConditionalVAE.given`.
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
    if part not in PARTS:
        raise ValueError(f"part={part!r} must be {' or '.join(map(repr, PARTS))}.")
    content = translated(PARTS[part].of(inside), dtype, opset_version).SerializeToString()
    _files.replace(path, content)
