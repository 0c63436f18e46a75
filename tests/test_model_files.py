"""Model files of every format version, and files that nobody should trust."""

import copy
import json
import pickle
import random
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import skvae
from skvae import VariationalAutoencoder, _modelfile
from skvae.priors import VampPrior
from tests.data.write import FOLDER, MODELS

VERSIONS = sorted(FOLDER.parent.glob("v*"))
FILES = sorted(FOLDER.parent.glob("v*/*.safetensors"))
RAW, STRUCTURED = 10_000, 1_000
HANGS = 120.0
"""Seconds of the processor after which a load hangs; the slowest takes five."""


def rewrite(source, target, change):
    """Write a file whose document and arrays were changed, with the digest that they have."""
    document, arrays = _modelfile.read(source)
    change(document, arrays)
    text = json.dumps(document)
    metadata = {"skvae": text, "sha256": _modelfile._digest(text, arrays)}
    target.write_bytes(_modelfile.to_bytes(arrays, metadata))
    return target


def in_state(name, value):
    return lambda document, arrays: document["state"].update({name: value})


def in_structure(name, value):
    return lambda document, arrays: document["state"]["_architecture"]["dict"].update({name: value})


def in_reader(name, value):
    return lambda document, arrays: document["state"]["_reader"]["dict"].update({name: value})


def part(name, **params):
    return {"part": {"class": name, "params": {"dict": params}}}


class TestFormatVersions:
    def test_every_version_up_to_this_one_has_its_files(self):
        assert [path.name for path in VERSIONS] == [
            f"v{version + 1}" for version in range(_modelfile.FORMAT_VERSION)
        ]
        assert {path.stem for path in FILES if path.parent == FOLDER} == set(MODELS)
        assert all(path.stat().st_size < 30_000 for path in FILES)

    @pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
    def test_loads_with_its_numbers_goes_on_and_is_saved_again(self, path, tmp_path):
        """Rows of float64 are computed in float64; machines differ in the last digits."""
        model = skvae.load(path)
        rows, given, _ = MODELS[path.stem]
        with np.load(path.with_suffix(".npz")) as expected:
            X = given(expected["X"])
            assert_allclose(model.transform(X), expected["transform"], rtol=1e-7, atol=1e-9)
            assert_allclose(model.score_samples(X), expected["score_samples"], rtol=1e-7)
        n_iter = model.n_iter_
        model.partial_fit(given(rows()))
        assert model.n_iter_ == len(model.history_) == n_iter + 1
        model.save(tmp_path / "again")
        assert_array_equal(skvae.load(tmp_path / "again").transform(X), model.transform(X))

    def test_an_older_file_may_lack_a_later_parameter(self, tmp_path):
        def drop(document, arrays):
            del document["state"]["dropout"]

        path = rewrite(FOLDER / "table.safetensors", tmp_path / "m", drop)
        with pytest.raises(ValueError, match="valid model has 'dropout' in its state"):
            skvae.load(path)
        older = FOLDER.parent / "v1" / "table.safetensors"
        assert skvae.load(rewrite(older, tmp_path / "m", drop)).dropout == "auto"
        assert skvae.load(older).max_steps is None  # which came with format 2

    def test_files_are_as_readable_as_others(self, tmp_path):
        skvae.load(FOLDER / "table.safetensors").save(tmp_path / "model")
        (tmp_path / "other").touch()
        assert (tmp_path / "model").stat().st_mode == (tmp_path / "other").stat().st_mode

    def test_save_refuses_parameters_that_load_would(self, tmp_path):
        model = skvae.load(FOLDER / "table.safetensors").set_params(n_components=-1)
        with pytest.raises(ValueError, match="'n_components' parameter"):
            model.save(tmp_path / "m")


DEEP = json.loads("[" * 300 + "]" * 300)
HOSTILE = {
    "no format version": lambda d, a: d.pop("format_version"),
    "format version a string": lambda d, a: d.update(format_version="1"),
    "format version a bool": lambda d, a: d.update(format_version=True),
    "format version zero": lambda d, a: d.update(format_version=0),
    "another format": lambda d, a: d.update(format="pickle"),
    "an extra key": lambda d, a: d.update(extra=1),
    "no state": lambda d, a: d.pop("state"),
    "a state that is a list": lambda d, a: d.update(state=[1]),
    "a class that is a list": lambda d, a: d.update({"class": ["VariationalAutoencoder"]}),
    "versions that are a number": lambda d, a: d.update(versions=3),
    "a missing attribute": lambda d, a: d["state"].pop("n_iter_"),
    "a missing parameter": lambda d, a: d["state"].pop("beta"),
    "an extra attribute": in_state("__class__", "os"),
    "10⁹ components": in_structure("n_components", 10**9),
    "10⁹ components everywhere": lambda d, a: (
        in_state("n_components", 10**9)(d, a), in_structure("n_components", 10**9)(d, a)
    ),
    "a layer of 10⁷": in_structure("hidden_layer_sizes", {"tuple": [10**7]}),
    "two layers of 10⁵": in_structure("hidden_layer_sizes", {"tuple": [10**5, 10**5]}),
    "10⁵ layers": in_structure("hidden_layer_sizes", {"tuple": [1] * 10**5}),
    "a size beyond int64": in_structure("hidden_layer_sizes", {"tuple": [10**30]}),
    "a layer of no size": in_structure("hidden_layer_sizes", {"tuple": [0]}),
    "10¹² columns": lambda d, a: (
        in_state("n_features_in_", 10**12)(d, a), in_structure("n_features", 10**12)(d, a)
    ),
    "10⁸ columns": lambda d, a: (
        in_state("n_features_in_", 10**8)(d, a), in_structure("n_features", 10**8)(d, a)
    ),
    "a mixture of 10⁹": in_structure(
        "prior", part("MixtureOfGaussians", n_components=10**9)
    ),
    "10⁹ pseudo-inputs": in_structure(
        "prior", part("VampPrior", n_pseudo_inputs=10**9)
    ),
    "10⁷ steps of a flow": in_structure(
        "posterior_family",
        part("InverseAutoregressiveFlow", n_transforms=10**7),
    ),
    "10⁹ categories": in_structure(
        "likelihood", part("CategoricalCodes", n_categories=10**9)
    ),
    "10⁴ blocks": in_structure(
        "likelihood",
        part("Mixed", blocks=[["poisson", [0]]] * 10**4),
    ),
    "an unknown part": in_structure("prior", part("system")),
    "a part of another kind": in_structure("prior", part("ELBO")),
    "a part with other parameters": in_structure(
        "prior", part("VampPrior", command="rm")
    ),
    "a part whose class is a list": in_structure("prior", {"part": {"class": [], "params": {}}}),
    "a part without a class": in_structure("prior", {"part": {}}),
    "images of a table": in_structure("image_shape", {"tuple": [1, 5, 1]}),
    "another optimizer": in_state("_optimizer", "rmsprop"),
    "no optimizer": in_state("_optimizer", None),
    "another layer": in_structure("hidden_layer_sizes", {"tuple": [7]}),
    "a list for a tuple": in_structure("hidden_layer_sizes", [6]),
    "true for one": in_structure("n_components", True),
    "an unknown key of the structure": in_structure("surprise", 1),
    "300 lists in one another": in_state("history_", DEEP),
    "a count that is NaN": in_state("n_components", float("nan")),
    "a rate that is NaN": in_state("learning_rate", float("nan")),
    "a rate below zero": in_state("learning_rate", -1.0),
    "a string for a number": in_state("beta", "1"),
    "a number for a string": in_state("likelihood", 3),
    "a dict for a number": in_state("beta", {"dict": {}}),
    "an activation that is none": in_structure("activation", "os.system"),
    "callbacks that are numbers": in_state("callbacks", [1, 2]),
    "epochs that are none": in_state("history_", [{"dict": {"epoch": 1}}]),
    "more epochs than there were": in_state("n_iter_", 10**9),
    "a history that is a string": in_state("history_", "abcd"),
    "a seed below zero": in_state("_seed", -1),
    "a seed of 200 digits": in_state("_seed", 10**200),
    "a type that is none": in_state("_fitted_dtype", "object"),
    "a unit of zero": in_reader("unit", 0.0),
    "rows below zero": in_state("n_samples_", -3),
    "categories that are numbers": in_reader("categories", {"dict": {"colour": 3}}),
    "moments that are a number": in_reader("unsettled", 3),
    "moments of a column that is none": lambda d, a: _add_moments(d, a, columns=np.array([5])),
    "moments of another length": lambda d, a: _add_moments(d, a, mean=np.zeros(2)),
    "moments that are NaN": lambda d, a: _add_moments(d, a, variance=np.array([np.nan])),
    "an unknown key of the reader": in_reader("surprise", 1),
    "a reader that is a list": in_state("_reader", []),
    "an epoch that was not": in_state("best_epoch_", 99),
    "a likelihood that is left open": in_structure("likelihood", part("Auto")),
    "a part by its name": in_structure("prior", "normal"),
    "a context of a text": in_structure("n_context", "2"),
    "names that are numbers": in_state("feature_names_in_", {"strings": [1, 2, 3, 4, 5]}),
    "too few names": in_state("feature_names_in_", {"strings": ["a"]}),
    "names that are a string": in_state("feature_names_in_", {"strings": "abcde"}),
    "an output that is none": in_state("_sklearn_output_config", {"dict": {"transform": 3}}),
    "the meta device": in_state("device", "meta"),
    "arrays that are a list": in_state("_arrays", []),
    "an array that is not there": in_state("kl_per_component_", {"array": "nowhere"}),
    "an array named by a number": in_state("kl_per_component_", {"array": 3}),
    "an array without a name": lambda d, a: a.update(extra=np.zeros(3)),
    "a kl of another length": lambda d, a: a.update({"kl_per_component_": np.zeros(99)}),
    "a mask of floats": lambda d, a: a.update({"active_components_": np.zeros(2)}),
    "weights of another type": lambda d, a: _replace_weight(a, lambda w: w.astype(np.float64)),
    "weights of another shape": lambda d, a: _replace_weight(a, lambda w: w[:-1]),
    "integers for weights": lambda d, a: _replace_weight(a, lambda w: w.astype(np.int8)),
    "slots of another shape": lambda d, a: a.update({"optimizer.0.exp_avg": np.zeros(3, "f")}),
    "slots of no parameter": lambda d, a: _add_array(d, a, "optimizer.999.step"),
    "a slot of no optimizer": lambda d, a: _add_array(d, a, "optimizer.0.surprise"),
    "a slot without a number": lambda d, a: _add_array(d, a, "optimizer.x.step"),
    "an array of no network": lambda d, a: _add_array(d, a, "model.surprise"),
    "an array of nothing": lambda d, a: _add_array(d, a, "surprise"),
}  # fmt: skip


def _replace_weight(arrays, function):
    name = next(name for name in arrays if name.endswith("weight") and name.startswith("model"))
    arrays[name] = np.ascontiguousarray(function(arrays[name]))


def _add_moments(document, arrays, **changed):
    one = np.zeros(1)
    moments = {"columns": one.astype(np.int64), "n_rows": one + 1, "mean": one, "variance": one}
    arrays.update(moments | changed)
    encoded = {name: {"array": name} for name in moments}
    document["state"]["_reader"]["dict"]["unsettled"] = {"dict": encoded}


def _add_array(document, arrays, name):
    arrays[name] = np.zeros((), np.float32)
    document["state"]["_arrays"]["dict"][name] = {"array": name}


class TestHostileFiles:
    """The digest holds: whoever wrote the file computed it."""

    @pytest.mark.parametrize("name", HOSTILE)
    def test_refused_with_the_name_of_the_file(self, name, tmp_path):
        path = rewrite(FOLDER / "table.safetensors", tmp_path / "hostile", HOSTILE[name])
        with pytest.raises(ValueError, match=r"hostile") as caught:
            skvae.load(path)
        assert len(str(caught.value)) < 2500

    @pytest.mark.parametrize(
        "text",
        ["[" * 10**5, '{"a":' * 10**5, "1" * 5000, "NaN", "", "{", '"\\ud800"', "null", "[]"],
        ids=lambda text: text[:8],
    )
    def test_json_that_is_none(self, text, tmp_path):
        metadata = {"skvae": text, "sha256": _modelfile._digest(text, {})}
        (tmp_path / "hostile").write_bytes(_modelfile.to_bytes({}, metadata))
        with pytest.raises(ValueError, match="hostile does not hold a valid model"):
            skvae.load(tmp_path / "hostile")

    @pytest.mark.parametrize(
        "header",
        [
            {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}},
            {"a": {"dtype": "F32", "shape": [2**63, 2], "data_offsets": [0, 0]}},
            {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
            {"a": {"dtype": "O", "shape": [1], "data_offsets": [0, 8]}},
            {"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}},
            {"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}},
            {"__metadata__": {"skvae": 3}},
            {"__metadata__": []},
        ],
        ids=str,
    )
    def test_headers_that_claim_what_is_not_there(self, header, tmp_path):
        text = json.dumps(header).encode()
        size = header.get("a", {}).get("data_offsets", [0, 0])[1]
        content = len(text).to_bytes(8, "little") + text + b"\0" * min(size, 8)
        (tmp_path / "hostile").write_bytes(content)
        with pytest.raises(ValueError, match="hostile"):
            skvae.load(tmp_path / "hostile")

    def test_a_header_longer_than_the_file(self, tmp_path):
        for size in (9, 10**8, 2**62, 2**64 - 1):
            (tmp_path / "hostile").write_bytes(size.to_bytes(8, "little") + b"{}")
            with pytest.raises(ValueError, match="hostile"):
                skvae.load(tmp_path / "hostile")

    def test_what_is_no_file(self, tmp_path):
        for path in (tmp_path, tmp_path / "missing", tmp_path / "missing" / "model"):
            with pytest.raises(OSError):
                skvae.load(path)


def attempts(path):
    """Load; return the name of what was raised, and the seconds that it took."""
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a mutated name of a device is not there
            skvae.load(path)
        outcome = "loads"
    except (ValueError, OSError) as error:
        kind = "OSError" if isinstance(error, OSError) else "ValueError"
        outcome = kind if path.name in str(error) else "an error that does not name the file"
    return outcome, time.process_time() - start


def mutated_bytes(content, rng):
    """Return the bytes with some overwritten, cut off, put in or taken out."""
    content = bytearray(content)
    place = rng.randrange(rng.choice((8, 200, len(content))))
    kind = rng.randrange(5)
    if kind == 0:
        return bytes(content[:place])
    if kind == 1:
        content[place:place] = rng.randbytes(rng.randint(1, 64))
    elif kind == 2:
        del content[place : place + rng.randint(1, 64)]
    else:
        some = rng.randbytes(rng.choice((1, 1, 2, 8, 64)))
        content[place : place + len(some)] = some
    return bytes(content)


SCALARS = [None, True, 0, -1, 1, 3, 2**31, 10**9, 2**64, 10**30, 0.5, -2.0, 1e308]
SCALARS += [float("nan"), float("inf"), "", "os.system", "relu", "é" * 50, "cuda", "meta"]
CONTAINERS = [[], {}, [1] * 50, {"dict": {}}, {"tuple": []}, {"tuple": [10**6, 10**6]}, {"a": 1}]
CONTAINERS += [{"array": "model.prior"}, {"strings": []}, {"foreign": "x"}, [[[[[1]]]]]]
CONTAINERS += [{"part": {"class": name, "params": {"dict": {}}}} for name in ("Gaussian", "Mixed")]


def mutated_json(value, rng):
    """Change one place of a JSON value, at random."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = rng.choice(keys)
    inner = value[key]
    if isinstance(inner, dict | list) and inner and rng.random() < 0.85:
        mutated_json(inner, rng)
    elif rng.random() < 0.15:
        del value[key]
    elif isinstance(inner, int | float) and rng.random() < 0.3:
        value[key] = rng.choice((inner + 1, -inner, inner * 10**6))
    else:
        value[key] = copy.deepcopy(rng.choice(SCALARS + CONTAINERS))


def mutated_array(arrays, rng):
    """Change type, shape or values of one array."""
    name = rng.choice(sorted(arrays))
    value = arrays[name]
    changes = [
        lambda: value.astype(rng.choice(("f2", "f8", "i8", "u1", "?"))),
        lambda: value.reshape(-1),
        lambda: value[None],
        lambda: np.zeros(rng.choice(((0,), (3,), (2, 3, 4), (10**4,))), value.dtype),
        lambda: np.full_like(value, rng.choice((0, 1))),
    ]
    arrays[name] = np.ascontiguousarray(rng.choice(changes)())


def hurt(source, target, rng):
    """Write a file with one to three changes of its structure, and their digest."""

    def change(document, arrays):
        for _ in range(rng.randint(1, 3)):
            mutated_array(arrays, rng) if rng.random() < 0.3 else mutated_json(document, rng)

    return rewrite(source, target, change)


def fuzz(target, n_raw, n_structured, seed=0):
    """Count the outcomes of loading mutated files; return them and the longest time."""
    rng = random.Random(seed)
    contents = [path.read_bytes() for path in FILES]
    outcomes, longest = Counter(), 0.0
    for i in range(n_raw + n_structured):
        if i < n_raw:
            target.write_bytes(mutated_bytes(rng.choice(contents), rng))
        else:
            hurt(rng.choice(FILES), target, rng)
        outcome, seconds = attempts(target)
        outcomes["raw" if i < n_raw else "structured", outcome] += 1
        longest = max(longest, seconds)
    return outcomes, longest


@pytest.mark.parametrize("seed", range(4))
def test_random_changes_end_in_value_error_or_os_error(seed, tmp_path):
    """Or in a model, where they change nothing that decides whether there is one.

    10,000 times random bytes, and 1,000 times values with a digest that holds, in all.
    """
    outcomes, longest = fuzz(tmp_path / "mutated", RAW // 4, STRUCTURED // 4, seed)
    assert sum(outcomes.values()) == (RAW + STRUCTURED) // 4
    assert outcomes["raw", "ValueError"] > 0.99 * RAW / 4
    assert outcomes["structured", "ValueError"] > 0.8 * STRUCTURED / 4
    assert longest < HANGS


def bound(path):
    """Return the bytes that loading may take, as the docstring of ``load`` says."""
    content = path.read_bytes()
    header = int.from_bytes(content[:8], "little")
    document = json.loads(json.loads(content[8 : 8 + header])["__metadata__"]["skvae"])
    arrays = len(content) - 8 - header
    # What the file claims is worth a number in its arrays.
    columns = min(document["state"]["n_features_in_"], arrays // 4)
    return 5 * arrays + 64 * header + 256 * columns + 100 * 10**6


MEASURE = """
import gc, pathlib, sys, time, torch, skvae
torch.set_num_threads(1)
skvae.load(sys.argv[1])
for path in sys.argv[2:]:
    gc.collect()
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    status = lambda key: next(
        int(line.split()[1]) * 1024
        for line in pathlib.Path("/proc/self/status").read_text().splitlines()
        if line.startswith(key)
    )
    before, start = status("VmRSS"), time.process_time()
    try:
        skvae.load(path)
        outcome = "loads"
    except ValueError:
        outcome = "ValueError"
    print(outcome, status("VmHWM") - before, time.process_time() - start)
"""


def _images(document, arrays):
    """Claim images of a megapixel, whose 64 channels would take gigabytes in a trial run."""
    n = 10**6
    _add_array(document, arrays, "model.surprise")
    arrays["model.surprise"] = np.zeros(n, np.float32)
    document["state"]["n_features_in_"] = n
    document["state"]["_architecture"]["dict"] |= {
        "n_features": n,
        "image_shape": {"tuple": [1000, 1000, 1]},
        "conv_channels": {"tuple": [64] * 10},
        "likelihood": part("Bernoulli"),
    }


def _empty_arrays(document, arrays):
    arrays.update({f"{i}": np.zeros((0,), "u1") for i in range(100_000)})


BOMBS = {
    "two layers of 10⁵": HOSTILE["two layers of 10⁵"],
    "10⁵ layers": HOSTILE["10⁵ layers"],
    "10⁷ steps of a flow": HOSTILE["10⁷ steps of a flow"],
    "10⁴ blocks": in_structure(
        "likelihood", part("Mixed", blocks=[{"tuple": ["poisson", [0]]}] * 10**4)
    ),
    "10⁵ modules": in_state("history_", [part("Gaussian")] * 10**5),
    "10⁶ lists": in_state("history_", [[]] * 10**6),
    "10⁶ strings": in_state("history_", ["ab"] * 10**6),
    "10⁵ empty arrays": _empty_arrays,
    "10⁸ columns": HOSTILE["10⁸ columns"],
    "a megapixel": _images,
}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measured on Linux")
def test_memory_stays_below_what_the_docstring_says(tmp_path):
    small = FOLDER / "table.safetensors"
    paths = [rewrite(small, tmp_path / f"{i}", bomb) for i, bomb in enumerate(BOMBS.values())]
    honest = [tmp_path / "wide", tmp_path / "deep"]
    X = np.random.RandomState(0).rand(4, 2**18)
    models = [
        VariationalAutoencoder(hidden_layer_sizes=(1500,)).set_params(max_epochs=1),
        VariationalAutoencoder(image_shape=(512, 512), conv_channels=(8,) * 8, max_epochs=1),
    ]
    for model, path, rows in zip(models, honest, (X[:, :1500], X), strict=True):
        model.fit(rows).save(path)
    command = [sys.executable, "-c", MEASURE, str(small), *map(str, [*paths, *honest])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == ["ValueError"] * len(BOMBS) + ["loads"] * 2
    for name, path, (_, peak, seconds) in zip(
        [*BOMBS, "wide", "deep"], [*paths, *honest], lines, strict=True
    ):
        assert int(peak) <= bound(path), (
            f"{name}: {peak} bytes, of {path.stat().st_size} in the file"
        )
        assert float(seconds) < HANGS, name


# One epoch on noise teaches nothing.
@pytest.mark.filterwarnings("ignore::skvae.PosteriorCollapseWarning")
@pytest.mark.parametrize("prior", ["normal", VampPrior(3)], ids=["normal", "vamp"])
def test_big_images_load_with_their_numbers(prior, tmp_path):
    """Their layers put out more than the file holds, and more than ``load`` may take."""
    X = np.random.RandomState(0).rand(3, 384 * 384)
    params = {"image_shape": (384, 384), "conv_channels": (96, *[4] * 8), "activation": "gelu"}
    model = VariationalAutoencoder(max_epochs=1, random_state=0, prior=prior, **params).fit(X)
    model.save(tmp_path / "m")
    assert (tmp_path / "m").stat().st_size < 10**7
    back = skvae.load(tmp_path / "m")
    assert_array_equal(back.transform(X), model.transform(X))
    assert_array_equal(back.partial_fit(X).transform(X), model.partial_fit(X).transform(X))


def test_a_model_that_was_trained_for_long_is_held_to_its_epochs(tmp_path):
    """The docstring of ``load`` counts 250 bytes of JSON an epoch."""
    sizes = []
    for n in (10, 110):
        model = copy.deepcopy(skvae.load(FOLDER / "table.safetensors"))
        model.history_ = model.history_[:1] * n
        model.n_iter_ = n
        model.save(tmp_path / "m")
        sizes.append((tmp_path / "m").stat().st_size)
    assert (sizes[1] - sizes[0]) / 100 < 250
    assert len(pickle.loads(pickle.dumps(skvae.load(tmp_path / "m"))).history_) == 110
