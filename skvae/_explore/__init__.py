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
    """Write a page that shows the latent plane, its rows, and what is decoded under the pointer.

    The page is one HTML file that holds everything: it needs no network and no server, and
    its content policy forbids both. The pointer moves over the posterior means of the rows
    of X; beside them are the nearest row with its label and the decoded row under the
    pointer, as pictures, or for tables as values on the scale of each feature. Boxes choose
    the two components, the column that colours the rows, and the condition that the decoder of a
    :class:`~skvae.ConditionalVAE` is given; another one finds a row by its number or by a label.
    A click lists the rows that are nearest to a row in all components. Rows inside a lasso are
    saved as CSV, with their components, labels and values, and the plane as PNG. All works with a
    mouse, a finger or the keyboard: Tab to the plane, then the arrow keys.

    Any decoder will do, a whole pipeline's too: it is asked at ``grid`` × ``grid`` points that
    span the plane, for each pair of components and each condition, and between them the page
    mixes the four nearest answers, linearly in both directions; of categories it takes the nearest.

    Parameters
    ----------
    vae : estimator instance
        Fitted, with ``transform``, ``inverse_transform`` and ``get_feature_names_out``: a
        :class:`~skvae.VariationalAutoencoder`, a pipeline that ends in one, or a search
        over either. Of a :class:`~skvae.ConditionalVAE` the conditions must be categories, or one
        must be bound by ``given``.
    X : array-like or sparse matrix of shape (n_samples, n_features)
        Rows to show.
    labels : array-like of shape (n_samples,) or (n_samples, n_columns), default=None
        What rows are called and coloured by, at first by the first column; or a data frame, or a
        dict of columns by their names. Classes (strings, booleans, or integers of at most 20
        distinct values) have a colour each and a button that hides them. Strings of more than 42
        distinct values are names, and shown for the nearest row only. All else is a quantity
        with a colour bar. The name of a pandas Series is its title. Columns of a table can be
        chosen, too, without being passed here.
    path : path-like, default="latent.html"
        The file; replaced if it exists, atomically: after an error it is as it was.
    components : int or sequence of int, default=None
        Components to choose from, at first the first along the horizontal axis and the second along
        the vertical one; one for a strip. ``None``: the four with the greatest
        ``kl_per_component_``, or where there is none, with the greatest variance of
        ``transform(X)``; of a :class:`~skvae.ConditionalVAE` two. The components that are not shown
        are 0 in all that is decoded.
    grid : int, default=32
        Points at which the decoder is asked, along each axis; at least 2.
    image_shape : tuple of int, default=None
        ``(height, width)`` or ``(height, width, channels)`` of a row; one entry may be −1.
        ``None``: that of the estimator; without one, the rows are a table.
    title : str, default="Latent space"
        Heading of the page.

    Returns
    -------
    path : pathlib.Path
        The file that was written. As the last line of a cell of a notebook it is shown as the
        page, up to 8 MB.

    Raises
    ------
    ValueError
        When X does not fit the model, ``labels`` are not one for each row, ``components``
        are not in the model, ``grid`` is below 2, rows are not pictures of ``image_shape``, or
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
    5,000 of MNIST's digits with two components make a file of 1.6 MB, 50,000 one of 3.9 MB, and
    with four components to choose from 3.6 and 7.3 MB. That of 50,000 rows is shown after 0.2 to
    0.4 s in Chromium, and a move of the pointer takes 1 to 2 ms. Between nodes its pictures
    differ from the decoder's on average by 0.005 of the way from black to white, with
    ``grid=24`` by 0.009.

    Pictures of rows, and of the grid, are made smaller by a whole number where all of a kind
    have more than eight million pixels; the page says so. Of tables with more than 32 features
    it shows those that change most over the plane: decoded near rows, in units of their
    standard deviation. Files grow with the number of pairs of components times that of conditions.
    For more than some 50,000 rows, pass a part of them.

    Black is 0 and white is 1, unless values of X leave that range: then their extremes. The
    scale of a feature reaches from its least value in X to its greatest.

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
