"""A step that is compiled whole: it does what the step does that is not."""

import os
import sys
import warnings
from importlib import import_module

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from sklearn.datasets import load_digits, load_iris
from skorch.callbacks import Callback

from skvae import ConditionalVAE, VAEClassifier, VariationalAutoencoder
from skvae._training import recording, whole_step
from skvae._training.net import OPTIMIZERS
from skvae._training.recording import scripted
from skvae._training.state import state_arrays
from skvae._training.updates import UPDATES
from skvae.objectives import ELBO, IWAE, CyclicalAnnealing, Trimmed

IRIS, SPECIES = load_iris(return_X_y=True)
DIGITS = load_digits().data[:150] / 16
COUNTS = np.random.default_rng(0).poisson(3.0, (150, 4))
GAPS = np.where(np.random.default_rng(0).random(IRIS.shape) < 0.2, np.nan, IRIS)

# Two batches of 64 and one of 22 an epoch.
FEW = {"max_epochs": 3, "batch_size": 64, "random_state": 0}


@pytest.fixture
def traced(monkeypatch):
    """The graphs that would be compiled; they run as they were traced."""
    graphs = []
    monkeypatch.setattr(recording, "_kept", type(recording._kept)())

    def keep(graph, inputs, options=None):
        graphs.append(graph)
        return graph

    monkeypatch.setattr(torch._inductor, "compile", keep)
    # The smaller last batch is compiled as well.
    monkeypatch.setattr(whole_step, "FEWEST_EPOCHS", 1)
    return graphs


def both(X, sample_weight=None, ways=(False, True), **params):
    """Return the same fit, eager and compiled."""
    models = [VariationalAutoencoder(**FEW | params, compile=way) for way in ways]
    return [model.fit(X, sample_weight=sample_weight) for model in models]


def losses(model):
    return [row["train_loss"] for row in model.history_]


STEPS = {
    "defaults": (IRIS, {}),
    "clipped": (IRIS, {"gradient_clip": 0.5}),
    "adamw": (IRIS, {"optimizer": "adamw", "weight_decay": 0.1}),
    "adam with decay": (IRIS, {"optimizer": "adam", "weight_decay": 0.1}),
    "sgd": (IRIS, {"optimizer": "sgd", "learning_rate": 1e-4, "weight_decay": 0.1}),
    "rmsprop": (IRIS, {"optimizer": "rmsprop"}),
    "one cycle": (IRIS, {"learning_rate_schedule": "one_cycle"}),
    "warm-up": (IRIS, {"kl_warmup_epochs": 3}),
    "cycles": (IRIS, {"objective": ELBO(beta=CyclicalAnnealing(3))}),
    "free bits": (IRIS, {"free_bits": 0.5}),
    "batch normalisation": (IRIS, {"normalization": "batch"}),
    "iwae": (IRIS, {"objective": IWAE(3, doubly_reparameterized=True)}),
    "trimmed": (IRIS, {"objective": Trimmed()}),
    "vamp, with dropout": (IRIS, {"prior": "vamp", "dropout": 0.2}),
    "flows": (IRIS, {"prior": "flow", "posterior_family": "flow"}),
    "full covariance": (IRIS, {"posterior_family": "full"}),
    "beta-tcvae": (IRIS, {"objective": "beta_tcvae"}),
    "held-out rows": (IRIS, {"early_stopping": True}),
    "student_t": (IRIS, {"likelihood": "student_t"}),
    "counts": (COUNTS, {"likelihood": "negative_binomial"}),
    "gaps": (GAPS, {}),
    "bfloat16": (IRIS, {"precision": "bfloat16"}),
    "images": (DIGITS, {"image_shape": (8, 8), "precision": "bfloat16"}),
}


@pytest.mark.parametrize("name", STEPS)
def test_the_graph_is_the_step(traced, name):
    X, params = STEPS[name]
    eager, compiled = both(X, **params)
    assert len(traced) == 2
    assert_allclose(losses(compiled), losses(eager), rtol=2e-5, atol=2e-5)
    assert_allclose(compiled.score(X), eager.score(X), rtol=1e-4, atol=1e-3)
    steps = [m.net_.optimizer_.state_dict()["state"][0].get("step") for m in (eager, compiled)]
    assert steps[0] == steps[1]


@pytest.fixture
def replayed(monkeypatch):
    """The recordings that torch's interpreter runs, of short fits too."""
    recordings = []
    for name in ("REPLAYED", "FEWEST_REPLAYED"):
        monkeypatch.setattr(whole_step, name, 1)

    def keep(recorded, inputs):
        recordings.append(recorded)
        return scripted(recorded, inputs)

    monkeypatch.setattr(whole_step, "scripted", keep)
    return recordings


def assert_same_bits(fits, X):
    written, replayed = fits
    assert losses(written) == losses(replayed)
    assert_array_equal(written.transform(X), replayed.transform(X))
    states = [state_arrays(fit.net_) for fit in fits]
    assert_equal(*states)


@pytest.mark.parametrize("name", STEPS)
def test_a_replayed_step_has_the_bits_of_the_step(replayed, name):
    X, params = STEPS[name]
    fits = both(X, ways=(False, "auto"), **params)
    # torch's interpreter has no backward pass of convolutions and of batch normalisation.
    assert len(replayed) == (1 if name in ("images", "batch normalisation") else 2)
    assert_same_bits(fits, X)


@pytest.mark.parametrize("estimator", [ConditionalVAE, VAEClassifier])
def test_replayed_rows_have_what_is_beside_them(replayed, estimator):
    fits = [
        estimator(VariationalAutoencoder(**FEW, compile=way)).fit(IRIS, SPECIES)
        for way in (False, "auto")
    ]
    assert replayed
    assert_array_equal(*(fit.transform(IRIS) for fit in fits))


def test_rows_have_their_weights(traced):
    weight = np.random.default_rng(0).random(150)
    eager, compiled = both(IRIS, sample_weight=weight)
    assert traced
    assert_allclose(losses(compiled), losses(eager), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("estimator", [ConditionalVAE, VAEClassifier])
def test_rows_have_what_is_beside_them(traced, estimator):
    eager, compiled = (
        estimator(VariationalAutoencoder(**FEW, compile=is_compiled)).fit(IRIS, SPECIES)
        for is_compiled in (False, True)
    )
    assert traced
    assert_allclose(compiled.transform(IRIS), eager.transform(IRIS), atol=1e-4)


def test_fits_go_on(traced):
    for method in ("fit", "partial_fit"):
        models = [
            VariationalAutoencoder(**FEW, warm_start=True, compile=is_compiled)
            for is_compiled in (False, True)
        ]
        for model in models:
            getattr(model.fit(IRIS), method)(IRIS)
        eager, compiled = models
        assert_allclose(losses(compiled), losses(eager), rtol=1e-5, atol=1e-5)


def test_equal_steps_are_compiled_once(traced):
    model = VariationalAutoencoder(**FEW, compile=True).fit(IRIS)
    n = len(traced)
    for change in ({"learning_rate": 1e-2}, {"random_state": 3}, {"beta": 0.5}, {"max_epochs": 7}):
        model.set_params(**change).fit(IRIS)
    assert len(traced) == n == 2
    model.set_params(n_components=1).fit(IRIS)
    assert len(traced) == 4


def test_long_fits_are_compiled_by_themselves(traced, monkeypatch):
    monkeypatch.setattr(whole_step, "LONG", 9)
    VariationalAutoencoder(**FEW).set_params(max_epochs=2).fit(IRIS)  # 6 steps
    VariationalAutoencoder(**FEW, max_steps=8).fit(IRIS)
    VariationalAutoencoder(**FEW, compile=False).fit(IRIS)
    VariationalAutoencoder(**FEW).partial_fit(IRIS)
    assert not traced
    VariationalAutoencoder(**FEW).fit(IRIS)
    assert traced
    # Silently not, where it cannot be done.
    VariationalAutoencoder(**FEW, objective="infovae").fit(IRIS)


class Listener(Callback):
    """Hears of every batch."""

    def on_batch_end(self, net, batch=None, y_pred=None, **kwargs):
        assert y_pred is not None or not net.module_.training


class ByTheEpoch(ELBO):
    """An objective of a weight that no one is told of."""

    def __call__(self, x, posterior, z, likelihood, prior, epoch=None):
        bound = super().__call__(x, posterior, z, likelihood, prior, epoch)
        return bound._replace(loss=bound.loss * (1 if epoch is None or epoch > 1 else 2))


WHOLE_NOT = {
    "an objective that draws": ({"objective": "infovae"}, "InfoVAE draws random numbers"),
    "an objective by the epoch": ({"objective": ByTheEpoch()}, "depends on the epoch"),
    "a callback": ({"callbacks": [Listener()]}, "Listener defines on_batch_end"),
    "torch's dropout": (
        {"encoder": torch.nn.Sequential(torch.nn.LazyLinear(8), torch.nn.Dropout(0.1))},
        "draws random numbers",
    ),
}


@pytest.mark.parametrize("name", WHOLE_NOT)
def test_what_cannot_be_compiled_runs_as_written(traced, monkeypatch, name):
    asked = []
    monkeypatch.setattr(whole_step, "compile_networks", lambda *args: asked.append(args))
    params, reason = WHOLE_NOT[name]
    fits = []
    for is_compiled in (False, True):
        with warnings.catch_warnings(record=True) as said, torch.random.fork_rng():
            warnings.simplefilter("always")
            torch.manual_seed(0)
            model = VariationalAutoencoder(**FEW | params, compile=is_compiled)
            fits.append(model.fit(IRIS))
    assert not traced
    assert len(asked) == 1
    (text,) = (str(w.message) for w in said if "compile=True" in str(w.message))
    assert reason in text
    assert losses(fits[0]) == losses(fits[1])


class Counts(ELBO):
    """An objective that counts its calls."""

    def __call__(self, x, posterior, z, likelihood, prior, epoch=None):
        bound = super().__call__(x, posterior, z, likelihood, prior, epoch)
        self.n_calls = getattr(self, "n_calls", 0) + 1
        return bound._replace(loss=bound.loss * (1 + self.n_calls / 100))


class Outside(ELBO):
    """An objective that leaves torch."""

    def __call__(self, x, posterior, z, likelihood, prior, epoch=None):
        bound = super().__call__(x, posterior, z, likelihood, prior, epoch)
        return bound._replace(loss=bound.loss + torch.from_numpy(np.sin(x.numpy())).sum(1))


class Reads(ELBO):
    """An objective that goes by a number in the batch."""

    def __call__(self, x, posterior, z, likelihood, prior, epoch=None):
        bound = super().__call__(x, posterior, z, likelihood, prior, epoch)
        return bound._replace(loss=bound.loss * (2 if x.mean() > 0 else 1))


class Sizes(ELBO):
    """An objective of the rows of a kind."""

    def __call__(self, x, posterior, z, likelihood, prior, epoch=None):
        bound = super().__call__(x, posterior, z, likelihood, prior, epoch)
        is_low = x[:, 0] < x[:, 0].mean()
        return bound._replace(loss=bound.loss + bound.loss[is_low].mean())


class Sums(ELBO):
    """An objective that keeps a sum."""

    def __call__(self, x, posterior, z, likelihood, prior, epoch=None):
        bound = super().__call__(x, posterior, z, likelihood, prior, epoch)
        self.total = getattr(self, "total", torch.zeros(()))
        self.total += bound.loss.mean().detach()
        return bound._replace(loss=bound.loss + self.total)


REPLAYED_NOT = {kind.__name__: {"objective": kind()} for kind in (Counts, Outside, Sizes, Reads)}
REPLAYED_NOT |= {"Sums": {"objective": Sums()}, "others' callbacks": {"callbacks": [Callback()]}}


def test_what_has_no_compiler_that_works_is_replayed(traced, replayed, monkeypatch):
    def stumble(graph, inputs, options=None):
        raise torch._inductor.exc.InductorError(KeyError("buf43"), None)

    monkeypatch.setattr(torch._inductor, "compile", stumble)
    monkeypatch.setattr(whole_step, "LONG", 9)
    fits = both(IRIS, ways=(False, "auto"))
    assert len(replayed) == 2
    assert_same_bits(fits, IRIS)


@pytest.mark.parametrize("name", [*REPLAYED_NOT, *WHOLE_NOT])
def test_what_cannot_be_replayed_runs_as_written(replayed, name):
    params = REPLAYED_NOT[name] if name in REPLAYED_NOT else WHOLE_NOT[name][0]
    fits = []
    for way in (False, "auto"):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            fits.append(VariationalAutoencoder(**FEW | params, compile=way).fit(IRIS))
    assert losses(fits[0]) == losses(fits[1])


def test_equal_steps_are_scripted_once(replayed, monkeypatch):
    monkeypatch.setattr(recording, "_kept", type(recording._kept)())
    traced, trace = [], torch.jit.trace

    def counted(*args, **kwargs):
        traced.append(args)
        return trace(*args, **kwargs)

    monkeypatch.setattr(torch.jit, "trace", counted)
    model = VariationalAutoencoder(**FEW).fit(IRIS)
    for change in ({"learning_rate": 1e-2}, {"random_state": 3}, {"beta": 0.5}, {"max_epochs": 7}):
        model.set_params(**change).fit(IRIS + 1)
    assert len(traced) == 2
    model.set_params(n_components=1).fit(IRIS)
    assert len(traced) == 4
    monkeypatch.setattr(recording, "MOST_KEPT", 2)
    model.fit(IRIS)
    model.set_params(n_components=2).fit(IRIS)
    assert len(traced) == 6
    assert len(recording._kept) == 2


def test_beside_a_compiled_step_the_smaller_last_one_is_replayed(traced, replayed, monkeypatch):
    monkeypatch.setattr(whole_step, "FEWEST_EPOCHS", 100)
    eager, compiled = both(IRIS)
    assert len(traced) == len(replayed) == 1
    assert_allclose(losses(compiled), losses(eager), rtol=1e-5, atol=1e-5)
    # Where it cannot be, nothing is said, and the others stay compiled.
    X, params = STEPS["images"]
    eager, compiled = both(X, **params)
    assert len(traced) == len(replayed) == 2
    assert_allclose(losses(compiled), losses(eager), rtol=1e-5, atol=1e-5)


def changed_by_position(x, constant):
    return (constant.add_(x),)


def changed_by_name(x, constant):
    return (torch.add(x, 1, out=constant),)


def changed_in_a_list(x, constant):
    torch._foreach_add_([x.clone(), constant], 1.0)
    return (x + constant,)


@pytest.mark.parametrize("change", [changed_by_position, changed_by_name, changed_in_a_list])
def test_a_recording_changes_nothing_that_it_was_not_given(change):
    constant = torch.ones(3)
    with pytest.raises(ValueError, match="changes a tensor"):
        recording.Recording(lambda x: change(x, constant), [torch.ones(3)])
    assert_array_equal(constant, 1)


def test_gradients_are_owned_and_lie_as_their_parameters():
    batch, shared, own = torch.ones(3, 2), torch.ones(3, 2), torch.ones(3, 2)
    gradients = [batch, shared, shared, torch.ones(2, 3).t(), torch.ones(()).expand(3, 2), own]
    parameters = [torch.zeros(3, 2) for _ in gradients]
    owned = whole_step._owned(gradients, parameters, [batch])
    assert owned[-1] is own
    assert len({tensor.data_ptr() for tensor in [batch, *owned]}) == 1 + len(owned)
    for one in owned:
        assert_array_equal(one, 1)
        assert one.stride() == (2, 1)


def test_recordings_that_differ_in_a_constant_have_other_keys():
    x, zeros = torch.ones(4), torch.zeros(4)
    others = [zeros, zeros + 1, zeros.int(), zeros[:1], zeros[None], zeros.bfloat16()]
    made = [recording.Recording(lambda x, c=constant: (x + c,), [x]) for constant in others]
    assert len({one.key([x]) for one in made}) == len(others)
    for one, constant in zip(made, others, strict=True):
        assert_array_equal(one(2 * x)[0], 2 * x + constant)
        assert_array_equal(one.graph()(2 * x)[0], 2 * x + constant)


def twice(x):
    return ((x + 1) * torch.exp(x + 1),)


def before_and_after_a_change(x):
    y = x * 2
    view = y.view(-1)
    first = view.sum() + x.sum()
    y.relu_()
    return first, view.sum() - x.sum()


def a_view_before_a_change(x):
    y = x * 2
    doubled = x * 2
    y.view(-1).add_(1.0)
    return (y - doubled,)


def one_input_in_two_ways(x):
    return x * 2, x * 2


def made_of_constants(x):
    return (x + torch.tril(torch.ones(3, 3), -1)[1] * 2,)


def a_view_of_a_constant(x):
    return x + 1, torch.ones(3, 3)[1]


@pytest.mark.parametrize(
    ("function", "n_calls"),
    [
        (twice, 3),
        (before_and_after_a_change, 8),
        (a_view_before_a_change, 5),
        (one_input_in_two_ways, 2),
        (made_of_constants, 1),
        (a_view_of_a_constant, 3),
    ],
)
def test_a_recording_does_once_what_is_the_same(function, n_calls):
    recorded = recording.Recording(function, [torch.ones(3)])
    assert len(recorded.calls) == n_calls
    x = torch.tensor([-1.0, 0.5, 2.0])
    for run in (recorded, recorded.graph(), scripted(recorded, [torch.ones(3)])):
        for _ in range(2):
            found = run(x.clone())
            assert_equal([y.numpy() for y in found], [y.numpy() for y in function(x.clone())])
            for y in found:  # who gets it may change it
                y.add_(1.0)


def test_large_constants_are_made_in_every_call(monkeypatch):
    monkeypatch.setattr(recording, "MOST_FOLDED", 3)
    recorded = recording.Recording(lambda x: (x + torch.zeros(3),), [torch.ones(3)])
    assert len(recorded.calls) == 2
    assert not recorded.constants


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
def test_numbers_are_tensors_of_what_they_meet(dtype):
    def function(x):
        return x * 3, x + 0.1, 2 - x[0], x / 3, x.sum() * 0.1

    x = torch.arange(5).to(dtype)
    recorded = recording.Recording(function, [x])
    for found, asked in zip(scripted(recorded, [x])(x), function(x), strict=True):
        assert found.dtype == asked.dtype
        assert torch.equal(found, asked)


def test_short_fits_and_large_batches_run_as_written(replayed, monkeypatch):
    monkeypatch.setattr(whole_step, "REPLAYED", 10)
    VariationalAutoencoder(**FEW).fit(IRIS)  # 9 steps
    monkeypatch.setattr(whole_step, "REPLAYED", 9)
    monkeypatch.setattr(whole_step, "SMALL", 64 * 4 - 1)
    VariationalAutoencoder(**FEW).fit(IRIS)
    assert len(replayed) == 1  # the smaller last one
    monkeypatch.setattr(whole_step, "SMALL", 64 * 4)
    VariationalAutoencoder(**FEW).fit(IRIS)
    assert len(replayed) == 3


def test_without_the_interpreter_steps_run_as_written(replayed, monkeypatch):
    written = VariationalAutoencoder(**FEW, compile=False).fit(IRIS)
    monkeypatch.setattr(sys, "version_info", (3, 14))
    fits = written, VariationalAutoencoder(**FEW).fit(IRIS)
    assert_same_bits(fits, IRIS)


def test_fewer_loops_are_joined_where_torch_stumbles(traced, monkeypatch):
    tried = []

    def stumble(graph, inputs, options=None):
        tried.append(options)
        if "max_fusion_size" not in options:
            raise torch._inductor.exc.InductorError(KeyError("buf43"), None)
        return graph

    monkeypatch.setattr(torch._inductor, "compile", stumble)
    eager, compiled = both(IRIS)
    at_first = {"size_asserts": False}
    assert tried == [at_first, at_first | {"max_fusion_size": 8}] * 2
    assert_allclose(losses(compiled), losses(eager), rtol=1e-5)


def test_files_that_cannot_be_loaded_are_made_anew(traced, monkeypatch):
    folders = []

    def load(graph, inputs, options=None):
        folders.append(os.environ.get("TORCHINDUCTOR_CACHE_DIR"))
        if len(folders) % 2:
            raise torch._inductor.exc.InductorError(ImportError("file too short"), None)
        return graph

    monkeypatch.setattr(torch._inductor, "compile", load)
    eager, compiled = both(IRIS)
    assert len(folders) == 4
    assert folders[0] == folders[2] != folders[1] != folders[3]
    assert_allclose(losses(compiled), losses(eager), rtol=1e-5)


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(file / "below"))
    with recording._writable_cache():
        assert os.access(os.environ["TORCHINDUCTOR_CACHE_DIR"], os.W_OK)
    folder = str(tmp_path / "new")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", folder)
    with recording._writable_cache():
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == folder


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_are_those_of_torch(name, decay):
    generator = torch.Generator().manual_seed(0)
    start, *gradients = torch.randn((6, 40, 7), generator=generator, dtype=torch.float64)
    theirs = torch.nn.Parameter(start.clone())
    optimizer = OPTIMIZERS[name]([theirs], lr=1e-2, weight_decay=decay)
    update, group = UPDATES[type(optimizer).__name__], optimizer.param_groups[0]
    for step, gradient in enumerate(gradients, 1):
        if step == 2:  # the first makes the slots
            ours = theirs.detach().clone()
            slots = [optimizer.state[theirs][slot].clone() for slot in update.slots]
        theirs.grad = gradient.clone()
        optimizer.step()
        if step > 1:
            numbers = [torch.tensor(n, dtype=torch.float64) for n in update.numbers(group, step)]
            update.apply(ours, gradient, slots, numbers, group)
    assert_allclose(ours, theirs.detach(), rtol=1e-12)


def test_it_compiles_once(monkeypatch, tmp_path):
    """Torch's compiler itself: dropout, a linear path, a clip. Another process finds its files."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    eager, compiled = both(IRIS, gradient_clip=0.5, dropout=0.1)
    assert_allclose(losses(compiled), losses(eager), rtol=1e-5, atol=1e-5)
    monkeypatch.setattr(recording, "_kept", type(recording._kept)())  # as in a new process
    counters = import_module("torch._dynamo.utils").counters
    counters.clear()
    _, again = both(IRIS, gradient_clip=0.5, dropout=0.1)
    assert losses(again) == losses(compiled)
    assert counters["inductor"]["fxgraph_cache_hit"]
    assert not counters["inductor"]["fxgraph_cache_miss"]
