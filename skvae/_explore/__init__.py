"""One page to explore a fitted model with: see :func:`explore`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

N_OFFERED = 4
"""Components to choose from where none are named: six pairs of them, each with a grid."""


def explore(
    vae: Any,
    X: Any,
    labels: Any = None,
    path: str | os.PathLike[str] = "latent.html",
    *,
    components: int | Sequence[int] | None = None,
    grid: int = 32,
    image_shape: Sequence[int] | None = None,
    title: str = "Latent space",
) -> Path:
    """Write an HTML page that shows the latent plane, its rows, and the decoded row at the pointer.

    The page is one HTML file that holds everything. It needs no network and no server, and its
    content policy forbids both. The plane shows the posterior means of the rows of X. When the
    pointer moves over it, the page shows the nearest row with its label, and the row that the model
    decodes at the pointer: as pictures, or for tables as values on the scale of each feature.
    Select boxes choose the two components, the column that colours the rows, and the condition for
    the decoder of a :class:`~skvae.ConditionalVAE`. A search box finds a row by its number or by a
    label. A click on a row lists the rows that are nearest to it in all components. Rows inside a
    lasso can be saved as CSV, with their components, labels and values, and the plane as PNG.
    Everything works with a mouse, a finger or the keyboard: press Tab until the plane has the
    focus, then use the arrow keys.

    Any decoder can be used, including that of a whole pipeline. It is called for ``grid`` ×
    ``grid`` points of the plane, for each pair of components and each condition. Between these
    points the page interpolates linearly in both directions; for categories it takes the nearest
    point.

    Parameters
    ----------
    vae : estimator instance
        A fitted estimator with ``transform``, ``inverse_transform`` and ``get_feature_names_out``:
        a :class:`~skvae.VariationalAutoencoder`, a pipeline that ends in one, or a search over
        either. The conditions of a :class:`~skvae.ConditionalVAE` must be categories; otherwise,
        fix the condition by its method ``given``.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows to show.
    labels : array-like of shape (n_samples,) or (n_samples, n_columns), default=None
        Labels that name and colour the rows. The page begins with the first column. A data frame or
        a dict of columns by name can be given as well. Classes (strings, booleans, or integers with
        at most 20 distinct values) each have a colour and a button that hides them. Strings with
        more than 42 distinct values are names, and are shown for the nearest row only. Everything
        else is a quantity with a colour bar. The name of a pandas Series is its title. The columns
        of a table can be chosen on the page, too; they need not be passed here.
    path : path-like, default="latent.html"
        The file to write. An existing file is replaced only when the new one is complete.
    components : int or sequence of int, default=None
        The components to choose from. The page begins with the first on the horizontal axis and the
        second on the vertical axis. A single component is shown as a strip. If ``None``, these are
        the four components with the largest ``kl_per_component_``, or if the estimator has none,
        with the largest variance of ``transform(X)``; for a :class:`~skvae.ConditionalVAE` there
        are two. Components that are not shown are set to 0 for decoding.
    grid : int, default=32
        Number of points along each axis at which the decoder is called; at least 2.
    image_shape : tuple of int, default=None
        Shape of a row as a picture: ``(height, width)`` or ``(height, width, channels)``; one entry
        may be −1. If ``None``, the ``image_shape`` of the estimator is used; if it has none, the
        rows are a table.
    title : str, default="Latent space"
        Heading of the page.

    Returns
    -------
    path : pathlib.Path
        The file that was written. In a notebook, the page itself is shown if this is the last line
        of a cell and the file is not larger than 8 MB.

    Raises
    ------
    ValueError
        When X does not fit the model, there is not one label for each row, ``components`` are not
        in the model, ``grid`` is below 2, rows are not pictures of ``image_shape``, or the
        conditions are numbers or more than 42.
    TypeError
        When ``grid`` or a component is not a whole number.
    NotFittedError
        When the estimator is not fitted.
    OSError
        When the file cannot be written.

    See Also
    --------
    skvae.display.LatentSpaceDisplay : The same plane as a figure.
    skvae.display.ManifoldDisplay : The decoded grid as a figure.

    Notes
    -----
    With two components, the file has 1.6 MB for 5,000 of MNIST's digits and 3.9 MB for 50,000. With
    four components to choose from, it has 3.6 and 7.3 MB. With 50,000 rows, it opens in 0.2 to 0.4
    s in Chromium, and a move of the pointer takes 1 to 2 ms. Between the points of the grid, its
    pictures differ from those of the decoder by 0.005 on average, where black is 0 and white is 1;
    with ``grid=24`` by 0.009.

    If the pictures of all rows, or of the grid, have more than eight million pixels together, they
    are made smaller by a whole factor, and the page says so. Of a table with more than 32 features,
    it shows those that change most over the plane (decoded near rows, in units of their standard
    deviation). The size of the file grows with the number of pairs of components, times the number
    of conditions. If you have more than about 50,000 rows, pass a part of them.

    Black is 0 and white is 1, unless X has values outside of this range; then black is the smallest
    and white the largest value. The scale of a feature goes from its smallest value in X to its
    largest.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> import skvae
    >>> X, y = load_digits(return_X_y=True)
    >>> vae = skvae.VariationalAutoencoder(image_shape=(8, 8), max_epochs=2, random_state=0)
    >>> vae = vae.fit(X / 16)
    >>> folder = getfixture("tmp_path")  # a folder of your own
    >>> skvae.explore(vae, X / 16, y, folder / "digits.html").name
    'digits.html'
    """
    # Here, so that `import skvae` does not wait for what only displays need.
    from skvae import _files
    from skvae._explore import _labels
    from skvae._explore._model import ExploredModel
    from skvae._explore._page import render
    from skvae._explore._panels import Source, pictures, table
    from skvae._explore._plane import Plane
    from skvae._explore._written import WrittenPage

    model = ExploredModel(vae)
    conditions = model.conditions()
    shape = model.image_shape(image_shape)
    Z = model.transform(X)
    plane = Plane(model, Z, components, grid, n_offered=2 if conditions else N_OFFERED)
    named = _labels.make_labels(labels, len(Z))
    decoded = model.decoded(plane.nodes())  # under a condition after the other
    source = Source(model, X, len(Z))
    contents = {
        "plane": plane.contents(),
        "columns": named,
        "colours": _labels.colours(),
        "conditions": [{"title": k, "names": list(map(str, v))} for k, v in conditions.items()],
    }
    if shape is None:
        near = np.tile(plane.rows_at_nodes(), len(decoded))
        contents["table"] = table(source, decoded.reshape(len(near), -1), near)
    else:
        contents["pictures"] = pictures(source, decoded.reshape(-1, *plane.n_nodes, *shape))
    target = Path(path)
    _files.replace(target, render(title, plane.description(), contents).encode())
    return WrittenPage.of(target, title)
