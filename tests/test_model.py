"""Parts of the model: shapes, divergences, network sizes."""

import numpy as np
import pytest
import torch
from torch import distributions as td

from skvae import VariationalAutoencoder
from skvae._architecture import Architecture
from skvae.distributions import Independent, Normal
from skvae.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian
from skvae.model import VAE, Batch, kl_per_component
from skvae.networks import RowsToImages
from tests.foreign import LaplacePrior

LIKELIHOODS = [
    Bernoulli(), ContinuousBernoulli(), Gaussian(), Gaussian("shared"), Gaussian("row"),
    Gaussian(2.0),
]  # fmt: skip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def build(n_features=6, likelihood="gaussian", **params):
    params = vars(VariationalAutoencoder(hidden_layer_sizes=(16,))) | params
    told = {name: params.pop(name, 0) for name in ("n_context", "encoder_sees_context")}
    architecture = Architecture.of(params | {"likelihood": likelihood}, n_features, 100, **told)
    half = torch.full((n_features,), 0.5).double()
    return architecture.build(half, half / 2, half.expand(3, -1), generator())


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def layers(module):
    return [
        n for layer in module.modules() if (n := sum(p.numel() for p in layer._parameters.values()))
    ]


def test_the_tutorial_network_to_the_parameter():
    model = build(
        784, "bernoulli", image_shape=(28, 28), conv_channels=(32, 64), hidden_layer_sizes=(16,)
    )
    assert layers(model.encoder) == [320, 18_496, 50_192, 68]
    assert layers(model.decoder) == [9_408, 36_928, 18_464, 289]
    assert parameters(model.encoder) == 69_076
    assert parameters(model.decoder) == 65_089
    assert parameters(model) == 69_076 + 65_089


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1),
        (1, 7),
        (7, 1),
        (2, 3),
        (5, 9),
        (28, 28),
        (33, 17, 3),
        (4, 4, 2),
        (64, 48, 3),
        (1, 1, 5),
    ],
)
@pytest.mark.parametrize("channels", [(3,), (3, 4), (2, 3, 4, 5)])
def test_images_of_any_size(shape, channels):
    n_features = int(np.prod(shape))
    model = build(n_features, Gaussian("row"), image_shape=shape, conv_channels=channels)
    x = torch.rand(3, n_features, generator=generator())
    assert model.posterior(x).mean.shape == (3, 2)
    assert model.likelihood(torch.zeros(4, 3, 2)).mean.shape == (4, 3, n_features)


def test_rows_are_images_channels_last_without_a_copy():
    x = torch.arange(2 * 4 * 3 * 2.0).reshape(2, 24)
    images = RowsToImages((4, 3, 2))(x)
    assert images.data_ptr() == x.data_ptr()
    assert images.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(images[1].permute(1, 2, 0), x[1].reshape(4, 3, 2))


def test_the_decoders_pixels_are_where_the_rows_have_them():
    """A bias of the last layer by channel shows up in that channel of the reshaped row."""
    model = build(4 * 3 * 2, Gaussian(1.0), image_shape=(4, 3, 2), conv_channels=(2,))
    with torch.no_grad():
        last = model.decoder[1][0]
        last.weight.zero_()
        last.bias.copy_(torch.tensor([1.0, -1.0]))
        rows = model.decoder(torch.zeros(1, 2)).reshape(4, 3, 2)
    np.testing.assert_array_equal(rows[..., 0], np.ones((4, 3)))
    np.testing.assert_array_equal(rows[..., 1], -np.ones((4, 3)))


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=repr)
def test_forward_returns_the_three_distributions(likelihood):
    model = build(likelihood=likelihood)
    x, noise = torch.rand(5, 6), torch.randn(7, 5, 2)
    posterior, z, p, prior = model(Batch(x), noise)
    assert posterior.batch_shape == (5,)
    assert z.shape == (7, 5, 2)
    assert p.log_prob(x).shape == (7, 5)
    assert prior.log_prob(z).shape == (7, 5)
    torch.testing.assert_close(z[3], posterior.mean + posterior.stddev * noise[3])


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=repr)
def test_likelihoods_integrate_to_one_over_a_feature(likelihood):
    model = build(1, likelihood)
    p = model.likelihood(torch.ones(1, 2))
    if isinstance(likelihood, Bernoulli):
        x = torch.tensor([[0.0], [1.0]])
        mass = p.log_prob(x).exp().sum()
    else:
        low, high = (0, 1) if isinstance(likelihood, ContinuousBernoulli) else (-40, 40)
        x = torch.linspace(low, high, 40_001).double().unsqueeze(1)
        mass = torch.trapezoid(p.log_prob(x).exp().double(), x[:, 0])
    assert mass.item() == pytest.approx(1, abs=2e-4)


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=repr)
def test_likelihood_samples_lie_in_the_support_around_the_mean(likelihood):
    p = build(likelihood=likelihood).likelihood(torch.ones(1, 2))
    x = p.sample((4000,), generator=generator())
    assert likelihood.support.check(x).all()
    error = 5 * x.std(0) / np.sqrt(len(x)) + 1e-6
    assert ((x.mean(0) - p.mean).abs() < error).all()


def test_starting_likelihood_has_the_mean_of_the_columns():
    loc = torch.tensor([0.02, 0.3, 0.5, 0.93]).double()
    for likelihood in (Bernoulli(), ContinuousBernoulli(max_logit=100.0), Gaussian()):
        likelihood.initialize(loc, torch.ones(4).double())
        mean = likelihood(torch.zeros(1, 4, likelihood.n_params)).mean
        torch.testing.assert_close(mean[0].double(), loc, rtol=1e-4, atol=1e-4)


def normal(loc, scale):
    return Independent(Normal(torch.tensor(loc), torch.tensor(scale)))


def test_kl_is_zero_when_posterior_is_prior():
    q = normal([[0.3, -1.0]] * 4, [[0.5, 2.0]] * 4)
    p = normal([0.3, -1.0], [0.5, 2.0])
    torch.testing.assert_close(kl_per_component(q, p, q.mean), torch.zeros(4, 2))


@pytest.mark.parametrize("foreign", [False, True])
def test_kl_against_monte_carlo(foreign):
    q = normal([[0.3, -1.0], [0.0, 2.0]], [[0.5, 0.2], [1.5, 1.0]])
    prior = normal([0.0, 0.0], [1.0, 1.0])
    if foreign:
        prior = LaplacePrior()
        prior.initialize(2)
        prior = prior()
    z = q.reparameterize(torch.randn(200_000, 2, 2, generator=generator()))
    estimate = (q.log_prob(z) - prior.log_prob(z)).mean(0)
    kl = kl_per_component(q, prior, z)
    assert kl.shape[0] == 2
    torch.testing.assert_close(kl.sum(-1), estimate, rtol=0.02, atol=0.02)


def test_kl_of_a_pair_that_does_not_factorise():
    full = td.MultivariateNormal(torch.zeros(3, 2), torch.tensor([[1.0, 0.5], [0.5, 1.0]]))
    prior = td.MultivariateNormal(torch.zeros(2), torch.eye(2))
    kl = kl_per_component(full, prior, torch.zeros(3, 2))
    torch.testing.assert_close(kl, td.kl_divergence(full, prior).unsqueeze(-1))


def test_model_holds_three_distributions():
    model = build()
    assert isinstance(model, VAE)
    assert {name for name, _ in model.named_children()} == {
        "prior", "encoder", "decoder", "likelihood_family",
    }  # fmt: skip
