"""Displays show what the estimator says, where they are told to."""

from string import ascii_uppercase

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgba
from scipy.sparse import csr_matrix
from scipy.stats import norm
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skvae import VariationalAutoencoder
from skvae.display import HistoryDisplay, LatentSpaceDisplay, ManifoldDisplay, ReconstructionDisplay
from skvae.display._drawing import PALETTE

DIGITS, LABELS = load_digits(return_X_y=True)
X, LABELS = DIGITS[:300] / 16, LABELS[:300]
IRIS = load_iris(as_frame=True)
COLOURED = np.random.default_rng(0).random((50, 2 * 3 * 3))


def small(**params):
    params = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0} | params
    return VariationalAutoencoder(**params, conv_channels=(4,), beta=0.01)


@pytest.fixture(scope="module")
def images():
    return small(n_components=3, image_shape=(8, -1)).fit(X)


@pytest.fixture(scope="module")
def line():
    return small(n_components=1).fit(X)


@pytest.fixture(scope="module")
def table():
    return small(early_stopping=True).fit(IRIS.data)


@pytest.fixture(scope="module")
def colours():
    return small(image_shape=(2, 3, 3)).fit(COLOURED)


@pytest.fixture(autouse=True)
def no_figures_left():
    before, style = plt.get_fignums(), plt.rcParams.copy()
    yield
    assert plt.rcParams == style
    plt.close("all")
    assert before == []


DRAW = {
    "latent": lambda vae, **kwargs: LatentSpaceDisplay.from_estimator(vae, X, LABELS, **kwargs),
    "manifold": lambda vae, **kwargs: ManifoldDisplay.from_estimator(vae, n=3, **kwargs),
    "reconstruction": lambda vae, **kwargs: ReconstructionDisplay.from_estimator(vae, X, **kwargs),
}


def shown(display):
    """Draw for good, as layout and ticks come late; return the picture."""
    display.figure_.canvas.draw()
    return np.asarray(display.image_.get_array())


# All displays


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_draws_in_the_axes_given_and_makes_no_figure(images, draw):
    fig, (left, right) = plt.subplots(ncols=2)
    display = draw(images, ax=right)
    assert display.ax_ is right
    assert display.figure_ is fig
    assert not left.has_data()
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
@pytest.mark.parametrize("estimator", [small(image_shape=(8, 8)), PCA()])
def test_refuses_an_unfitted_estimator_and_leaves_no_figure(draw, estimator):
    with pytest.raises(NotFittedError):
        draw(estimator)
    assert plt.get_fignums() == []


# The latent space


def test_points_are_posterior_means(images):
    display = LatentSpaceDisplay.from_estimator(images, X, components=(2, 0))
    np.testing.assert_array_equal(display.scatter_.get_offsets(), images.transform(X)[:, [2, 0]])
    assert display.ax_.get_xlabel() == "component 2"
    assert display.ax_.get_ylabel() == "component 0"
    assert display.legend_ is display.colorbar_ is None


@pytest.mark.parametrize(
    ("y", "names"),
    [
        (LABELS, list("0123456789")),
        (LABELS.tolist(), list("0123456789")),
        (LABELS > 4, ["False", "True"]),
        (np.array(["even", "odd"])[LABELS % 2], ["even", "odd"]),
        (np.array(["a", None], dtype=object)[LABELS % 2], ["None", "a"]),
        (pd.Series(LABELS, dtype="Int64"), list("0123456789")),
        (pd.Series(LABELS).astype("category"), list("0123456789")),
        (np.array(list(ascii_uppercase))[np.arange(len(X)) % 26], list(ascii_uppercase)),
    ],
    ids=["int", "list", "bool", "str", "none", "nullable", "category", "letters"],
)
def test_each_class_has_a_colour_and_a_legend_entry(images, y, names):
    display = LatentSpaceDisplay.from_estimator(images, X, y)
    display.figure_.draw_without_rendering()
    assert [text.get_text() for text in display.legend_.get_texts()] == names
    of_class = {}
    for name, colour in zip(display.y, display.scatter_.get_facecolors(), strict=True):
        of_class.setdefault(str(name), set()).add(tuple(colour[:3]))
    assert all(len(colours) == 1 for colours in of_class.values())
    assert len(set.union(*of_class.values())) == len(names)
    if len(names) <= 10:
        handles = [handle.get_color()[:3] for handle in display.legend_.legend_handles]
        assert handles == [next(iter(of_class[name])) for name in names]
        assert handles == [to_rgba(colour)[:3] for colour in PALETTE[: len(names)]]


def test_too_many_classes_have_no_legend(images):
    display = LatentSpaceDisplay.from_estimator(images, X, np.arange(len(X)).astype(str))
    display.figure_.draw_without_rendering()
    assert display.legend_ is display.colorbar_ is None


@pytest.mark.parametrize("y", [LABELS.astype(float), np.arange(len(X)), X.sum(axis=1)])
def test_a_quantity_has_a_colour_bar_with_its_name(images, y):
    display = LatentSpaceDisplay.from_estimator(images, X, pd.Series(y, name="ink"))
    assert display.legend_ is None
    assert display.colorbar_.ax.get_ylabel() == "ink"
    np.testing.assert_array_equal(display.scatter_.get_array(), y)


def test_one_component_is_drawn_against_y(line):
    Z = line.transform(X)[:, 0]
    display = LatentSpaceDisplay.from_estimator(line, X, LABELS % 3)
    np.testing.assert_array_equal(display.scatter_.get_offsets(), np.c_[Z, LABELS % 3])
    assert [tick.get_text() for tick in display.ax_.get_yticklabels()] == ["0", "1", "2"]
    ink = X.sum(axis=1)
    display = LatentSpaceDisplay.from_estimator(line, X, ink)
    np.testing.assert_array_equal(display.scatter_.get_offsets(), np.c_[Z, ink])
    display = LatentSpaceDisplay.from_estimator(line, X)
    assert set(display.scatter_.get_offsets()[:, 1]) == {0.0}


def test_one_component_of_many(images):
    display = LatentSpaceDisplay.from_estimator(images, X, components=1)
    np.testing.assert_array_equal(display.scatter_.get_offsets()[:, 0], images.transform(X)[:, 1])


@pytest.mark.parametrize("colour", [{"color": "red"}, {"c": "red"}])
@pytest.mark.parametrize("y", [None, LABELS, X[:, 20]])
@pytest.mark.parametrize("components", [(0, 1), 0])
def test_scatter_kwargs_replace_defaults(images, colour, y, components):
    kwargs = {"s": 3, "lw": 2, "alpha": 1, "marker": "s", **colour}
    display = LatentSpaceDisplay.from_estimator(
        images, X, y, components=components, scatter_kwargs=kwargs
    )
    assert display.scatter_.get_sizes() == [3]
    assert display.scatter_.get_linewidths() == [2]
    assert (display.scatter_.get_facecolors() == to_rgba("red")).all()
    assert display.legend_ is display.colorbar_ is None


def test_another_colour_map_for_classes(images):
    display = LatentSpaceDisplay.from_estimator(images, X, LABELS, scatter_kwargs={"cmap": "tab10"})
    display.figure_.draw_without_rendering()
    np.testing.assert_array_equal(
        display.scatter_.get_facecolors()[:, :3], plt.get_cmap("tab10")(LABELS)[:, :3]
    )


def test_axes_that_share_both_directions_keep_the_aspect(images):
    fig, axes = plt.subplots(2, 2, sharex=True, sharey=True)
    for ax in axes.flat:
        LatentSpaceDisplay.from_estimator(images, X, ax=ax)
    fig.canvas.draw()
    assert all(ax.get_aspect() == 1 for ax in axes.flat)


def test_the_latent_space_behind_a_pipeline_with_data_frames():
    pipe = make_pipeline(MinMaxScaler(), small()).set_output(transform="pandas").fit(IRIS.data)
    display = LatentSpaceDisplay.from_estimator(pipe, IRIS.data, IRIS.target)
    np.testing.assert_array_equal(display.Z, pipe.transform(IRIS.data))
    assert display.legend_.get_title().get_text() == "target"


@pytest.mark.parametrize("components", [(0, 3), (-1, 0), (1, 1), (0, 1, 2), (), 3])
@pytest.mark.parametrize("draw", [DRAW["latent"], DRAW["manifold"]])
def test_components_that_are_not_there(images, draw, components):
    with pytest.raises(ValueError, match=r"^components=.* out of 0, ..., 2"):
        draw(images, components=components)
    assert plt.get_fignums() == []


def test_y_of_another_length(images):
    with pytest.raises(ValueError, match=r"^y has 9 values, but X has 300 rows\. Pass"):
        LatentSpaceDisplay.from_estimator(images, X, LABELS[:9])
    assert plt.get_fignums() == []


# The manifold


def tile_at(display, z):
    """Return the pixels drawn where the axes say that z is, for a linear grid."""
    image, n = shown(display), len(display.values)
    column, row = (np.searchsorted(display.values, value) for value in z)
    x, y = display.ax_.transData.transform([column, row])
    left, bottom = display.image_.get_window_extent().p0
    right, top = display.image_.get_window_extent().p1
    column, row = int((x - left) / (right - left) * n), int((top - y) / (top - bottom) * n)
    height, width = image.shape[0] // n, image.shape[1] // n
    return image[row * height : (row + 1) * height, column * width : (column + 1) * width]


@pytest.mark.parametrize("z", [(-2, -2), (-2, 1), (0, 2), (2, -1)])
def test_a_tile_is_decoded_where_the_axes_say(images, z):
    display = ManifoldDisplay.from_estimator(images, n=5, components=(2, 0), linear_range=2)
    decoded = images.inverse_transform([[z[1], 0, z[0]]])[0].reshape(8, 8)
    np.testing.assert_allclose(tile_at(display, z), decoded, rtol=1e-5)
    assert display.ax_.get_xlabel() == "component 2"
    assert display.ax_.get_ylabel() == "component 0"


def test_a_tile_of_colours(colours):
    display = ManifoldDisplay.from_estimator(colours, n=3, linear_range=(0, 2))
    decoded = colours.inverse_transform([[2, 1]])[0].reshape(2, 3, 3)
    np.testing.assert_allclose(tile_at(display, (2, 1)), decoded, rtol=1e-5)
    assert display.ax_.get_aspect() == 2 / 3


@pytest.mark.parametrize("shape", [(8, 8, 1), (4, 16), (-1, 16)])
def test_image_shape_overrides(images, shape):
    display = ManifoldDisplay.from_estimator(images, n=2, image_shape=shape)
    assert shown(display).shape == ((16, 16) if shape == (8, 8, 1) else (8, 32))


def test_the_grid_is_at_quantiles_of_the_prior(images):
    display = ManifoldDisplay.from_estimator(images, n=7, quantile_range=(0.1, 0.6))
    np.testing.assert_allclose(norm.cdf(display.values), np.linspace(0.1, 0.6, 7))


def test_ticks_lie_at_latent_values(images):
    display = ManifoldDisplay.from_estimator(images, n=20)
    labels = [float(text.get_text().replace("−", "-")) for text in display.ax_.get_xticklabels()]
    assert labels == [-2, -1, 0, 1, 2]
    at = np.interp(display.ax_.get_xticks(), range(20), display.values)
    np.testing.assert_allclose(at, labels, atol=1e-12)
    np.testing.assert_array_equal(display.ax_.get_xticks(), display.ax_.get_yticks())


@pytest.mark.parametrize("components", [(0, 1), 0])
def test_one_component_is_a_strip(line, components):
    display = ManifoldDisplay.from_estimator(
        line, n=4, components=components, linear_range=1, image_shape=(8, 8)
    )
    decoded = line.inverse_transform(np.linspace(-1, 1, 4)[:, None]).reshape(4, 8, 8)
    np.testing.assert_allclose(shown(display), np.hstack(decoded), rtol=1e-5)


def test_one_tile(images):
    display = ManifoldDisplay.from_estimator(images, n=1, quantile_range=(0.5, 0.6))
    assert shown(display).shape == (8, 8)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n": 0}, "n=0"),
        ({"n": 2.5}, "n=2.5"),
        ({"quantile_range": (0, 0.5)}, "quantile_range="),
        ({"quantile_range": (0.5, 0.5)}, "quantile_range="),
        ({"linear_range": (2, 1)}, "linear_range="),
        ({"linear_range": -1}, "linear_range="),
        ({"image_shape": (8, 9)}, r"image_shape=\(8, 9\)"),
        ({"image_shape": (64,)}, r"image_shape=\(64,\)"),
        ({"image_shape": (8, 4, 2)}, "1, 3 or 4 channels"),
    ],
)
def test_manifold_errors_name_the_argument(images, params, message):
    with pytest.raises(ValueError, match=message):
        ManifoldDisplay.from_estimator(images, **params)
    assert plt.get_fignums() == []


def test_a_table_has_no_manifold_without_a_shape(table):
    with pytest.raises(ValueError, match=r"Pass image_shape=\(height, width\)"):
        ManifoldDisplay.from_estimator(table)


@pytest.mark.parametrize("draw", [DRAW["manifold"], DRAW["reconstruction"]])
def test_imshow_kwargs_replace_defaults(images, draw):
    image = draw(images, imshow_kwargs={"cmap": "magma", "vmax": 0.5}).image_
    assert image.get_cmap().name == "magma"
    assert image.norm.vmax == 0.5
    assert draw(images).image_.get_cmap().name == "gray"


# Reconstructions

LABELLED = ["original", "reconstruction"]


def test_originals_stand_over_reconstructions(images):
    display = ReconstructionDisplay.from_estimator(images, X, n_images=4)
    expected = np.vstack(
        [np.hstack(rows[:4].reshape(4, 8, 8)) for rows in (X, images.reconstruct(X))]
    )
    np.testing.assert_allclose(shown(display), expected, rtol=1e-5)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == LABELLED
    assert list(display.ax_.get_yticks()) == [1, 0]


@pytest.mark.parametrize("kind", [csr_matrix, pd.DataFrame, np.ndarray.tolist, np.asfortranarray])
def test_rows_of_any_kind(line, kind):
    display = ReconstructionDisplay.from_estimator(line, kind(X), n_images=3, image_shape=(8, 8))
    np.testing.assert_array_equal(display.originals, X[:3])
    np.testing.assert_allclose(display.reconstructions, line.reconstruct(X[:3]))


def test_fewer_rows_than_images(images):
    assert len(ReconstructionDisplay.from_estimator(images, X[:2]).originals) == 2


@pytest.mark.parametrize("scale", [1, 255])
def test_colours_fill_the_range_that_imshow_knows(scale):
    rows = COLOURED * scale
    display = ReconstructionDisplay(originals=rows, reconstructions=rows, image_shape=(2, 3, 3))
    image = shown(display.plot())
    top = image[:2, :3].ravel()
    np.testing.assert_allclose(top, rows[0] / (1 if scale == 1 else rows.max()))


@pytest.mark.parametrize(
    ("rows", "limits"),
    [(X / 2, (0, 1)), (X * 16, (0, 16)), (X - 0.5, (-0.5, 1))],
    ids=["dim", "whole", "centred"],
)
def test_black_is_0_and_white_is_1_unless_values_leave_them(rows, limits):
    display = ReconstructionDisplay(originals=rows, reconstructions=rows, image_shape=(8, 8))
    assert display.plot().image_.get_clim() == limits


def test_a_table_is_a_heat_map_with_names(table):
    frame = IRIS.data.assign(**{IRIS.feature_names[0]: 5.0}).iloc[::-20]
    display = ReconstructionDisplay.from_estimator(table, frame)
    image, rows = shown(display), frame.to_numpy()
    assert image.shape == (4, 2 * len(frame))
    np.testing.assert_allclose(image[0, : len(frame)], 0)
    scaled = (table.reconstruct(frame) - rows.mean(0))[:, 1:] / rows.std(0)[1:]
    np.testing.assert_allclose(image[1:, len(frame) :], scaled.T, rtol=1e-6)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == IRIS.feature_names


def test_other_estimators_for_comparison():
    display = ReconstructionDisplay.from_estimator(PCA(n_components=64).fit(X), X, n_images=2)
    np.testing.assert_allclose(display.reconstructions, X[:2], atol=1e-10)


@pytest.mark.parametrize(
    ("params", "message"), [({"n_images": 0}, "n_images=0"), ({"image_shape": (7, 7)}, "7, 7")]
)
def test_reconstruction_errors_name_the_argument(images, params, message):
    with pytest.raises(ValueError, match=message):
        ReconstructionDisplay.from_estimator(images, X, **params)
    assert plt.get_fignums() == []


# The history

TERMS = ("loss", "reconstruction", "kl")


def test_curves_are_the_history(table):
    display = HistoryDisplay.from_estimator(table)
    display.figure_.canvas.draw()
    assert len(display.lines_) == 6
    for name, curve in display.lines_.items():
        sign = -1 if name.endswith("reconstruction") else 1
        np.testing.assert_array_equal(curve.get_xdata(), [row["epoch"] for row in table.history_])
        np.testing.assert_array_equal(
            curve.get_ydata(), [sign * row[name] for row in table.history_]
        )
        assert curve.get_linestyle() == ("--" if name.startswith("valid") else "-")
    loss, kl = display.axes_
    assert loss.get_ylabel() == kl.get_ylabel() == "nats per row"
    assert [line.get_label() for line in kl.lines] == ["KL", "KL, held out"]


def test_history_without_held_out_rows(images):
    curves = HistoryDisplay.from_estimator(images).lines_
    assert list(curves) == [f"train_{name}" for name in TERMS]


def test_history_where_rows_were_held_out_in_some_epochs(table):
    history = [*table.history_, {"epoch": 3} | {f"train_{name}": 1.0 for name in TERMS}]
    display = HistoryDisplay(history=history).plot()
    assert np.isnan(display.lines_["valid_kl"].get_ydata()[-1])
    assert not np.isnan(display.lines_["train_kl"].get_ydata()).any()


def test_history_of_one_epoch_shows_points(images):
    display = HistoryDisplay(history=images.history_[:1]).plot()
    display.figure_.canvas.draw()
    assert {line.get_marker() for line in display.lines_.values()} == {"o"}


def test_history_in_axes_given(images):
    fig, axes = plt.subplots(ncols=2)
    display = HistoryDisplay.from_estimator(images, ax=axes)
    assert list(display.axes_) == list(axes)
    one = HistoryDisplay.from_estimator(images, ax=plt.figure().add_subplot())
    assert one.axes_[0] is one.axes_[1]
    assert len(one.axes_[0].lines) == 3
    assert len(plt.get_fignums()) == 2
    with pytest.raises(ValueError, match=r"^ax holds 3 axes"):
        display.plot([*axes, axes[0]])
    assert display.figure_ is fig


def test_line_kwargs_replace_defaults(images):
    display = HistoryDisplay.from_estimator(images, line_kwargs={"c": "k", "ls": ":", "lw": 5})
    for curve in display.lines_.values():
        assert (curve.get_color(), curve.get_linestyle(), curve.get_linewidth()) == ("k", ":", 5)


def test_history_of_an_unfitted_estimator():
    with pytest.raises(NotFittedError):
        HistoryDisplay.from_estimator(small())
