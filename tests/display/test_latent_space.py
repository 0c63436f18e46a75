"""The scatter plot of the posterior means."""

from string import ascii_uppercase

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgba
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skvae.display import LatentSpaceDisplay
from skvae.display._drawing import PALETTE
from tests.display.models import IRIS, LABELS, X, small


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


@pytest.mark.parametrize("components", [(0, 3), (-1, 0), (1, 1), (0, 1, 2, 0), (), 3])
def test_components_that_are_not_there(images, components):
    with pytest.raises(ValueError, match=r"^components=.* distinct components out of 0, ..., 2"):
        LatentSpaceDisplay.from_estimator(images, X, components=components)
    assert plt.get_fignums() == []


def test_y_of_another_length(images):
    with pytest.raises(ValueError, match=r"^y has 9 values, but X has 300 rows\. Pass"):
        LatentSpaceDisplay.from_estimator(images, X, LABELS[:9])
    assert plt.get_fignums() == []


def test_a_dense_plot_has_smaller_and_fainter_points():
    Z = np.random.default_rng(0).normal(size=(50_000, 2))
    few = LatentSpaceDisplay(Z=Z[:500], components=(0, 1)).plot().scatter_
    many = LatentSpaceDisplay(Z=Z, components=(0, 1)).plot().scatter_
    assert many.get_sizes() < few.get_sizes() / 10
    assert many.get_alpha() < few.get_alpha() / 2


# More components


@pytest.mark.parametrize("y", [None, LABELS, X.sum(axis=1)], ids=["none", "classes", "quantity"])
def test_three_components_are_a_pair_grid(images, y):
    display = LatentSpaceDisplay.from_estimator(images, X, y, components=(2, 0, 1))
    Z = images.transform(X)[:, [2, 0, 1]]
    for scatter, (i, j) in zip(display.scatter_, [(1, 0), (2, 0), (2, 1)], strict=True):
        np.testing.assert_array_equal(scatter.get_offsets(), Z[:, [j, i]])
        assert scatter.axes is display.axes_[i, j]
    assert [panel.get_xlabel() for panel in display.axes_[2]] == [
        f"component {k}" for k in (2, 0, 1)
    ]
    assert [panel.get_ylabel() for panel in display.axes_[1:, 0]] == ["component 0", "component 1"]
    assert all(display.axes_[pair] is None for pair in [(0, 1), (0, 2), (1, 2)])
    assert len({panel.get_xlim() for panel in display.axes_.flat if panel}) == 1
    assert (display.legend_ is not None) == (y is LABELS)
    assert (display.colorbar_ is not None) == (y is not None and y is not LABELS)
    display.figure_.canvas.draw()


def test_the_diagonal_holds_a_density_for_each_class(images):
    display = LatentSpaceDisplay.from_estimator(images, X, LABELS % 3, components=range(3))
    Z = images.transform(X)
    for k, drawn in enumerate(display.histograms_):
        assert len(drawn) == 3
        for label, stairs in enumerate(drawn):
            density, edges, _ = stairs.get_data()
            np.testing.assert_allclose((density * np.diff(edges)).sum(), 1)
            mean = (density * (edges[1:] + edges[:-1]) / 2 * np.diff(edges)).sum()
            within = edges[1] - edges[0]
            assert abs(mean - Z[label == LABELS % 3, k].mean()) < within / 2
            assert stairs.get_edgecolor()[:3] == to_rgba(PALETTE[label])[:3]


def test_a_pair_grid_takes_the_place_of_its_axes(images):
    fig, (left, right) = plt.subplots(ncols=2, layout="constrained")
    display = LatentSpaceDisplay.from_estimator(images, X, components=range(3), ax=right)
    fig.canvas.draw()
    assert not right.axison
    for panel in display.axes_[np.tril_indices(3)]:
        assert panel.get_position().x0 > left.get_position().x1
    with pytest.raises(ValueError, match="ax is not a subplot"):
        display.plot(fig.add_axes((0, 0, 1, 1)))


def test_a_pair_grid_takes_the_colours_given(images):
    display = LatentSpaceDisplay.from_estimator(
        images, X, LABELS, components=range(3), scatter_kwargs={"color": "red"}
    )
    assert display.legend_ is None
    assert (display.scatter_[0].get_facecolors()[:, :3] == to_rgba("red")[:3]).all()
    assert [len(drawn) for drawn in display.histograms_] == [1, 1, 1]
    assert display.histograms_[0][0].get_edgecolor() == to_rgba("red")
    mapped = LatentSpaceDisplay.from_estimator(
        images, X, LABELS, components=range(3), scatter_kwargs={"cmap": "plasma", "vmax": 20}
    )
    expected = plt.get_cmap("plasma")(np.arange(10) / 20)
    colours = [stairs.get_edgecolor() for stairs in mapped.histograms_[1]]
    np.testing.assert_allclose(colours, expected)


# Projections


def test_a_projection_shows_all_components(images):
    display = LatentSpaceDisplay.from_estimator(images, X, LABELS, projection=PCA(2))
    Z = images.transform(X)
    np.testing.assert_allclose(display.Z, PCA(2).fit_transform(Z))
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("pca0", "pca1")
    some = LatentSpaceDisplay.from_estimator(images, X, projection=PCA(1), components=(2, 1))
    np.testing.assert_allclose(some.Z, PCA(1).fit_transform(Z[:, [2, 1]]))
    assert some.ax_.get_xlabel() == "pca0"


def test_the_projection_itself_stays_as_it_is(images):
    projection = TSNE(perplexity=5, max_iter=250, init="pca", random_state=0)
    display = LatentSpaceDisplay.from_estimator(images, X[:30], projection=projection)
    assert display.Z.shape == (30, 2)
    assert not hasattr(projection, "embedding_")
    with pytest.raises(TypeError, match=r"^projection='tsne' has no fit_transform"):
        LatentSpaceDisplay.from_estimator(images, X, projection="tsne")


# The posterior spread


def spans(ellipses):
    """Return width and height of ellipses in the units of the axes."""
    return np.c_[ellipses.get_widths(), ellipses.get_heights()]


def test_ellipses_have_the_standard_deviations_asked_for(images):
    display = LatentSpaceDisplay.from_estimator(
        images, X, LABELS, components=(2, 0), ellipses=1.5, max_ellipses=None
    )
    loc, scale = images.posterior(X)
    np.testing.assert_allclose(display.ellipses_.get_offsets(), loc[:, [2, 0]])
    np.testing.assert_allclose(spans(display.ellipses_), 3 * scale[:, [2, 0]], rtol=1e-6)
    np.testing.assert_allclose(
        display.ellipses_.get_edgecolors()[:, :3], display.scatter_.get_facecolors()[:, :3]
    )
    low, high = display.ax_.get_xlim()
    assert low < (loc - 1.5 * scale)[:, 2].min()
    assert (loc + 1.5 * scale)[:, 2].max() < high


def test_ellipses_are_thinned_evenly(images):
    display = LatentSpaceDisplay.from_estimator(images, X, ellipses=1, max_ellipses=24)
    np.testing.assert_allclose(
        display.ellipses_.get_offsets(),
        images.transform(X)[np.linspace(0, 299, 24).round().astype(int), :2],
    )
    few = LatentSpaceDisplay.from_estimator(images, X[:7], ellipses=1, max_ellipses=24)
    assert len(few.ellipses_.get_offsets()) == 7


def test_ellipses_in_a_pair_grid_and_behind_a_pipeline(pipe):
    display = LatentSpaceDisplay.from_estimator(
        pipe, IRIS.data, components=range(3), ellipses=1, max_ellipses=None
    )
    loc, scale = pipe[-1].posterior(pipe[:-1].transform(IRIS.data))
    np.testing.assert_allclose(display.Z, loc)
    for ellipses, (i, j) in zip(display.ellipses_, [(1, 0), (2, 0), (2, 1)], strict=True):
        np.testing.assert_allclose(spans(ellipses), 2 * scale[:, [j, i]], rtol=1e-6)


@pytest.mark.parametrize("y", [None, LABELS % 3, X.sum(axis=1)], ids=["none", "classes", "value"])
def test_lines_along_a_strip(line, y):
    display = LatentSpaceDisplay.from_estimator(line, X, y, ellipses=2, max_ellipses=50)
    rows = np.linspace(0, 299, 50).round().astype(int)
    loc, scale = (moment[rows] for moment in line.posterior(X))
    segments = np.array(display.ellipses_.get_segments())
    np.testing.assert_allclose(segments[:, :, 0], np.c_[loc - 2 * scale, loc + 2 * scale])
    heights = np.zeros(300) if y is None else y
    apart = np.abs(segments[:, 0, 1] - heights[rows])
    assert apart.max() < 0.5
    if y is not None and y.dtype.kind == "f":
        assert apart.max() == 0
    else:  # no line lies on another
        assert len(np.unique(segments[:, 0, 1])) == 50


@pytest.mark.parametrize("components", [(0, 1), 0])
def test_ellipse_kwargs_replace_defaults(images, components):
    display = LatentSpaceDisplay.from_estimator(
        images, X, components=components, ellipses=1, ellipse_kwargs={"color": "red", "lw": 3}
    )
    assert (display.ellipses_.get_edgecolors()[:, :3] == to_rgba("red")[:3]).all()
    assert display.ellipses_.get_linewidths() == [3]
    assert len(display.ellipses_.get_facecolors()) == 0


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"ellipses": 0}, ValueError, r"^ellipses=0 must be a positive number"),
        ({"ellipses": 1, "max_ellipses": 0}, ValueError, "^max_ellipses=0"),
        ({"ellipses": 1, "projection": PCA(2)}, ValueError, "Leave one of them out"),
    ],
)
def test_spread_errors_name_the_argument(images, params, error, message):
    with pytest.raises(error, match=message):
        LatentSpaceDisplay.from_estimator(images, X, **params)
    assert plt.get_fignums() == []


def test_spread_of_what_has_none(images):
    with pytest.raises(TypeError, match="PCA, which has no posterior, which ellipses are drawn"):
        LatentSpaceDisplay.from_estimator(PCA(2).fit(X), X, ellipses=1)
    with pytest.raises(ValueError, match="Pass ellipses to from_estimator"):
        LatentSpaceDisplay.from_estimator(images, X).plot(ellipses=1)
