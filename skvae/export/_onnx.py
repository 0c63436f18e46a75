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
    """Write a part of a fitted model to an ONNX file, which can be used without torch and Python.

    The graph takes any number of rows and returns the same as the methods of the estimator, up to
    rounding. The error is at most 1e-5 for the posterior and for values in [0, 1], 1e-5 standard
    deviations of the column for real values, 1e-5 of the mean for counts, and for scores 1e-5 nats
    or 2e-6 of the score, whichever is larger. The graph holds everything around the networks as
    well, such as the scaling of columns, but it cannot draw samples.

    ========== ========================== ===================================================
    part       input                      outputs
    ========== ========================== ===================================================
    encoder    ``X``, (n, n_features)     ``loc``, ``scale``, both (n, n_components): what
                                          ``posterior(X)`` returns; ``loc`` is ``transform(X)``
    decoder    ``Z``, (n, n_components)   ``X``, (n, n_features): ``inverse_transform(Z)``
    score      ``X``, (n, n_features)     ``score``, (n,), in nats; of a VAEOutlierDetector
                                          ``score_samples(X)``, and also ``decision``,
                                          (n,): ``decision_function(X)``
    ========== ========================== ===================================================

    The score of a VariationalAutoencoder is the elbo with the same eight draws of noise for all
    rows. Its ``score_samples`` uses different noise for each row, so that the two differ by the
    noise of eight draws.

    X has the units of ``fit``. If the model was fitted to bytes (see ``unit_``), X has values in
    [0, 1]; with ``dtype="uint8"`` the graph takes the bytes themselves. NaN means that a value was
    not observed, as in ``posterior``. With ``likelihood="mixed"``, categories go in and come out as
    codes, which are positions in ``categories_``. The metadata of the file holds the version of
    skvae, the class, the part, the likelihood, the unit and, if the model has them, the names of
    the features as JSON.

    Parameters
    ----------
    vae : VariationalAutoencoder, VAEOutlierDetector or a search over one
        The fitted model. It is not changed. The encoder and the decoder of a detector are those of
        its ``vae_``.
    path : path-like
        The file to write. An existing file is replaced only when the new one is complete.
    part : {"encoder", "decoder", "score"}, default="encoder"
        The part of the model that the graph computes.
    dtype : {"float32", "float64", "uint8"}, default="float32"
        The dtype of the input and the output. ``"float64"`` keeps the digits of columns that are
        far from 0; the networks stay in float32, because runtimes have no convolutions in float64.
        ``"uint8"``, for the encoder and the score, takes bytes, divides them by ``unit_``, and
        returns float32.
    opset_version : int, default=None
        Version of ONNX's operators, 18 or later. If ``None``, the version that torch recommends is
        used.

    Raises
    ------
    ImportError
        When the extra ``onnx`` is not installed.
    NotFittedError
        When the estimator is not fitted.
    TypeError
        When ``vae`` is another kind of object, or has steps before the model; see
        :func:`register_skl2onnx` for a Pipeline.
    ValueError
        When ``part``, ``dtype`` or ``opset_version`` has another value or is not available, and for
        a model that needs a condition; see :meth:`ConditionalVAE.given`.
    NotImplementedError
        When your own network or part uses operations that ONNX does not have, or takes only a fixed
        number of rows.
    FileNotFoundError
        When the folder does not exist.
    OSError
        When the file cannot be written.

    See Also
    --------
    register_skl2onnx : Converts a whole Pipeline.
    skvae.load : Loads a model that ``save`` wrote, for use in Python.

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
