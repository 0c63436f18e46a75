"""Options of the networks and of training."""

import math

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch import nn

from skvae import VariationalAutoencoder
from skvae._training.schedules import SCHEDULES
from skvae.initialization import draw_bends, materialize
from skvae.model import Batch
from skvae.networks import (
    ACTIVATIONS,
    NORMALIZATIONS,
    BatchNorm,
    Distortion,
    Dropout,
    Hidden,
    dense,
)
from tests.pairs import covering

X = np.random.RandomState(0).rand(90, 48)


def vae(**params):
    quick = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0}
    return VariationalAutoencoder(**(quick | params))


@pytest.mark.parametrize(
    ("shape", "conv_block", "normalization", "dropout"),
    covering([None, (8, 6), (4, 4, 3)], ["plain", "residual"], [None, *NORMALIZATIONS], [0.0, 0.3]),
)
def test_every_pair_of_options_fits_and_repeats(shape, conv_block, normalization, dropout):
    params = {"image_shape": shape, "conv_channels": (3, 4), "conv_block": conv_block}
    params |= {"normalization": normalization, "dropout": dropout, "activation": "gated"}
    before = torch.get_rng_state()
    one, other = (vae(**params).fit(X) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert np.isfinite(one.score(X))
    assert np.array_equal(one.transform(X), other.transform(X))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation):
    layers = materialize(
        lambda: nn.Sequential(*dense([3, 5, 2], Hidden(activation))), torch.Generator()
    )
    assert layers(torch.ones(4, 3)).shape == (4, 2)


def test_bends_are_within_one_over_the_root_of_the_inputs():
    def drawn():
        generator = torch.Generator().manual_seed(0)
        return materialize(lambda: nn.Linear(16, 10_000), generator, draw_bends)

    before = torch.get_rng_state()
    layer, again = drawn(), drawn()
    assert torch.equal(before, torch.get_rng_state())
    for numbers, same in zip(layer.parameters(), again.parameters(), strict=True):
        assert torch.equal(numbers, same)
        assert numbers.abs().max().item() == pytest.approx(0.25, rel=1e-3)
        assert numbers.mean().item() == pytest.approx(0, abs=0.01)


def test_gated_is_the_product_of_a_linear_map_and_a_sigmoid():
    linear, gate = materialize(
        lambda: nn.Sequential(*dense([3, 5], Hidden("gated"))), torch.Generator()
    )
    x = torch.rand(4, 3)
    value, opening = linear(x).chunk(2, -1)
    torch.testing.assert_close(gate(linear(x)), value * opening.sigmoid())


def test_dropout_keeps_the_mean_and_drops_the_fraction():
    layer = Dropout(0.25)
    layer.generator = torch.Generator().manual_seed(0)
    out = layer(torch.ones(200_000))
    assert (out == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert out.mean().item() == pytest.approx(1, abs=0.01)
    assert torch.equal(layer.eval()(torch.ones(5)), torch.ones(5))


@pytest.mark.parametrize("p", [1e-9, 0.1, 0.5, 1 - 1e-9])
@pytest.mark.parametrize("shape", [(1,), (7, 5), (3, 4, 5, 2)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_dropout_of_any_fraction_and_shape(p, shape, dtype):
    """Also where the draws do not come out even, and where next to none or all are dropped."""
    layer = Dropout(p)
    layer.generator = torch.Generator().manual_seed(0)
    x = torch.ones(shape, dtype=dtype, requires_grad=True)
    out = layer(x)
    assert (out.dtype, out.shape) == (x.dtype, x.shape)
    assert torch.isfinite(out).all()
    assert len(out.unique()) <= 2
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(gradient, out)


def test_dropout_of_neighbours_is_independent():
    """Four of them are made of one draw."""
    layer = Dropout(0.25)
    layer.generator = torch.Generator().manual_seed(0)
    dropped = (layer(torch.ones(100_000, 4)) == 0).double()
    torch.testing.assert_close(
        dropped.T.cov(), 0.25 * 0.75 * torch.eye(4).double(), atol=5e-3, rtol=0
    )


@pytest.mark.parametrize("image_shape", [(8, 8, 1), (5, 7, 3), (1, 4, 1)])
class TestDistortion:
    def distortion(self, image_shape, **strengths):
        layer = Distortion(image_shape)
        layer.generator = torch.Generator().manual_seed(0)
        for name, value in strengths.items():
            setattr(layer, name, value)
        return layer

    def rows(self, image_shape, n=6):
        return torch.rand(n, math.prod(image_shape), generator=torch.Generator().manual_seed(1))

    def test_only_in_training_and_by_its_own_generator(self, image_shape):
        layer, x = self.distortion(image_shape), self.rows(image_shape)
        state = torch.get_rng_state()
        one, other = layer(x), layer(x)
        assert torch.equal(torch.get_rng_state(), state)
        assert one.shape == x.shape
        assert not torch.equal(one, other)
        layer.generator.manual_seed(0)
        assert torch.equal(layer(x), one)
        assert torch.equal(layer.eval()(x), x)

    def test_without_strength_it_changes_nothing(self, image_shape):
        layer = self.distortion(image_shape, MAP=0.0, CONTRAST=0.0, NOISE=0.0)
        x = self.rows(image_shape)
        torch.testing.assert_close(layer(x), x, atol=1e-5, rtol=0)

    def test_a_shift_is_what_numpy_calls_a_roll(self, image_shape):
        """One bright column of pixels, one pixel further; and channels are not mixed."""
        height, width, channels = image_shape
        layer = self.distortion(image_shape, CONTRAST=0.0, NOISE=0.0, MAP=1.0)
        by_one = torch.zeros(1, 2, 3)
        by_one[0, 0, 2] = -2 / width
        layer._normal = lambda x, *shape: by_one if shape == (2, 3) else torch.zeros(1, *shape)
        image = torch.zeros(height, width, channels)
        image[:, 1, -1] = 1
        expected = image.roll(1, dims=1).flatten()
        torch.testing.assert_close(layer(image.view(1, -1))[0], expected, atol=1e-5, rtol=0)


def test_an_image_of_one_pixel_has_no_noise():
    layer = Distortion((1, 1, 1))
    assert torch.isfinite(layer(torch.rand(5, 1))).all()


def test_layer_norm_is_torchs():
    x = torch.randn(5, 7)
    torch.testing.assert_close(NORMALIZATIONS["layer"](7)(x), nn.LayerNorm(7)(x))


def test_batch_norm_is_torchs_and_takes_one_row():
    x = torch.randn(5, 7)
    ours, theirs = BatchNorm(7), nn.BatchNorm1d(7)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
    assert torch.isfinite(ours.train()(x[:1])).all()
    vae(normalization="batch", batch_size=1).fit(X[:5])


def test_noise_is_another_in_every_epoch():
    class Seeds(Callback):
        seen = ()

        def on_batch_begin(self, net, **kwargs):
            (layer, *_) = [m for m in net.module_.modules() if isinstance(m, Dropout)]
            Seeds.seen = (*Seeds.seen, layer.generator.initial_seed())

    model = vae(dropout=0.3, max_epochs=3, batch_size=90, callbacks=[Seeds()]).fit(X)
    assert len(set(Seeds.seen)) == len(Seeds.seen) == 3
    assert all(m.generator is None for m in model.encoder_.modules() if isinstance(m, Dropout))


def test_a_dropped_out_fit_continues_as_if_never_interrupted():
    params = {"dropout": 0.3, "learning_rate_schedule": "constant"}
    whole = vae(max_epochs=4, **params).fit(X)
    halves = vae(max_epochs=2, warm_start=True, **params).fit(X).fit(X)
    assert np.array_equal(whole.transform(X), halves.transform(X))


class Rates(Callback):
    seen = ()

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            Rates.seen = (*Rates.seen, net.optimizer_.param_groups[0]["lr"])


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_of_the_learning_rate(name):
    Rates.seen = ()
    vae(learning_rate_schedule=name, learning_rate=0.5, batch_size=10, callbacks=[Rates()]).fit(X)
    rates = np.array(Rates.seen)
    assert len(rates) == 18
    expected = [0.5 * SCHEDULES[name](step / 18) for step in range(18)]
    np.testing.assert_allclose(rates, expected)
    assert rates.max() <= 0.5
    assert name == "constant" or rates[-1] < 0.05
    assert name != "one_cycle" or rates[0] == pytest.approx(0.02)


@pytest.mark.parametrize("schedule", ["auto", "cosine"])
def test_partial_fit_has_a_constant_rate(schedule):
    Rates.seen = ()
    vae(learning_rate_schedule=schedule, callbacks=[Rates()]).partial_fit(X).partial_fit(X)
    assert set(Rates.seen) == {1e-3}


class Steady(LRScheduler):
    """Works without arguments: skorch takes a class for an object of it."""

    def __init__(self):
        super().__init__("ExponentialLR", gamma=1.0)


PACED = [EarlyStopping("train_loss", patience=50), LRScheduler("ExponentialLR", gamma=1.0)]


@pytest.mark.parametrize(
    ("params", "schedule", "rate"),
    [
        ({}, "one_cycle", 3e-3),
        ({"optimizer": "rmsprop"}, "one_cycle", 3e-3),
        ({"optimizer": "sgd"}, "one_cycle", 1e-3),
        ({"learning_rate": 0.01}, "one_cycle", 0.01),
        ({"learning_rate_schedule": "cosine"}, "cosine", 3e-3),
        ({"learning_rate_schedule": "constant"}, "constant", 1e-3),
        # A fit that may end at any epoch, or whose rate is set by someone else.
        ({"early_stopping": True}, "constant", 1e-3),
        ({"early_stopping": True, "learning_rate_schedule": "cosine"}, "cosine", 3e-3),
        ({"callbacks": PACED[:1]}, "constant", 1e-3),
        ({"callbacks": [("pace", PACED[1])], "learning_rate": 0.01}, "constant", 0.01),
        ({"callbacks": [Steady]}, "constant", 1e-3),
        ({"callbacks": [("pace", Steady)]}, "constant", 1e-3),
    ],
    ids=lambda value: "-".join(value) or "default" if isinstance(value, dict) else None,
)
def test_the_schedule_that_auto_chooses(params, schedule, rate):
    Rates.seen = ()
    callbacks = [*params.get("callbacks", []), Rates()]
    vae(**(params | {"callbacks": callbacks}), batch_size=10).fit(X)
    n_steps = len(Rates.seen)
    expected = [rate * SCHEDULES[schedule](step / n_steps) for step in range(n_steps)]
    np.testing.assert_allclose(Rates.seen, expected)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
def test_weight_decay_shrinks_the_weights(optimizer):
    def norm(weight_decay):
        params = {"optimizer": optimizer, "learning_rate": 1e-3, "max_epochs": 20}
        model = vae(weight_decay=weight_decay, **params).fit(X)
        return sum(p.square().sum().item() for p in model.encoder_.parameters())

    assert norm(10.0) < norm(0.0)


@pytest.mark.parametrize("family", ["diagonal", "full", "flow"])
def test_posteriors_keep_full_precision_in_a_bfloat16_region(family):
    model = vae(posterior_family=family).fit(X).net_.module_
    noise = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0))
    x = torch.from_numpy(X[:4]).float()
    with torch.autocast("cpu", torch.bfloat16):
        posterior, z, _, prior = model(Batch(x), noise)
    assert z.dtype == posterior.log_prob(z).dtype == prior.log_prob(z).dtype == torch.float32
    torch.testing.assert_close(
        posterior.log_prob(z), posterior.log_prob(z.clone()), atol=1e-3, rtol=1e-3
    )


def test_weight_decay_leaves_biases_gains_and_noise_alone():
    net = vae(normalization="layer", weight_decay=0.3, likelihood="gaussian").fit(X).net_
    decayed, rest = net.optimizer_.param_groups
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.3, 0)
    named = {id(p): name for name, p in net.module_.named_parameters()}
    assert {named[id(p)] for p in decayed["params"]} == {
        name for name, p in net.module_.named_parameters() if p.ndim > 1
    }
    assert "likelihood_family.log_scale" in {named[id(p)] for p in rest["params"]}


def test_gradient_clip_bounds_the_step():
    """Plain descent moves the weights by at most the rate times the clipped norm."""

    def moved(gradient_clip):
        params = {"optimizer": "sgd", "learning_rate": 1e-5, "batch_size": 90, "max_epochs": 1}
        model = vae(gradient_clip=gradient_clip, **params)
        after = model.fit(X).net_.module_.state_dict()
        return after

    free, clipped = moved(None), moved(1e-9)
    start = moved(1e-12)
    distance = [
        sum((state[k] - start[k]).square().sum().item() for k in state if "weight" in k)
        for state in (free, clipped)
    ]
    assert distance[1] <= 1e-12 < distance[0]
