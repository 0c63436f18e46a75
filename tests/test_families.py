"""Posterior families and priors: densities, moments, divergences, over lists of objects."""

import numpy as np
import pytest
import torch
from torch import distributions as td

from skvae import VariationalAutoencoder
from skvae.distributions import Independent, Mixture, MultivariateNormal, Normal, pairwise_log_prob
from skvae.model import kl_per_component, marginal_kl
from skvae.posteriors import DiagonalNormal, FullNormal, InverseAutoregressiveFlow
from skvae.priors import FlowPrior, MixtureOfGaussians, StandardNormal, VampPrior

N_IN, DIM = 5, 2


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def shaken(module, size=0.3):
    """Move every parameter away from its starting value."""
    noise = generator(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += size * torch.randn(parameter.shape, generator=noise)
    return module.double().eval()


def posterior(family, n=3, dim=DIM):
    family.initialize(N_IN, dim, generator())
    shaken(family)
    return family(torch.randn(n, N_IN, generator=generator(2)).double())


def prior(family, dim=DIM):
    head = DiagonalNormal()
    head.initialize(N_IN, dim, generator())
    family.initialize(dim)
    if hasattr(family, "connect"):
        family.connect(shaken(head), torch.randn(20, N_IN, generator=generator(3)), generator())
    return shaken(family)()


POSTERIORS = [DiagonalNormal, FullNormal, lambda: InverseAutoregressiveFlow(2, (16,), 4)]
PRIORS = [
    StandardNormal, lambda: MixtureOfGaussians(3), lambda: VampPrior(4),
    lambda: VampPrior(4, learn_weights=True), lambda: FlowPrior(2, (16,), 4),
]  # fmt: skip
NAMES = {"posterior": ["diagonal", "full", "flow"]}
NAMES["prior"] = ["normal", "mixture", "vamp", "vamp-weights", "flow"]


@pytest.fixture(params=POSTERIORS, ids=NAMES["posterior"])
def make_posterior(request):
    return request.param


@pytest.fixture(params=PRIORS, ids=NAMES["prior"])
def make_prior(request):
    return request.param


def grid(limit=7.0, n=500):
    axis = torch.linspace(-limit, limit, n).double()
    return torch.cartesian_prod(axis, axis), (2 * limit / (n - 1)) ** 2


def noise(*shape):
    return torch.randn(*shape, generator=generator(4)).double()


class TestPosterior:
    def test_is_a_density(self, make_posterior):
        q = posterior(make_posterior(), n=1)
        z, area = grid()
        assert (q.log_prob(z).exp().sum() * area).item() == pytest.approx(1, abs=1e-3)

    def test_moments_are_those_of_its_draws(self, make_posterior):
        q = posterior(make_posterior())
        z = q.reparameterize(noise(40_000, 3, DIM))
        # A flow's moments are averages over 32 points of its base, good to a tenth of its spread.
        assert ((z.mean(0) - q.mean).abs() <= 0.1 * q.stddev.clamp_min(1)).all()
        torch.testing.assert_close(z.std(0), q.stddev, atol=0.05, rtol=0.1)

    def test_density_of_a_draw_is_that_of_the_same_value_elsewhere(self, make_posterior):
        q = posterior(make_posterior())
        z = q.reparameterize(noise(7, 3, DIM))
        torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()), atol=1e-8, rtol=1e-8)

    def test_change_of_variables(self, make_posterior):
        """log q(z) = log N(noise) − log |det dz/dnoise|, the determinant from autograd."""
        q = posterior(make_posterior(), n=1)
        point = noise(DIM)
        jacobian = torch.autograd.functional.jacobian(
            lambda e: q.reparameterize(e.expand(1, DIM))[0], point
        )
        exact = td.Normal(0.0, 1.0).log_prob(point).sum() - torch.linalg.slogdet(jacobian)[1]
        z = q.reparameterize(point.expand(1, DIM))
        torch.testing.assert_close(q.log_prob(z)[0], exact)

    def test_starts_narrow_and_uncorrelated(self, make_posterior):
        family = make_posterior()
        family.initialize(N_IN, DIM, generator())
        q = family(torch.zeros(1, N_IN))
        torch.testing.assert_close(q.stddev, torch.full((1, DIM), 0.1), rtol=1e-3, atol=1e-3)

    def test_global_generator_is_untouched(self, make_posterior):
        before = torch.get_rng_state()
        posterior(make_posterior()).sample((3,), generator=generator())
        assert torch.equal(before, torch.get_rng_state())

    def test_one_component(self, make_posterior):
        q = posterior(make_posterior(), dim=1)
        z = q.reparameterize(noise(5, 3, 1))
        torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()), atol=1e-8, rtol=1e-8)


class TestPrior:
    def test_is_a_density(self, make_prior):
        z, area = grid()
        p = prior(make_prior())
        assert (p.log_prob(z).exp().sum() * area).item() == pytest.approx(1, abs=1e-3)

    def test_moments_are_those_of_its_draws(self, make_prior):
        p = prior(make_prior())
        z = p.sample((40_000,), generator=generator(5))
        # A flow's moments are averages over 32 points of its base.
        torch.testing.assert_close(z.mean(0), p.mean, atol=0.1, rtol=0)
        torch.testing.assert_close(z.std(0), p.stddev, atol=0.1, rtol=0.05)

    def test_draws_have_the_density(self, make_prior):
        """The entropy, by draws and by quadrature."""
        p = prior(make_prior())
        drawn = p.log_prob(p.sample((20_000,), generator=generator(6)))
        z, area = grid()
        log_prob = p.log_prob(z)
        exact = (log_prob.exp() * log_prob).sum() * area
        error = drawn.std().item() / np.sqrt(20_000)
        assert drawn.mean().item() == pytest.approx(exact.item(), abs=5 * error)

    def test_only_the_generator_decides(self, make_prior):
        before = torch.get_rng_state()
        first, second = (prior(make_prior()).sample((5,), generator=generator()) for _ in range(2))
        assert torch.equal(first, second)
        assert torch.equal(before, torch.get_rng_state())

    def test_one_component(self, make_prior):
        p = prior(make_prior(), dim=1)
        z = torch.linspace(-12, 12, 2001).double().unsqueeze(1)
        assert torch.trapezoid(p.log_prob(z).exp(), z[:, 0]).item() == pytest.approx(1, abs=1e-3)


def test_kl_of_each_pair_against_monte_carlo(make_posterior, make_prior):
    q, p = posterior(make_posterior()), prior(make_prior())
    z = q.reparameterize(noise(40_000, 3, DIM))
    ratio = q.log_prob(z) - p.log_prob(z)
    kl = kl_per_component(q, p, q.reparameterize(noise(4000, 3, DIM))).sum(-1)
    error = ratio.std(0) * (1 / 200 + 1 / 63)  # of the estimate, and of kl where it is one
    assert ((kl - ratio.mean(0)).abs() < 5 * error).all()
    assert marginal_kl(q, p).shape == (3, DIM)
    assert (marginal_kl(q, p) >= 0).all()


def test_marginal_kl_is_that_of_normals_with_the_same_moments(make_posterior, make_prior):
    q, p = posterior(make_posterior()), prior(make_prior())
    ratio = (q.stddev / p.stddev).square()
    shift = ((q.mean - p.mean) / p.stddev).square()
    torch.testing.assert_close(marginal_kl(q, p), 0.5 * (ratio + shift - 1 - ratio.log()))


def test_closed_forms_agree_with_torch():
    q = posterior(FullNormal())
    exact = td.MultivariateNormal(q.loc, scale_tril=q.scale_tril)
    standard = td.MultivariateNormal(torch.zeros(DIM).double(), torch.eye(DIM).double())
    z = noise(4, 3, DIM)
    torch.testing.assert_close(q.log_prob(z), exact.log_prob(z))
    torch.testing.assert_close(q.variance, exact.variance)
    kl = kl_per_component(q, prior(StandardNormal()), z)
    torch.testing.assert_close(kl[:, 0], td.kl_divergence(exact, standard))


def test_the_density_of_a_draw_keeps_its_digits_where_the_scale_is_near_singular():
    """To recover the noise from z would give a bound of +1e19 on log p, and training would."""
    scale_tril = torch.tensor([[1.0, 0.0], [1e6, 1e-6]])
    q = MultivariateNormal(torch.tensor([3.0, 3.0]), scale_tril)
    e = torch.randn(50, 2, generator=generator())
    exact = td.Normal(0.0, 1.0).log_prob(e).sum(-1) - scale_tril.diagonal().log().sum()
    torch.testing.assert_close(q.log_prob(q.reparameterize(e)), exact)


def test_correlations_stay_away_from_one():
    family = FullNormal()
    family.initialize(N_IN, 3, generator())
    shaken(family, size=30.0)
    q = family(torch.randn(50, N_IN, generator=generator(2)).double())
    scale = q.scale_tril / q.stddev.unsqueeze(-1)
    assert ((scale @ scale.mT)[:, [0, 0, 1], [1, 2, 2]].abs() < 0.9999).all()
    assert (torch.linalg.cond(scale) < 1e4).all()


def test_a_full_normal_without_correlation_is_the_diagonal_one():
    loc, scale = noise(3, DIM), noise(3, DIM).exp()
    full = MultivariateNormal(loc, torch.diag_embed(scale))
    diagonal = Independent(Normal(loc, scale))
    z = noise(4, 3, DIM)
    torch.testing.assert_close(full.log_prob(z), diagonal.log_prob(z))
    torch.testing.assert_close(full.reparameterize(z), diagonal.reparameterize(z))


def test_mixture_agrees_with_torch():
    weights, loc, scale = noise(4), noise(4, DIM), noise(4, DIM).exp()
    ours = Mixture(weights, Independent(Normal(loc, scale)))
    theirs = td.MixtureSameFamily(
        td.Categorical(logits=weights), td.Independent(td.Normal(loc, scale), 1)
    )
    z = noise(6, 3, DIM)
    torch.testing.assert_close(ours.log_prob(z), theirs.log_prob(z))
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.variance, theirs.variance)


def test_pairs_of_narrow_normals_keep_their_digits_in_float32():
    loc, scale = 3 + noise(50, 40), torch.full((50, 40), 0.01).double()
    z = loc[:7] + 0.01 * noise(7, 40)
    exact = td.Independent(td.Normal(loc, scale), 1).log_prob(z.unsqueeze(1))
    single = Independent(Normal(loc.float(), scale.float()))
    ours = pairwise_log_prob(single, z.float())
    # What is lost is that the values themselves are rounded.
    torch.testing.assert_close(ours.diagonal(), exact.diagonal().float(), rtol=1e-3, atol=0.05)


def test_vamp_prior_of_one_pseudo_input_is_that_posterior():
    encoder = DiagonalNormal()
    encoder.initialize(N_IN, DIM, generator())
    x = torch.randn(1, N_IN, generator=generator(7))
    vamp = VampPrior(1)
    vamp.initialize(DIM)
    vamp.connect(encoder, x, generator())
    z = torch.randn(9, DIM, generator=generator(8))
    torch.testing.assert_close(vamp().log_prob(z), encoder(x).log_prob(z.unsqueeze(1))[:, 0])
    torch.testing.assert_close(vamp().mean, encoder(x).mean[0])


def test_vamp_prior_shares_the_encoder_and_does_not_own_it():
    X = np.random.RandomState(0).randn(60, 4)
    vae = VariationalAutoencoder(prior="vamp", max_epochs=2, random_state=0).fit(X)
    model = vae.net_.module_
    assert model.prior._encoder[0] is model.encoder
    assert {name for name, _ in model.prior.named_parameters()} == {"pseudo_inputs", "log_weights"}


def test_flow_prior_starts_as_the_standard_normal():
    flow = FlowPrior()
    flow.initialize(3)
    flow.connect(None, None, generator())
    z = torch.randn(20, 3, generator=generator())
    exact = td.Independent(td.Normal(torch.zeros(3), torch.ones(3)), 1).log_prob(z)
    torch.testing.assert_close(flow().log_prob(z), exact, atol=1e-4, rtol=1e-4)


def test_learned_priors_fit_groups_better_than_the_standard_normal():
    rng = np.random.RandomState(0)
    centres = np.array([[-6.0, 0, 0, 1], [6, 0, 1, 0], [0, 8, 0, 0]])
    X = centres[rng.randint(3, size=600)] + 0.3 * rng.randn(600, 4)
    settings = {"max_epochs": 150, "learning_rate": 5e-3, "random_state": 0}
    plain, *learned = (
        VariationalAutoencoder(prior=name, **settings).fit(X[:400]).score(X[400:])
        for name in ("normal", "mixture", "vamp", "flow")
    )
    assert min(learned) > plain


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"prior": MixtureOfGaussians(0)}, "n_components of MixtureOfGaussians is 0"),
        ({"prior": VampPrior("many")}, "n_pseudo_inputs of VampPrior is 'many'"),
    ],
)
def test_bad_arguments(part, message):
    with pytest.raises(ValueError, match=message):
        VariationalAutoencoder(max_epochs=1, **part).fit(np.random.RandomState(0).randn(20, 3))


@pytest.mark.parametrize("part", [{"prior": "flow"}, {"posterior_family": "flow"}])
def test_without_zuko_the_extra_is_named(part, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "zuko", None)
    with pytest.raises(ImportError, match=r"skvae\[flows\]"):
        VariationalAutoencoder(max_epochs=1, **part).fit(np.random.RandomState(0).randn(20, 3))
