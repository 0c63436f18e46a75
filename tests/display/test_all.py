"""What all displays have in common."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skvae import display as displays
from skvae.display import (
    ComponentDisplay,
    InterpolationDisplay,
    LatentSpaceDisplay,
    ManifoldDisplay,
    OutlierDisplay,
    ReconstructionDisplay,
    SampleGridDisplay,
    TraversalDisplay,
)
from tests.display.models import COLOURED, IRIS, LABELS, X, shown, small


def outliers(nats):
    """Return a display of nats, whatever they are."""
    return OutlierDisplay(originals=nats, nats=nats, scores=nats[:, 0])


DRAW = {
    "latent": lambda vae, **kwargs: LatentSpaceDisplay.from_estimator(vae, X, LABELS, **kwargs),
    "pairs": lambda vae, **kwargs: LatentSpaceDisplay.from_estimator(
        vae, X, LABELS, components=range(3), ellipses=1, **kwargs
    ),
    "manifold": lambda vae, **kwargs: ManifoldDisplay.from_estimator(vae, n=3, **kwargs),
    "reconstruction": lambda vae, **kwargs: ReconstructionDisplay.from_estimator(vae, X, **kwargs),
    "traversal": lambda vae, **kwargs: TraversalDisplay.from_estimator(vae, n=3, **kwargs),
    "interpolation": lambda vae, **kwargs: InterpolationDisplay.from_estimator(
        vae, X, n=3, n_paths=2, **kwargs
    ),
    "components": ComponentDisplay.from_estimator,
    "samples": lambda vae, **kwargs: SampleGridDisplay.from_estimator(vae, X, **kwargs),
    "outliers": lambda vae, **kwargs: outliers(vae.transform(X[:2])).plot(**kwargs),
}
PICTURES = ["manifold", "reconstruction", "traversal", "interpolation", "samples"]
OF_TABLES = {
    "latent": lambda vae, X: LatentSpaceDisplay.from_estimator(vae, X, ellipses=2),
    "reconstruction": ReconstructionDisplay.from_estimator,
    "traversal": lambda vae, X: TraversalDisplay.from_estimator(vae, X, n=3),
    "interpolation": lambda vae, X: InterpolationDisplay.from_estimator(vae, X, n_paths=2),
    "components": lambda vae, X: ComponentDisplay.from_estimator(vae),
    "samples": SampleGridDisplay.from_estimator,
}


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_draws_in_the_axes_given_and_makes_no_figure(images, draw):
    fig, (left, right) = plt.subplots(ncols=2)
    display = draw(images, ax=right)
    assert display.ax_ is right
    assert display.figure_ is fig
    assert not left.has_data()
    assert left.axison
    assert plt.get_fignums() == [fig.number]
    fig.canvas.draw()


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_makes_one_figure_without_axes(images, draw):
    display = draw(images)
    assert plt.get_fignums() == [display.figure_.number]
    display.plot()
    assert len(plt.get_fignums()) == 2


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_draws_in_a_subfigure(images, draw):
    subfigure = plt.figure(layout="constrained").subfigures()
    assert draw(images, ax=subfigure.subplots()).figure_ is subfigure
    subfigure.figure.canvas.draw()


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_constructor_stores_what_is_drawn_and_nothing_else(images, draw):
    display = draw(images)
    computed = {name: value for name, value in vars(display).items() if not name.endswith("_")}
    again = type(display)(**computed)
    assert {name: id(value) for name, value in vars(again).items()} == {
        name: id(value) for name, value in computed.items()
    }
    again.plot()


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
@pytest.mark.parametrize("estimator", [small(image_shape=(8, 8)), PCA()], ids=["vae", "pca"])
def test_refuses_an_unfitted_estimator_and_leaves_no_figure(draw, estimator):
    with pytest.raises(NotFittedError):
        draw(estimator)
    assert plt.get_fignums() == []


def test_every_display_is_tested_and_exported(images):
    tested = {type(draw(images)).__name__ for draw in DRAW.values()}
    assert tested | {"HistoryDisplay"} == set(displays.__all__)
    plt.close("all")


@pytest.mark.parametrize("name", PICTURES)
def test_imshow_kwargs_replace_defaults(images, name):
    draw = DRAW[name]
    image = draw(images, imshow_kwargs={"cmap": "magma", "vmax": 0.5}).image_
    assert image.get_cmap().name == "magma"
    assert image.norm.vmax == 0.5
    assert draw(images).image_.get_cmap().name == "gray"


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_of_one_component_and_of_colours(line, colours, name):
    draw = DRAW[name]
    assert shown(draw(line, image_shape=(8, 8))).ndim == 2
    if name in ("reconstruction", "interpolation", "samples"):
        display = type(draw(line, image_shape=(8, 8))).from_estimator(colours, COLOURED)
    else:
        display = draw(colours)
    assert shown(display).shape[2] == 3
    assert shown(display).min() >= 0
    assert shown(display).max() <= 1


@pytest.mark.parametrize("draw", OF_TABLES.values(), ids=OF_TABLES)
def test_a_pipeline_or_a_search_is_drawn_as_the_model_behind_it(draw):
    scaler = MinMaxScaler(clip=True)
    pipe = make_pipeline(make_pipeline(scaler), "passthrough", small())
    search = GridSearchCV(pipe, {"variationalautoencoder__beta": [0.01]}, cv=2)
    search.fit(IRIS.data)
    display, same = draw(search, IRIS.data), draw(search.best_estimator_, IRIS.data)
    display.figure_.draw_without_rendering()
    for name, value in vars(display).items():
        if isinstance(value, np.ndarray) and value.dtype != object:
            np.testing.assert_array_equal(value, getattr(same, name))


def test_steps_that_keep_the_columns_keep_the_picture():
    pipe = make_pipeline(MinMaxScaler(), small(image_shape=(8, 8))).fit(X * 16)
    display = ReconstructionDisplay.from_estimator(pipe, X * 16, n_images=2)
    assert display.image_shape == (8, 8)
    np.testing.assert_allclose(
        display.reconstructions, pipe.inverse_transform(pipe.transform(X[:2] * 16))
    )
    fewer = make_pipeline(PCA(16), small(image_shape=(4, 4), likelihood="gaussian")).fit(X)
    assert ReconstructionDisplay.from_estimator(fewer, X).image_shape is None


@pytest.mark.parametrize("name", ["traversal", "interpolation", "components", "samples"])
def test_an_estimator_that_is_no_model_is_named(name):
    with pytest.raises(TypeError, match=r"^estimator is a PCA, which has no \w+, .* Pass a fitted"):
        DRAW[name](PCA(2).fit(X))
    assert plt.get_fignums() == []


def test_a_step_without_a_way_back_is_named(images):
    class OneWay(MinMaxScaler):
        inverse_transform = property()

    pipe = make_pipeline(OneWay(), small()).fit(IRIS.data)
    with pytest.raises(TypeError, match="has a OneWay before the model, which has no inverse_tr"):
        SampleGridDisplay.from_estimator(pipe)


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_labels_are_inside_the_figure_when_it_is_first_drawn(images, draw):
    figure = draw(images).figure_
    figure.canvas.draw()
    inner, outer = figure.get_tightbbox(), figure.bbox_inches
    assert inner.xmin >= 0
    assert inner.ymin >= 0
    assert inner.xmax <= outer.xmax
    assert inner.ymax <= outer.ymax
