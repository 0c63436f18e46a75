"""The page of explore, by what is in the file and by what a real browser does with it."""

import base64
import copy
import html
import io
import itertools
import json
import os
import pickle
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib.colors import to_rgb
from matplotlib.path import Path as MplPath
from PIL import Image
from scipy.interpolate import RegularGridInterpolator
from scipy.sparse import coo_array
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

import skvae
from skvae import VariationalAutoencoder
from skvae._explore import _panels, _written
from skvae.display._drawing import PALETTE

X, DIGITS = load_digits(return_X_y=True)
X, DIGITS = X[:300] / 16, DIGITS[:300]
IRIS, SPECIES = load_iris(return_X_y=True, as_frame=True)
NASTY = ["</script><script>document.title='owned'</script>", "<img src=x onerror=alert(1)>", "&lt;"]
GRID = 5


def small(**params):
    params = {"max_epochs": 3, "hidden_layer_sizes": (8,), "random_state": 0, "beta": 0.01} | params
    return VariationalAutoencoder(**params, conv_channels=(4,))


@pytest.fixture(scope="module")
def images():
    return small(image_shape=(8, 8)).fit(X)


@pytest.fixture(scope="module")
def tall():
    """Colours, not square, of four components."""
    rows = np.random.default_rng(0).random((60, 6 * 4 * 3))
    return small(image_shape=(6, 4, 3), n_components=4).fit(rows), rows


@pytest.fixture(scope="module")
def table():
    return small().fit(IRIS)


@pytest.fixture(scope="module")
def line():
    return small(n_components=1).fit(IRIS)


def contents(path):
    """Return what the scripts of a page read."""
    text = re.search(
        r'<script id="contents" type="application/json">(.*?)</script>', path.read_text()
    )
    return json.loads(text[1])


def numbers(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


def sheet(source):
    """Return a picture of the page."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))


# The file


def test_returns_the_path_and_replaces_the_file(images, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("before")
    assert skvae.explore(images, X, path=str(path), grid=GRID) == path
    assert path.read_text().startswith("<!doctype html>")


def test_a_notebook_shows_the_page(images, tmp_path, monkeypatch):
    page = skvae.explore(images, X, path=tmp_path / "page.html", grid=GRID, title="Digits & <more>")
    frame = page._repr_html_()
    assert 'title="Digits &amp; &lt;more&gt;"' in frame
    (content,) = re.findall(r' srcdoc="([^"]*)"', frame)
    assert html.unescape(content) == page.read_text()
    monkeypatch.setattr(_written, "LARGEST", page.stat().st_size - 1)
    assert page._repr_html_() is None
    page.unlink()
    assert page._repr_html_() is None


def test_what_is_returned_is_a_path(images, tmp_path):
    path = tmp_path / "page.html"
    page = skvae.explore(images, X, path=path, grid=GRID)
    assert isinstance(page, Path)
    assert (repr(page), str(page), os.fspath(page)) == (repr(path), str(path), str(path))
    assert {page: 1}[path] == 1
    assert page.parent / "page.html" == path
    assert page.with_name("page.html")._repr_html_() is None
    assert pickle.loads(pickle.dumps(page)) == copy.deepcopy(page) == path


def test_holds_the_posterior_means_and_every_row(images, tmp_path):
    page = contents(skvae.explore(images, X, path=tmp_path / "page.html", grid=GRID))
    points = numbers(page["plane"]["points"], "<f4").reshape(-1, 2)
    np.testing.assert_allclose(points, images.transform(X), rtol=1e-6)
    tiles = sheet(page["pictures"]["rows"]["sources"][0]).reshape(-1, 8, 18, 8).swapaxes(1, 2)
    np.testing.assert_array_equal(tiles.reshape(-1, 64)[:300], (X * 255).round())
    assert (tiles.reshape(-1, 64)[300:] == 0).all()


def test_asks_the_decoder_at_the_nodes_from_the_top_left(images, tmp_path):
    page = contents(skvae.explore(images, X, path=tmp_path / "page.html", grid=GRID))
    (left, right), (bottom, top) = page["plane"]["pairs"][0]["ends"]
    places = [
        (x, y) for y in np.linspace(top, bottom, GRID) for x in np.linspace(left, right, GRID)
    ]
    decoded = (
        sheet(page["pictures"]["decoded"]["sources"][0]).reshape(GRID, 8, GRID, 8).swapaxes(1, 2)
    )
    expected = images.inverse_transform(places) * 255
    np.testing.assert_allclose(decoded.reshape(-1, 64), expected, atol=0.51)


def test_both_axes_have_one_scale_and_all_rows_are_inside(images, tmp_path):
    page = contents(skvae.explore(images, X, path=tmp_path / "page.html", grid=GRID))
    ends = np.array(page["plane"]["pairs"][0]["ends"])
    assert np.ptp(ends[0]) == pytest.approx(np.ptp(ends[1]))
    Z = images.transform(X)
    assert (Z.min(axis=0) > ends[:, 0]).all()
    assert (Z.max(axis=0) < ends[:, 1]).all()


def test_one_row_alone_has_a_plane(images, tmp_path):
    page = contents(skvae.explore(images, X[:1], path=tmp_path / "page.html", grid=GRID))
    assert np.ptp(page["plane"]["pairs"][0]["ends"], axis=1) == pytest.approx([2, 2])


def test_shows_the_most_active_components_and_holds_the_others_at_zero(tall, tmp_path):
    vae, rows = tall
    first, second = np.sort(np.argsort(vae.kl_per_component_)[-2:])
    path = skvae.explore(vae, rows, path=tmp_path / "page.html", grid=2)
    third, fourth = np.argsort(vae.kl_per_component_)[1::-1]
    text = path.read_text()
    assert f"components {first}, {second}, {third} and {fourth}, the 4 most active, two at" in text
    assert "the other 2 are held at 0" in text
    Z = np.zeros((1, 4))
    page = contents(path)
    Z[0, [first, second]] = [low for low, _ in page["plane"]["pairs"][0]["ends"]]
    corner = sheet(page["pictures"]["decoded"]["sources"][0])[6:, :4] / 255
    decoded = vae.inverse_transform(Z)[0].clip(0, 1)  # a picture ends at black and white
    np.testing.assert_allclose(corner.ravel(), decoded, atol=0.51 / 255)


def test_components_can_be_chosen(tall, tmp_path):
    vae, rows = tall
    path = skvae.explore(vae, rows, path=tmp_path / "page.html", components=(3, 0), grid=2)
    assert "components 3 and 0 of 4." in path.read_text()
    (pair,) = contents(path)["plane"]["pairs"]
    assert pair["components"] == [3, 0]
    points = numbers(contents(path)["plane"]["points"], "<f4").reshape(-1, 4)
    np.testing.assert_allclose(points, vae.transform(rows), rtol=1e-6)


@pytest.mark.parametrize("kind", [coo_array, pl.DataFrame, pd.DataFrame, np.ndarray.tolist])
def test_rows_may_be_of_any_kind_that_estimators_take(tmp_path, kind):
    rows = kind(IRIS.to_numpy())
    page = contents(skvae.explore(small().fit(rows), rows, path=tmp_path / "page.html", grid=2))
    np.testing.assert_allclose(numbers(page["table"]["rows"], "<f4"), IRIS.to_numpy().ravel())


def test_bytes_are_shown_as_the_floats_they_stand_for(tmp_path):
    rows = (X * 255).astype(np.uint8)
    vae = small(image_shape=(8, 8)).fit(rows)
    page = contents(skvae.explore(vae, rows, path=tmp_path / "page.html", grid=2))["pictures"]
    np.testing.assert_array_equal(sheet(page["rows"]["sources"][0])[:8, :8].ravel(), rows[0])
    assert page["note"] == ""


def test_values_outside_0_and_1_share_one_scale(tmp_path):
    vae = small(image_shape=(8, 8), likelihood="gaussian").fit(8 * X - 4)
    page = contents(skvae.explore(vae, 8 * X - 4, path=tmp_path / "page.html", grid=2))["pictures"]
    rows = sheet(page["rows"]["sources"][0])
    assert (rows.min(), rows.max()) == (0, 255)
    assert page["note"] == "Black is -4, white 4."


def test_many_or_large_pictures_are_made_smaller_by_means(images, tmp_path, monkeypatch):
    monkeypatch.setattr(_panels, "MAX_PIXELS", 300 * 8)
    page = contents(skvae.explore(images, X, path=tmp_path / "page.html", grid=2))["pictures"]
    assert page["rows"]["size"] == [3, 3]
    assert page["rows"]["note"] == "shown at 1/3 of 8 × 8 pixels"
    small_one, whole = sheet(page["rows"]["sources"][0])[:3, :3] / 255, X[0].reshape(8, 8)
    assert small_one[0, 0] == pytest.approx(whole[:3, :3].mean(), abs=1 / 255)
    assert small_one[2, 1] == pytest.approx(whole[6:, 3:6].mean(), abs=1 / 255)
    assert page["decoded"]["size"] == [8, 8]


def test_a_table_has_values_and_names(table, tmp_path):
    page = contents(skvae.explore(table, IRIS, path=tmp_path / "page.html", grid=GRID))["table"]
    assert [feature["name"] for feature in page["features"]] == list(IRIS.columns)
    np.testing.assert_allclose(numbers(page["rows"], "<f4").reshape(-1, 4), IRIS, rtol=1e-6)
    ends = np.array([feature["ends"] for feature in page["features"]])
    np.testing.assert_allclose(ends.T, [IRIS.min(), IRIS.max()])


def test_of_a_wide_table_the_features_that_change_are_shown(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 50))
    together = [7, *range(40, 50)]
    rows[:, together] += 5 * rng.normal(size=(300, 1))
    rows[:, 0] *= 1000  # in small units, and alone
    rows[:, 3] = 5.0
    pipe = make_pipeline(StandardScaler(), PCA(1)).fit(rows)
    page = contents(skvae.explore(pipe, rows, path=tmp_path / "page.html", grid=GRID))["table"]
    names = [feature["name"] for feature in page["features"]]
    assert len(names) == 32
    assert {f"feature {k}" for k in together} < set(names)
    assert "feature 3" not in names
    assert page["note"] == "The 32 of 50 features that change most over the plane."
    first = int(names[0].split()[1])
    np.testing.assert_allclose(numbers(page["rows"], "<f4")[::32], rows[:, first], rtol=1e-6)


def test_categories_have_their_names(tmp_path):
    frame = IRIS.iloc[:, :2].assign(kind=pd.Categorical.from_codes(SPECIES, ["a", "b", "c"]))
    vae = small(likelihood="mixed").fit(frame)
    page = contents(skvae.explore(vae, frame, path=tmp_path / "page.html", grid=2))["table"]
    assert page["features"][2]["levels"] == ["a", "b", "c"]
    assert page["features"][0]["levels"] == []
    np.testing.assert_array_equal(numbers(page["rows"], "<f4")[2::3], SPECIES)


def test_a_pipeline_shows_the_units_of_X(tmp_path):
    pipe = make_pipeline(MinMaxScaler(), small()).fit(IRIS)
    page = contents(skvae.explore(pipe, IRIS, path=tmp_path / "page.html", grid=2))
    np.testing.assert_allclose(numbers(page["table"]["rows"], "<f4"), IRIS.to_numpy().ravel())
    corner = [[low for low, _ in page["plane"]["pairs"][0]["ends"]]]
    expected = pipe.inverse_transform(np.array(corner))[0]
    np.testing.assert_allclose(numbers(page["table"]["decoded"], "<f4")[:4], expected, rtol=1e-5)


def test_without_kl_the_variance_tells_what_is_active(tmp_path):
    pca = PCA(3).fit(IRIS)
    path = skvae.explore(pca, IRIS, path=tmp_path / "page.html", grid=2)
    assert "components 0, 1 and 2, the 3 most active" in path.read_text()


@pytest.mark.parametrize(
    ("labels", "texts", "n_colours"),
    [
        (None, [""], 0),
        (SPECIES.to_numpy() == 1, ["False", "True"], 2),
        (SPECIES * 5, ["0", "5", "10"], 3),
        ([f"row {k:03}" for k in range(150)], [f"row {k:03}" for k in range(150)], 0),
    ],
)
def test_labels_are_classes_or_names(table, tmp_path, labels, texts, n_colours):
    (column,) = contents(skvae.explore(table, IRIS, labels, tmp_path / "page.html", grid=2))[
        "columns"
    ]
    assert column["texts"] == texts
    assert len(column["colours"]) == n_colours
    if labels is not None:
        shown = np.array(column["texts"])[numbers(column["codes"], "<u4")]
        assert shown.tolist() == [str(label) for label in labels]


def test_a_quantity_may_be_missing(table, tmp_path):
    labels = np.linspace(0, 1, 150)
    labels[3] = np.nan
    page = contents(skvae.explore(table, IRIS, labels, tmp_path / "page.html", grid=2))
    (column,) = page["columns"]
    np.testing.assert_array_equal(numbers(column["values"], "<f4"), labels.astype(np.float32))
    assert column["ends"] == [0, 1]


@pytest.mark.parametrize(
    "pack",
    [
        lambda columns: columns,
        pd.DataFrame,
        pl.DataFrame,
        lambda columns: np.array(list(columns.values()), object).T,
        lambda columns: list(zip(*columns.values(), strict=True)),
    ],
)
def test_labels_may_be_several_columns(table, tmp_path, pack):
    labels = {"species": SPECIES.map({0: "a", 1: "b", 2: "c"}).tolist(), "width": [0.5] * 150}
    packed = pack(labels)
    page = contents(skvae.explore(table, IRIS, packed, tmp_path / "page.html", grid=2))
    first, second = page["columns"]
    named = ["species", "width"] if hasattr(packed, "keys") or hasattr(packed, "columns") else None
    assert [first["title"], second["title"]] == (named or ["label 0", "label 1"])
    assert first["texts"] == ["a", "b", "c"]
    np.testing.assert_array_equal(numbers(first["codes"], "<u4"), SPECIES)
    assert second["ends"] == [0.5, 0.5]


def test_there_is_a_grid_for_each_pair_of_components(tall, tmp_path):
    vae, rows = tall
    page = contents(
        skvae.explore(vae, rows, path=tmp_path / "a.html", components=(2, 0, 3), grid=2)
    )
    pairs = page["plane"]["pairs"]
    assert [pair["components"] for pair in pairs] == [[2, 0], [2, 3], [0, 3]]
    for pair, source in zip(pairs, page["pictures"]["decoded"]["sources"], strict=True):
        Z = np.zeros((1, 4))
        Z[0, pair["components"]] = [low for low, _ in pair["ends"]]
        expected = vae.inverse_transform(Z)[0].clip(0, 1)
        np.testing.assert_allclose(sheet(source)[6:, :4].ravel() / 255, expected, atol=0.51 / 255)


@pytest.fixture(scope="module")
def told():
    """Digits, given which they are."""
    vae = VariationalAutoencoder(
        2, hidden_layer_sizes=(16,), max_epochs=20, random_state=0, image_shape=(8, 8)
    )
    return skvae.ConditionalVAE(vae).fit(X, DIGITS)


def test_a_condition_has_a_grid_for_each_of_its_categories(told, tmp_path):
    page = contents(skvae.explore(told, X, DIGITS, tmp_path / "page.html", grid=2))
    assert page["conditions"] == [{"title": "y", "names": [str(digit) for digit in range(10)]}]
    corner = [[low for low, _ in page["plane"]["pairs"][0]["ends"]]]
    for digit, source in enumerate(page["pictures"]["decoded"]["sources"]):
        expected = told.inverse_transform(corner, condition=digit)[0]
        np.testing.assert_allclose(sheet(source)[8:, :8].ravel() / 255, expected, atol=0.51 / 255)


def test_conditions_that_are_columns_of_X(tmp_path):
    frame = IRIS.assign(lab=np.where(np.arange(150) % 2, "here", "there"), on=SPECIES > 0)
    model = skvae.ConditionalVAE(small(), condition=["lab", "on"]).fit(frame)
    page = contents(skvae.explore(model, frame, path=tmp_path / "page.html", grid=2))
    assert page["conditions"] == [
        {"title": "lab", "names": ["here", "there"]},
        {"title": "on", "names": ["False", "True"]},
    ]
    assert [feature["name"] for feature in page["table"]["features"]] == list(IRIS.columns)
    Z = numbers(page["plane"]["points"], "<f4").reshape(-1, 2)
    np.testing.assert_allclose(Z, model.transform(frame), rtol=1e-6)
    np.testing.assert_allclose(numbers(page["table"]["rows"], "<f4"), IRIS.to_numpy().ravel())
    corner = [[low for low, _ in page["plane"]["pairs"][0]["ends"]]]
    decoded = numbers(page["table"]["decoded"], "<f4").reshape(2, 2, 4, 4)
    for (k, lab), (j, on) in itertools.product(enumerate(["here", "there"]), enumerate([0, 1])):
        expected = model.inverse_transform(corner, condition=(lab, bool(on)))[0]
        np.testing.assert_allclose(decoded[k, j, 0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.linspace(0, 1, 150), r"conditions \['y'\].*explore\(model.given"),
        (np.arange(150) % 50, "has 50 conditions"),
    ],
)
def test_conditions_that_are_no_choice_are_refused(tmp_path, y, message):
    model = skvae.ConditionalVAE(small()).fit(IRIS, y)
    with pytest.raises(ValueError, match=message):
        skvae.explore(model, IRIS, path=tmp_path / "page.html")
    assert skvae.explore(model.given(y[9]), IRIS, path=tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": [1, 2]}, r"labels has the shape \(2,\), but X has 150 rows"),
        ({"labels": np.zeros((149, 2))}, r"labels has the shape \(149, 2\)"),
        ({"labels": np.zeros((150, 2, 2))}, r"labels has the shape \(150, 2, 2\)"),
        ({"labels": np.zeros((150, 0))}, r"labels has the shape \(150, 0\)"),
        ({"labels": {"a": [1] * 150, "b": [1] * 149}}, "labels has the shape"),
        ({"components": (0, 2)}, r"components=\(0, 2\) must be distinct components"),
        ({"grid": 1}, "grid=1 must be a whole number of at least 2"),
        ({"image_shape": (3, 3)}, r"image_shape=\(3, 3\) does not make pictures"),
        ({"X": IRIS.iloc[:, :3]}, "names should match"),
    ],
)
def test_says_what_is_wrong_and_writes_nothing(table, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        skvae.explore(table, **{"X": IRIS, "path": tmp_path / "page.html"} | arguments)
    assert not list(tmp_path.iterdir())


def test_refuses_an_unfitted_estimator(tmp_path):
    with pytest.raises(NotFittedError):
        skvae.explore(small(), IRIS, path=tmp_path / "page.html")


# The page in a browser


def program(name):
    """Return where a program is; where it may not be missing, that is a failure."""
    path = shutil.which(name)
    if path is None:
        give_up = pytest.fail if os.environ.get("SKVAE_BROWSER") == "required" else pytest.skip
        give_up(
            f"{name} is not installed. These tests look at pages in a real browser: "
            "apt-get install chromium chromium-driver"
        )
    return path


@pytest.mark.parametrize(
    ("value", "outcome"), [("required", pytest.fail.Exception), ("", pytest.skip.Exception)]
)
def test_a_missing_browser_is_a_reason_to_skip_or_to_fail(monkeypatch, value, outcome):
    monkeypatch.setenv("SKVAE_BROWSER", value)
    with pytest.raises(outcome, match="no-such-browser is not installed"):
        program("no-such-browser")


FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
DESKTOP = {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium")
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(program("chromedriver"))
    driver = webdriver.Chrome(options, service)
    yield driver
    driver.quit()


class Page:
    """A page in the browser, as someone in front of it would use it."""

    def __init__(self, driver, path, device):
        self.driver = driver
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
        driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": device["mobile"]})
        driver.get_log("browser"), driver.get_log("performance")
        driver.get(path.as_uri())
        self.wait_until_ready()

    @classmethod
    def inside(cls, driver):
        """Return the page in the frame that the browser looks at."""
        page = cls.__new__(cls)
        page.driver = driver
        page.wait_until_ready()
        return page

    def wait_until_ready(self):
        self.wait_for("performance.getEntriesByName('ready').length")
        self.plane = self.element("#pointer")

    def script(self, code, *arguments):
        return self.driver.execute_script(f"return {code}", *arguments)

    def wait_for(self, condition):
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, 10, 0.02).until(lambda _: self.script(condition))

    def element(self, selector):
        return self.driver.find_element("css selector", selector)

    def elements(self, selector):
        return self.driver.find_elements("css selector", selector)

    def text(self, selector):
        return self.element(selector).text

    def hover(self, x, y):
        """Move the mouse to a pixel of the plane, counted from its top left."""
        from selenium.webdriver.common.action_chains import ActionChains

        size = self.plane.size
        offset = round(x - size["width"] / 2), round(y - size["height"] / 2)
        ActionChains(self.driver, duration=0).move_to_element_with_offset(
            self.plane, *offset
        ).perform()

    def press(self, *keys, shift=False):
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        actions = ActionChains(self.driver)
        held = actions.key_down(Keys.SHIFT) if shift else actions
        held.send_keys(*keys).key_up(Keys.SHIFT).perform()

    @property
    def place(self):
        """Where the pointer is."""
        return np.array([float(self.plane.get_attribute(f"data-{axis}")) for axis in "xy"])

    @property
    def row(self):
        return int(self.plane.get_attribute("data-row"))

    def hover_at(self, place):
        """Move the mouse to a latent point."""
        self.hover(*self.pixel_of(place))

    def pixel_of(self, place):
        """Return the pixel of a latent point, found from where two other pixels are."""
        pixels = np.array([[150.0, 150.0], [350.0, 350.0]])
        places = []
        for pixel in pixels:
            self.hover(*pixel)
            places.append(self.place)
        scale = (pixels[1] - pixels[0]) / (places[1] - places[0])
        return (pixels[0] + (place - places[0]) * scale).round().astype(int)

    @property
    def corner(self):
        """Where the top left of the plane is on the screen."""
        code = "(({x, y}) => [x, y])(arguments[0].getBoundingClientRect())"
        return self.script(code, self.plane)

    def pixels(self, canvas):
        """Return a canvas as an array of red, green, blue and alpha."""
        return sheet(self.script(f"document.getElementById('{canvas}').toDataURL()")).astype(int)


@pytest.fixture
def open_page(driver, tmp_path):
    def open_page(*arguments, device=DESKTOP, **keywords):
        keywords = {"grid": GRID, "path": tmp_path / "page.html"} | keywords
        return Page(driver, skvae.explore(*arguments, **keywords), device)

    return open_page


def requests(driver):
    """Return what was fetched since the page was opened, but for what its policy refused."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [event for event in events if event["method"] == "Network.requestWillBeSent"]
    refused = [event["params"] for event in events if event["method"] == "Network.loadingFailed"]
    ids = {params["requestId"] for params in refused if params.get("blockedReason") == "csp"}
    sent = [event["params"] for event in sent if event["params"]["requestId"] not in ids]
    ours = [params for params in sent if not params["documentURL"].startswith("chrome:")]  # new tab
    return [params["request"]["url"] for params in ours]


@pytest.mark.parametrize("kind", ["images", "table", "line"])
def test_opens_without_errors_and_fetches_nothing(kind, request, driver, open_page):
    rows, labels = (X, DIGITS) if kind == "images" else (IRIS, SPECIES)
    page = open_page(request.getfixturevalue(kind), rows, labels)
    page.hover(200, 200)
    assert driver.get_log("browser") == []
    fetched = [url for url in requests(driver) if not url.startswith("data:")]
    assert fetched == [page.script("location.href")]


def test_the_policy_forbids_the_network_and_other_scripts(images, driver, open_page):
    page = open_page(images, X)
    page.script(
        """(window.refused = [], window.ran = false,
        document.onsecuritypolicyviolation = (e) => refused.push(e.effectiveDirective),
        new Image().src = "http://127.0.0.1:9/", fetch("http://127.0.0.1:9/").catch(() => 0),
        document.body.append(Object.assign(document.createElement("script"),
                                           { textContent: "window.ran = true" })))"""
    )
    page.wait_for("refused.length >= 3")
    refused = set(page.script("refused"))
    assert refused == {"img-src", "connect-src", "script-src-elem"}
    assert page.script("window.ran") is False
    assert not [url for url in requests(driver) if url.startswith("http")]


def loneliest(Z):
    """Return the row whose nearest neighbour is farthest."""
    distances = np.linalg.norm(Z[:, None] - Z, axis=-1)
    return (distances + np.diag(np.full(len(Z), np.inf))).min(0).argmax()


def test_hovering_over_a_row_shows_its_picture_and_its_label(images, open_page):
    page = open_page(images, X, DIGITS)
    Z = images.transform(X)
    row = loneliest(Z)
    page.hover_at(Z[row])
    assert page.row == row
    assert page.text("#label") == str(DIGITS[row])
    assert page.text("#number") == f"row {row}"
    shown = page.pixels("row")
    assert (shown[..., 3] == 255).all()
    np.testing.assert_array_equal(shown[..., 1].ravel(), (X[row] * 255).round())
    colour = page.element("#swatch").value_of_css_property("background-color")
    named = np.array(re.findall(r"\d+", colour)[:3], float) / 255
    np.testing.assert_allclose(named, to_rgb(PALETTE[DIGITS[row]]), atol=1e-6)


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_at_a_node_the_picture_is_what_the_decoder_says(images, open_page, corner):
    page = open_page(images, X)
    size = page.plane.size["width"]
    page.hover(*[2 + end * (size - 5) for end in corner])  # in the margin: as at the edge
    ends = page.script("JSON.parse(contents.textContent)")["plane"]["pairs"][0]["ends"]
    place = [ends[0][corner[0]], ends[1][1 - corner[1]]]
    np.testing.assert_allclose(page.place, place)
    expected = images.inverse_transform([place])[0] * 255
    np.testing.assert_allclose(page.pixels("decoded")[..., 0].ravel(), expected, atol=0.51)


def bilinear(vae, page, place):
    """Return what lies between the nodes, by scipy."""
    axes = [np.linspace(*ends, GRID) for ends in contents(page)["plane"]["pairs"][0]["ends"]]
    Z = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    decoded = vae.inverse_transform(Z.reshape(-1, 2)).reshape(GRID, GRID, -1)
    return RegularGridInterpolator(axes, decoded)(place)[0]


@pytest.mark.parametrize("pixel", [(90, 123), (300, 300), (444, 111), (321, 499)])
def test_between_nodes_the_picture_is_interpolated(images, open_page, tmp_path, pixel):
    page = open_page(images, X)
    page.hover(*pixel)
    expected = bilinear(images, tmp_path / "page.html", page.place) * 255
    shown = page.pixels("decoded")
    np.testing.assert_allclose(shown[..., 0].ravel(), expected, atol=1.01)
    assert (shown[..., 3] == 255).all()
    assert np.ptp(expected) > 10


def test_colours_of_rows_and_of_what_is_decoded(tall, open_page):
    vae, rows = tall
    page = open_page(vae, rows, components=(1, 3))
    page.hover(2, 2)
    Z = np.zeros((1, 4))
    Z[0, [1, 3]] = page.place
    decoded, row = (page.pixels(name)[..., :3].ravel() for name in ("decoded", "row"))
    expected = vae.inverse_transform(Z)[0].clip(0, 1) * 255
    np.testing.assert_allclose(decoded, expected, atol=0.51)
    np.testing.assert_array_equal(row, (rows[page.row] * 255).round())


def test_the_keyboard_does_all_that_the_mouse_does(images, open_page):
    from selenium.webdriver.common.keys import Keys

    page = open_page(images, X, DIGITS)
    start, Z = page.place, images.transform(X)
    page.press(Keys.TAB, Keys.TAB)  # past the box to find a row
    assert page.driver.switch_to.active_element == page.plane
    assert page.plane.value_of_css_property("outline-style") == "solid"
    before = page.pixels("decoded")
    page.press(Keys.ARROW_RIGHT)
    step = page.place - start
    assert step[0] > 0
    page.press(Keys.ARROW_UP)
    np.testing.assert_allclose(page.place - start, [step[0], step[0]])
    page.press(Keys.ARROW_LEFT, Keys.ARROW_DOWN, shift=True)
    np.testing.assert_allclose(page.place - start, [-9 * step[0], -9 * step[0]])
    assert (page.pixels("decoded") != before).any()
    page.press(Keys.ENTER)
    np.testing.assert_allclose(page.place, Z[page.row], rtol=1e-6)
    row = page.row
    page.press("n", "n")
    np.testing.assert_allclose(page.place, Z[(row + 2) % 300], rtol=1e-6)
    page.press("n", shift=True)
    assert page.row == (row + 1) % 300
    page.press(Keys.ESCAPE)
    np.testing.assert_allclose(page.place, start)
    page.wait_for(f"document.getElementById('live').textContent.includes('row {page.row}')")


def test_classes_are_hidden_and_shown_by_their_buttons(images, open_page):
    page = open_page(images, X, DIGITS)
    Z, chips = images.transform(X), page.elements(".chip")
    assert [chip.text for chip in chips] == [str(digit) for digit in range(10)]
    row = loneliest(Z)
    page.hover_at(Z[row])
    drawn = page.pixels("points")
    chips[DIGITS[row]].click()
    assert chips[DIGITS[row]].get_attribute("aria-pressed") == "false"
    assert page.text("#label") != str(DIGITS[row])
    shown = np.flatnonzero(np.not_equal(DIGITS, DIGITS[row]))
    assert page.row == shown[np.linalg.norm(Z[shown] - page.place, axis=1).argmin()]
    assert (page.pixels("points") != drawn).any()
    none, every = (page.elements(".plain")[k] for k in (1, 0))
    none.click()
    assert page.text("#number") == "all are hidden"
    assert (page.pixels("row") == 0).all()
    every.click()
    assert page.row == row
    np.testing.assert_array_equal(page.pixels("points"), drawn)


def test_text_of_the_user_is_only_ever_text(driver, open_page):
    frame = IRIS.set_axis([*NASTY, "$contents"], axis=1)
    labels = pd.Series(np.array(NASTY)[SPECIES], name=NASTY[0])
    page = open_page(small().fit(frame), frame, labels, title=NASTY[0])
    assert driver.title == NASTY[0]
    assert page.text("h1") == NASTY[0]
    assert sorted(chip.text for chip in page.elements(".chip")) == sorted(NASTY)
    assert page.text("#legend h2") == NASTY[0]
    assert page.text("#label") == labels[page.row]
    assert [head.text for head in page.elements("tbody th")] == list(frame.columns)
    assert page.elements("img, body > script:not([type])") == []
    assert driver.get_log("browser") == []


def cells(page, column):
    return [cell.text for cell in page.elements(f"tbody td:nth-child({column})")]


def value(text):
    return float(text.replace("−", "-"))


def test_a_table_shows_values_in_the_units_of_X(table, open_page):
    page = open_page(table, IRIS, SPECIES)
    page.hover(2, 2)
    np.testing.assert_allclose(
        [value(text) for text in cells(page, 2)],
        table.inverse_transform([page.place])[0],
        rtol=1e-3,
    )
    np.testing.assert_allclose([value(text) for text in cells(page, 3)], IRIS.iloc[page.row])
    ends = [
        feature["ends"]
        for feature in page.script("JSON.parse(contents.textContent)")["table"]["features"]
    ]
    shares = [
        (x - low) / (high - low) for x, (low, high) in zip(IRIS.iloc[page.row], ends, strict=True)
    ]
    marks = [mark.get_attribute("style") for mark in page.elements("td .mark.row")]
    np.testing.assert_allclose(
        [float(re.search(r"left: ([-+\d.e]+)%", mark)[1]) for mark in marks],
        100 * np.array(shares),
        atol=1e-3,
    )


def test_a_table_is_interpolated_but_for_its_categories(open_page, tmp_path):
    frame = IRIS.iloc[:, :2].assign(kind=pd.Categorical.from_codes(SPECIES, ["a", "b", "c"]))
    vae = small(likelihood="mixed", max_epochs=60, beta=1.0).fit(frame)
    page = open_page(vae, frame)
    page_ends = contents(tmp_path / "page.html")["plane"]["pairs"][0]["ends"]
    axes = [np.linspace(*ends, GRID) for ends in page_ends]
    seen = set()
    for pixel in [(100, 100), (190, 260), (333, 222), (470, 410), (240, 480)]:
        page.hover(*pixel)
        expected = bilinear(vae, tmp_path / "page.html", page.place)
        shown = cells(page, 2)
        np.testing.assert_allclose([value(text) for text in shown[:2]], expected[:2], rtol=1e-3)
        node = [axis[np.abs(axis - z).argmin()] for axis, z in zip(axes, page.place, strict=True)]
        assert shown[2] == "abc"[int(vae.inverse_transform([node])[0, 2])]
        assert cells(page, 3)[2] == frame.kind[page.row]
        seen.add(shown[2])
    assert len(seen) > 1


def test_a_missing_value_is_called_so(table, open_page):
    rows = IRIS.to_numpy(copy=True)
    rows[:, 1] = np.nan
    fill = FunctionTransformer(np.nan_to_num, np.asarray, check_inverse=False)
    page = open_page(make_pipeline(fill, small()).fit(rows), rows)
    assert cells(page, 3)[1] == "missing"
    assert [mark.is_displayed() for mark in page.elements("td .mark.row")] == [True, False] + 2 * [
        True
    ]
    assert all(np.isfinite(value(text)) for text in cells(page, 2))


def test_one_component_is_a_strip_with_a_lane_for_each_class(line, open_page):
    page = open_page(line, IRIS, SPECIES.map({0: "low", 1: "middle", 2: "high"}))
    page.hover(page.plane.size["width"] / 2, 2)
    assert page.text("#label") == "middle"  # the last of the alphabet is on top
    assert page.text("#where") == f"z = {page.place[0]:.2f}".replace("-", "−")
    expected = line.inverse_transform([page.place[:1]])[0]
    np.testing.assert_allclose([value(text) for text in cells(page, 2)], expected, rtol=1e-3)
    page.hover(page.plane.size["width"] / 2, page.plane.size["height"] - 2)
    assert page.text("#label") == "high"
    np.testing.assert_allclose([value(text) for text in cells(page, 2)], expected, rtol=1e-3)


def test_a_quantity_has_a_scale_and_rises_in_a_strip(line, open_page):
    page = open_page(line, IRIS, IRIS["petal width (cm)"])
    assert page.text("#legend h2") == "petal width (cm)"
    assert [end.text for end in page.elements(".between span")] == ["0.1", "2.5"]
    page.hover(page.plane.size["width"] / 2, 2)
    assert value(page.text("#label")) > 1.8


def test_zoom_keeps_what_is_under_the_pointer_and_goes_back(images, open_page):
    page = open_page(images, X)
    page.hover(200, 250)
    before = page.place
    page.hover(210, 250)
    wide = page.place - before
    page.script(
        """(({x, y}) => arguments[0].dispatchEvent(new WheelEvent("wheel", {
        deltaY: -400, clientX: x + 210, clientY: y + 250
        })))(arguments[0].getBoundingClientRect())""",
        page.plane,
    )
    page.hover(210, 251)
    page.hover(210, 250)
    np.testing.assert_allclose(page.place, before + wide, atol=1e-9)
    page.hover(220, 250)
    np.testing.assert_allclose(page.place - before - wide, wide / 1.0015**400, atol=1e-9)
    page.element("#closer").click()
    page.element("#whole").click()
    page.hover(200, 250)
    np.testing.assert_allclose(page.place, before)


def touch(driver, kind, *points):
    fingers = [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(points)]
    event = {"type": kind, "touchPoints": fingers}
    driver.execute_cdp_cmd("Input.dispatchTouchEvent", event)


def test_two_fingers_zoom_to_what_is_between_them(images, driver, open_page):
    page = open_page(images, X, device=PHONE)
    left, top = page.corner
    page.hover(150, 200)
    start = page.place
    page.hover(170, 200)
    wide = page.place - start
    touch(driver, "touchStart", (left + 130, top + 200), (left + 170, top + 200))
    touch(driver, "touchMove", (left + 110, top + 200), (left + 190, top + 200))
    touch(driver, "touchEnd")
    page.hover(150, 200)
    middle = page.place
    np.testing.assert_allclose(middle, start, atol=wide[0] / 20)  # a pixel
    page.hover(170, 200)
    np.testing.assert_allclose(page.place - middle, wide / 2, atol=1e-6)


def test_dragging_with_the_mouse_moves_the_view(images, driver, open_page):
    from selenium.webdriver.common.action_chains import ActionChains

    page = open_page(images, X)
    page.element("#closer").click()
    page.hover(300, 300)
    before = page.place
    ActionChains(driver, duration=0).click_and_hold().move_by_offset(30, 20).release().perform()
    np.testing.assert_allclose(page.place, before, atol=1e-9)  # it went with the mouse
    page.hover(300, 300)
    assert page.place[0] < before[0]
    assert page.place[1] > before[1]


def test_the_decoded_grid_can_be_laid_under_the_points(images, table, open_page):
    page = open_page(images, X)
    before = page.pixels("points")
    button = page.element("#backdrop")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert (page.pixels("points") != before).any(axis=-1).mean() > 0.5
    button.click()
    np.testing.assert_array_equal(page.pixels("points"), before)
    assert not open_page(table, IRIS).element("#backdrop").is_displayed()


@pytest.mark.parametrize("kind", ["images", "table"])
def test_a_phone_needs_no_scrolling_sideways_and_a_finger_moves_the_pointer(
    kind, request, driver, open_page
):
    rows, labels = (X, DIGITS) if kind == "images" else (IRIS, SPECIES)
    page = open_page(request.getfixturevalue(kind), rows, labels, device=PHONE)
    assert page.script("[innerWidth, document.documentElement.scrollWidth]") == [390, 390]
    assert page.plane.size["width"] > 340
    before = page.place
    left, top = page.corner
    for event, x in [("touchStart", 100), ("touchMove", 150), ("touchMove", 200)]:
        touch(driver, event, (left + x, top + 100))
    touch(driver, "touchEnd")
    page.wait_for(f"Number(document.getElementById('pointer').dataset.x) !== {before[0]}")
    assert page.script("scrollY") == 0
    moved = page.place
    page.hover(200, 100)
    np.testing.assert_allclose(moved, page.place, atol=0.01)


def test_is_dark_where_all_is_dark(images, driver, open_page):
    page = open_page(images, X)
    light = page.script("getComputedStyle(document.body).backgroundColor")
    page.script("window.drawn = points.toDataURL()")
    media = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        page.wait_for("points.toDataURL() !== drawn")
        assert page.script("getComputedStyle(document.body).backgroundColor") != light
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


LABELS = pd.DataFrame(
    {
        "digit": DIGITS,
        "ink": X.sum(axis=1),
        "name": [f"scan {k:03}, «{'even' if k % 2 == 0 else 'odd'}»" for k in range(300)],
    }
)


def choose(page, title, option):
    """Choose from the box of that name."""
    from selenium.webdriver.support.select import Select

    (label,) = [label for label in page.elements("#choices label") if label.text.startswith(title)]
    Select(label.find_element("css selector", "select")).select_by_visible_text(option)


def find(page, *keys):
    page.element("#find").clear()
    page.element("#find").send_keys(*keys)


def test_a_row_is_found_by_its_number_or_by_a_label(images, open_page):
    from selenium.webdriver.common.keys import Keys

    page = open_page(images, X, LABELS)
    Z = images.transform(X)
    find(page, "217")
    assert (page.row, page.text("#found")) == (217, "1 of 1")
    np.testing.assert_allclose(page.place, Z[217], rtol=1e-6)
    find(page, "SCAN 042")
    assert (page.row, page.text("#found")) == (42, "1 of 1")
    find(page, "odd", Keys.ENTER, Keys.ENTER)
    assert (page.row, page.text("#found")) == (5, "3 of 150")
    page.press(Keys.ENTER, shift=True)
    assert page.row == 3
    find(page, "7")  # the row first, then those of that digit
    sevens = np.flatnonzero(DIGITS == 7)
    assert (page.row, page.text("#found")) == (7, f"1 of {len(sevens)}")
    find(page, "7", Keys.ENTER, Keys.ENTER)
    assert page.row == sevens[sevens != 7][1]
    find(page, "nowhere")
    assert page.text("#found") == "none"
    page.elements(".chip")[DIGITS[217]].click()
    find(page, "#217")
    assert page.text("#found") == "none"


def test_two_components_are_chosen_in_either_order(tall, open_page):
    vae, rows = tall
    page = open_page(vae, rows, components=(3, 0, 2))
    transformed = vae.transform(rows)
    # What the box of the other axis has changes places.
    for chosen, shown in [(("Across", 2), (2, 0)), (("Up", 2), (0, 2)), (("Up", 3), (0, 3))]:
        choose(page, chosen[0], f"component {chosen[1]}")
        Z = transformed[:, list(shown)]
        row = loneliest(Z)
        page.hover_at(Z[row])
        assert page.row == row
        page.hover(2, 2)  # a node at the edge
        z = np.zeros((1, 4))
        z[0, list(shown)] = page.place
        decoded = page.pixels("decoded")[..., :3].ravel() / 255
        np.testing.assert_allclose(decoded, vae.inverse_transform(z)[0].clip(0, 1), atol=0.51 / 255)


class Itself(TransformerMixin, BaseEstimator):
    """A model whose components are its pixels."""

    def fit(self, X):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return np.asarray(X)

    inverse_transform = transform

    def get_feature_names_out(self):
        return ["a", "b", "c"]


def test_the_grid_below_a_turned_plane_is_turned(open_page, tmp_path):
    rows = np.array([[0.0, 0.0, 0.5], [1.0, 1.0, 0.5], [0.2, 0.8, 0.45], [0.8, 0.2, 0.55]])
    page = open_page(Itself().fit(rows), rows, components=(0, 1, 2), image_shape=(1, 3), grid=9)
    choose(page, "Across", "component 1")
    page.element("#backdrop").click()
    drawn = page.pixels("points")
    first, second = contents(tmp_path / "page.html")["plane"]["pairs"][0]["ends"]
    ups, acrosses = np.linspace(*first, 9), np.linspace(*second, 9)
    tile = (drawn.shape[1] - 56) / 8  # the box and its margins
    for up, across in [(ups[2], acrosses[5]), (ups[6], acrosses[3]), (ups[4], acrosses[7])]:
        x, y = page.pixel_of(np.array([across, up]))
        middle, left = drawn[y, x], drawn[y, x - round(tile / 3)]
        assert np.ptp(middle[:3]) == np.ptp(left[:3]) == 0  # grey: no row lies here
        # The pixels of a tile are the components in their order, which the plane is not in.
        assert left[0] / 255 == pytest.approx(up, abs=0.02)
        assert middle[0] / 255 == pytest.approx(across, abs=0.02)


def test_rows_are_coloured_by_another_column(images, open_page):
    page = open_page(images, X, LABELS)
    assert len(page.elements(".chip")) == 10
    drawn = page.pixels("points")
    page.elements(".chip")[3].click()
    choose(page, "Colour", "ink")
    assert page.elements(".chip") == []
    assert page.text("#legend h2") == "ink"
    ends = [value(end.text) for end in page.elements(".between span")]
    np.testing.assert_allclose(ends, [LABELS.ink.min(), LABELS.ink.max()], rtol=1e-3)
    assert value(page.text("#label")) == pytest.approx(LABELS.ink[page.row], rel=1e-5)
    row = loneliest(images.transform(X))
    page.hover_at(images.transform(X)[row])
    assert value(page.text("#label")) == pytest.approx(LABELS.ink[row], rel=1e-5)
    choose(page, "Colour", "name")
    assert not page.element("#legend").is_displayed()
    assert page.text("#label") == LABELS.name[page.row]
    choose(page, "Colour", "digit")
    np.testing.assert_array_equal(page.pixels("points"), drawn)  # none is hidden any more


def test_rows_of_a_table_are_coloured_by_its_columns(open_page):
    frame = IRIS.iloc[:, :2].assign(kind=pd.Categorical.from_codes(SPECIES, ["a", "b", "c"]))
    page = open_page(small(likelihood="mixed").fit(frame), frame)
    choose(page, "Colour", "kind")
    assert [chip.text for chip in page.elements(".chip")] == ["a", "b", "c"]
    assert page.text("#label") == frame.kind[page.row]
    choose(page, "Colour", "sepal width (cm)")
    assert [end.text for end in page.elements(".between span")] == ["2", "4.4"]
    assert value(page.text("#label")) == frame.iloc[page.row, 1]


def test_a_strip_rises_with_the_column_that_colours_it(line, open_page):
    page = open_page(line, IRIS, SPECIES)
    before = page.row
    choose(page, "Colour", "petal length (cm)")
    assert page.row == before
    Z = np.column_stack([line.transform(IRIS), IRIS["petal length (cm)"]])
    row = loneliest(Z / np.ptp(Z, axis=0))
    page.hover_at(Z[row])
    assert page.row == row
    np.testing.assert_allclose(page.place, Z[row], atol=0.05)


def test_values_of_the_nearest_row_stand_beside_it(images, table, open_page):
    page = open_page(images, X, LABELS)
    row = loneliest(images.transform(X))
    page.hover_at(images.transform(X)[row])
    said = [line.split("\n") for line in page.text("#tip").replace("\n", "|").split("|")]
    said = [text for line in said for text in line]
    assert said[0] == f"row {row}"
    assert said[1:] == [
        *("digit", str(DIGITS[row])),
        *("ink", f"{LABELS.ink[row]:.6g}"),
        *("name", LABELS.name[row]),
    ]
    page = open_page(table, IRIS)
    for name, shown in IRIS.iloc[page.row].items():
        assert f"{name}\n{shown:g}" in page.text("#tip")
    box, stage = (page.element(place).rect for place in ("#tip", "#stage"))
    assert stage["x"] <= box["x"]
    assert box["x"] + box["width"] <= stage["x"] + stage["width"]


def test_a_click_lists_the_nearest_rows_in_all_components(tall, open_page):
    from selenium.webdriver.common.action_chains import ActionChains

    vae, rows = tall
    page = open_page(vae, rows, [f"row {k}" for k in range(60)])
    Z = vae.transform(rows)
    page.hover(300, 300)
    ActionChains(page.driver, duration=0).click().perform()
    picked = page.row
    said = f"Nearest to row {picked} (row {picked}), in all components"
    assert page.text("#near-what") == said
    near = NearestNeighbors(n_neighbors=9).fit(Z)
    distances, expected = near.kneighbors(Z[[picked]])
    shown = [item.text for item in page.elements("#near-rows li")]
    assert [int(re.search(r"row (\d+)", text)[1]) for text in shown] == expected[0, 1:].tolist()
    said = [value(text.split("at ")[1]) for text in shown]
    np.testing.assert_allclose(said, distances[0, 1:], rtol=1e-2)
    page.elements("#near-rows button")[2].click()
    assert page.row == expected[0, 3]
    thumbnail = page.script(
        "document.querySelectorAll('#near-rows canvas')[2].toDataURL()", page.plane
    )
    expected_tile = (rows[expected[0, 3]].reshape(6, 4, 3) * 255).round()
    np.testing.assert_array_equal(sheet(thumbnail)[..., :3], expected_tile)


def saved(driver, folder, click):
    """Return the file that a click writes."""
    behaviour = {"behavior": "allow", "downloadPath": str(folder)}
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    click()
    for _ in range(500):
        files = [path for path in folder.iterdir() if path.suffix in (".csv", ".png")]
        if files and files[0].stat().st_size:  # the browser takes the name first, and renames
            return files[0]
        time.sleep(0.01)
    raise AssertionError("nothing was saved")


def lasso(page, corners):
    from selenium.webdriver.common.action_chains import ActionChains

    page.element("#lasso").click()
    page.hover(*corners[0])
    ActionChains(page.driver, duration=0).click_and_hold().perform()
    for corner in corners[1:]:
        page.hover(*corner)
    ActionChains(page.driver, duration=0).release().perform()


def test_a_lasso_selects_rows_that_are_saved_as_csv(images, driver, open_page, tmp_path):
    page = open_page(images, X, LABELS)
    corners = [(150, 100), (450, 180), (300, 300), (420, 420), (120, 400)]
    polygon = []
    for corner in corners:
        page.hover(*corner)
        polygon.append(page.place)
    drawn = page.pixels("points")
    page.elements(".chip")[4].click()
    lasso(page, corners)
    Z = images.transform(X)
    inside = np.flatnonzero(MplPath(polygon).contains_points(Z) & (DIGITS != 4))
    assert 20 < len(inside) < 250
    assert page.text("#selected") == f"{len(inside)} rows selected"
    assert (page.pixels("points") != drawn).any()
    (tmp_path / "saved").mkdir()
    table = pd.read_csv(saved(driver, tmp_path / "saved", page.element("#save-csv").click))
    assert list(table) == ["row", "component 0", "component 1", "digit", "ink", "name"]
    np.testing.assert_array_equal(table["row"], inside)
    np.testing.assert_allclose(table.iloc[:, 1:3], Z[inside], rtol=1e-5)
    np.testing.assert_array_equal(table["digit"], DIGITS[inside])
    np.testing.assert_allclose(table["ink"], LABELS.ink[inside], rtol=1e-5)
    np.testing.assert_array_equal(table["name"], LABELS.name[inside])
    page.element("#clear").click()
    assert not page.element("#selection").is_displayed()
    page.elements(".chip")[4].click()
    np.testing.assert_array_equal(page.pixels("points"), drawn)
    assert driver.get_log("browser") == []


def test_a_table_is_saved_with_its_features(driver, open_page, tmp_path):
    frame = IRIS.iloc[:, :2].assign(kind=pd.Categorical.from_codes(SPECIES, ['a"', "b,", "c\n"]))
    page = open_page(small(likelihood="mixed").fit(frame), frame)
    lasso(page, [(60, 12), (540, 12), (540, 500), (60, 500)])
    (tmp_path / "saved").mkdir()
    table = pd.read_csv(saved(driver, tmp_path / "saved", page.element("#save-csv").click))
    assert list(table.columns[3:]) == list(frame.columns)
    assert len(table) > 100
    pd.testing.assert_frame_equal(
        table.iloc[:, 3:], frame.iloc[table["row"]].astype({"kind": str}).reset_index(drop=True),
        check_dtype=False,
    )  # fmt: skip


def test_a_lasso_by_keys(images, open_page):
    from selenium.webdriver.common.keys import Keys

    page = open_page(images, X)
    page.script("arguments[0].focus()", page.plane)
    polygon = []
    for arrow in (Keys.ARROW_UP, Keys.ARROW_RIGHT, Keys.ARROW_DOWN):
        page.press(arrow, arrow, shift=True)
        page.press("l")
        polygon.append(page.place)
    page.press(Keys.ENTER)
    inside = MplPath(polygon).contains_points(images.transform(X)).sum()
    assert inside > 0
    assert page.text("#selected").startswith(f"{inside} row")
    page.press("l", "l", Keys.ESCAPE, Keys.ENTER)  # dropped: Enter picks a row again
    assert page.text("#near-what") == f"Nearest to row {page.row}"
    page.press("/")
    assert page.driver.switch_to.active_element == page.element("#find")


def test_a_finger_draws_the_lasso(images, driver, open_page):
    page = open_page(images, X, device=PHONE)
    page.element("#lasso").click()
    left, top = page.corner
    touch(driver, "touchStart", (left + 60, top + 20))
    for x, y in [(330, 20), (330, 290), (60, 290)]:
        touch(driver, "touchMove", (left + x, top + y))
    touch(driver, "touchEnd")
    page.wait_for("document.getElementById('selected').textContent")
    assert int(page.text("#selected").split()[0]) > 250
    assert page.script("[innerWidth, document.documentElement.scrollWidth]") == [390, 390]


@pytest.mark.parametrize("labels", [LABELS.digit, LABELS.ink, None])
def test_the_picture_is_saved_with_its_legend(images, driver, open_page, tmp_path, labels):
    page = open_page(images, X, labels)
    drawn = page.pixels("points")
    (tmp_path / "saved").mkdir()
    path = saved(driver, tmp_path / "saved", page.element("#save-png").click)
    picture = np.asarray(Image.open(path)).astype(int)
    assert picture.shape[0] > 2 * drawn.shape[0]
    assert picture.shape[1] - 2 * drawn.shape[1] > 40 or labels is None
    assert (picture[..., 3] == 255).all()
    assert (picture[..., :3] != 255).any(axis=-1).mean() > 0.02
    beside = picture[:, 2 * drawn.shape[1] + 8 :, :3]
    assert (beside != 255).any() or labels is None
    np.testing.assert_array_equal(page.pixels("points"), drawn)


def test_the_decoder_is_given_the_condition_that_is_chosen(told, open_page):
    page = open_page(told, X, DIGITS)
    for digit in (0, 7, 3):
        choose(page, "Given y", str(digit))
        page.hover(2, 2)
        expected = told.inverse_transform([page.place], condition=digit)[0] * 255
        np.testing.assert_allclose(page.pixels("decoded")[..., 0].ravel(), expected, atol=0.51)
    page.element("#backdrop").click()
    three = page.pixels("points")
    choose(page, "Given y", "1")
    assert (page.pixels("points") != three).any(axis=-1).mean() > 0.2


def test_two_conditions_are_chosen_each_for_itself(open_page):
    frame = IRIS.assign(lab=np.where(np.arange(150) % 2, "here", "there"), on=SPECIES > 0)
    model = skvae.ConditionalVAE(small(max_epochs=30), condition=["lab", "on"]).fit(frame)
    page = open_page(model, frame)
    for lab, on in [("here", True), ("there", True), ("there", False)]:
        choose(page, "Given lab", lab)
        choose(page, "Given on", str(on))
        page.hover(2, 2)
        expected = model.inverse_transform([page.place], condition=(lab, on))[0]
        np.testing.assert_allclose([value(text) for text in cells(page, 2)], expected, rtol=1e-3)


def test_a_page_may_be_out_of_sight_for_a_while(images, driver, open_page):
    page = open_page(images, X, DIGITS)
    drawn, row = page.pixels("points"), page.row
    page.script("stage.style.display = 'none'")
    page.wait_for("new Promise((done) => setTimeout(() => done(points.width === 0), 50))")
    page.script("stage.style.display = ''")
    page.wait_for("points.width > 0")
    page.wait_for("new Promise((done) => requestAnimationFrame(() => done(true)))")
    np.testing.assert_array_equal(page.pixels("points"), drawn)
    assert page.row == row
    assert driver.get_log("browser") == []


def test_the_page_works_in_the_frame_of_a_notebook(images, driver, tmp_path):
    page = skvae.explore(images, X, DIGITS, tmp_path / "page.html", grid=GRID)
    notebook = tmp_path / "notebook.html"
    notebook.write_text(f'<!doctype html><meta charset="utf-8"><body>{page._repr_html_()}</body>')
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", DESKTOP | {"width": 900})
    driver.get(notebook.as_uri())
    driver.switch_to.frame(driver.find_element("css selector", "iframe"))
    shown = Page.inside(driver)
    shown.hover(150, 150)
    assert shown.text("#label")
    assert shown.script("document.documentElement.scrollWidth <= innerWidth")
    driver.switch_to.default_content()
