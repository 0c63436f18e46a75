"""The page that the front page leads to: a model of digits, to explore."""

from pathlib import Path

from sklearn.datasets import load_digits

import skvae


def write(app, exception):
    """Fit a model and write ``explore.html`` beside the other pages.

    In every build for a browser, also in those that run no examples: the front page leads there.
    """
    if exception is not None or app.builder.format != "html":
        return
    digits, labels = load_digits(return_X_y=True)
    vae = skvae.VariationalAutoencoder(max_epochs=60, random_state=0).fit(digits / 16)
    page = Path(app.outdir) / "explore.html"
    title = "1,797 handwritten digits"
    skvae.explore(vae, digits / 16, labels, page, image_shape=(8, 8), title=title)


def setup(app):
    """Listen for the end of a build."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
