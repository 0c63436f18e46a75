"""Objectives: identities between them, gradients, schedules."""

import copy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import distributions as td

import skvae
from skvae import VariationalAutoencoder
from skvae.likelihoods import StudentT
from skvae.model import Batch
from skvae.objectives import (
    ELBO,
    IWAE,
    BetaTCVAE,
    CyclicalAnnealing,
    InfoVAE,
    LinearWarmup,
    Trimmed,
    aggregate_log_prob,
    maximum_mean_discrepancy,
)
from tests.test_model import build

FAMILIES = ["diagonal", "full", "flow"]
PRIORS = ["normal", "mixture", "vamp", "flow"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(n_samples=4, n=9, **params):
    # Far from a start at which the posterior is exact, and every draw weighs the same.
    model = build(**({"likelihood": "gaussian", "linear_path": False} | params))
    x = torch.rand(n, 6, generator=generator())
    noise = torch.randn(n_samples, n, 2, generator=generator(1))
    return model, x, model(Batch(x), noise)


def bound(objective, epoch=None, n_samples=4, **params):
    _, x, parts = batch(n_samples, **params)
    return objective(x, *parts, epoch=epoch)


def same_bound(one, other):
    for ours, theirs in zip(one, other, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


class TestELBO:
    def test_is_reconstruction_minus_kl(self):
        model, x, (q, z, p, prior) = batch()
        terms = ELBO()(x, q, z, p, prior)
        exact = td.kl_divergence(td.Normal(q.mean, q.stddev), td.Normal(0.0, 1.0)).sum(-1)
        torch.testing.assert_close(terms.kl, exact)
        torch.testing.assert_close(terms.reconstruction, model.likelihood(z).log_prob(x).mean(0))
        torch.testing.assert_close(terms.loss, exact - terms.reconstruction)

    @pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
    def test_beta_weighs_the_kl(self, beta):
        terms = bound(ELBO(beta=beta))
        torch.testing.assert_close(terms.loss, beta * terms.kl - terms.reconstruction)

    def test_warm_up_is_linear_and_over_outside_training(self):
        objective = ELBO(beta=2.0, kl_warmup_epochs=3)
        assert [objective.kl_weight(e) for e in (0, 1, 2, 3, 9, None)] == [0.5, 1, 1.5, 2, 2, 2]
        terms = bound(objective, epoch=1)
        torch.testing.assert_close(terms.loss, terms.kl - terms.reconstruction)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_free_bits_are_free(self, family):
        free = bound(ELBO(free_bits=1e6), posterior_family=family)
        torch.testing.assert_close(free.loss, -free.reconstruction)
        none = bound(ELBO(free_bits=1e-9), posterior_family=family)
        full = bound(ELBO(), posterior_family=family)
        torch.testing.assert_close(none.loss.mean(), full.loss.mean(), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize(
        "schedule",
        [LinearWarmup(4, 3.0), LinearWarmup(4, 3.0, 9.0), CyclicalAnnealing(4, 2, weight=3.0)],
    )
    def test_a_schedule_is_a_beta(self, schedule):
        for epoch in (0, 1, 3, 9, None):
            terms = bound(ELBO(beta=schedule), epoch=epoch)
            loss = schedule(epoch) * terms.kl - terms.reconstruction
            torch.testing.assert_close(terms.loss, loss)
        assert schedule(None) == 3.0

    def test_a_warm_up_may_fall(self):
        schedule = LinearWarmup(3, 2.0, start=6.0)
        assert [schedule(epoch) for epoch in (0, 1, 2, 3, 9, None)] == [5, 4, 3, 2, 2, 2]

    def test_schedules_reach_a_grid_search(self):
        vae = VariationalAutoencoder(objective=ELBO(beta=CyclicalAnnealing()))
        vae.set_params(objective__beta__n_cycles=7)
        assert vae.get_params()["objective__beta__n_cycles"] == 7

    def test_cycles_start_at_zero_and_end_full(self):
        schedule = CyclicalAnnealing(n_epochs=40, n_cycles=4, ramp=0.5)
        weights = np.array([schedule(epoch) for epoch in range(45)])
        assert (weights[[0, 10, 20, 30]] == 0).all()
        assert (weights[[5, 9, 15, 39, 40, 44]] == 1).all()
        assert ((weights >= 0) & (weights <= 1)).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("prior", PRIORS)
class TestIdentities:
    def test_iwae_of_one_sample_is_the_elbo(self, family, prior):
        _, x, (q, z, p, r) = batch(1, posterior_family=family, prior=prior)
        for objective in (IWAE(1), IWAE(1, doubly_reparameterized=family != "flow")):
            elbo = p.log_prob(x)[0] + r.log_prob(z)[0] - q.log_prob(z)[0]
            torch.testing.assert_close(objective(x, q, z, p, r).loss, -elbo, rtol=1e-4, atol=1e-4)

    def test_iwae_of_one_sample_has_the_elbos_mean(self, family, prior):
        """Where the elbo's KL is exact, the two differ by the noise of a draw."""
        _, x, parts = batch(1, n=3000, posterior_family=family, prior=prior)
        difference = IWAE(1)(x, *parts).loss - ELBO()(x, *parts).loss
        error = difference.std().item() / np.sqrt(3000)
        assert abs(difference.mean().item()) < 5 * error + 1e-4

    def test_beta_tcvae_with_weights_one_is_the_elbo(self, family, prior):
        params = {"posterior_family": family, "prior": prior}
        same_bound(bound(BetaTCVAE(1, 1, 1), **params), bound(ELBO(), **params))

    def test_infovae_without_mmd_is_the_elbo(self, family, prior):
        objective = InfoVAE(mmd=0.0, beta=2.0)
        objective.generator = generator()
        params = {"posterior_family": family, "prior": prior}
        same_bound(bound(objective, **params), bound(ELBO(2.0), **params))


def trained(family):
    """A model whose posterior is near the exact one, where the gradients are compared."""
    rng = np.random.RandomState(0)
    X = rng.randn(300, 2) @ rng.randn(2, 6) + 0.5 * rng.randn(300, 6)
    vae = VariationalAutoencoder(
        posterior_family=family, max_epochs=80, learning_rate=5e-3, random_state=0
    ).fit(X)
    return vae.net_.module_.double(), torch.from_numpy(X[:2])


class TestIWAE:
    def test_rises_with_the_number_of_samples(self):
        _, x, parts = batch(64, n=200)
        q, z, p, prior = parts

        def value(k):
            """The mean over all blocks of k of the 64 draws."""
            log_weight = p.log_prob(x) + prior.log_prob(z) - q.log_prob(z)
            blocks = log_weight.reshape(64 // k, k, -1)
            return (blocks.logsumexp(1) - np.log(k)).mean().item()

        whole = -IWAE(64)(x, *parts).loss.mean().item()
        assert whole == pytest.approx(value(64), abs=1e-4)
        assert np.diff([value(k) for k in (1, 2, 4, 8, 16, 32, 64)]).min() > 0

    @pytest.mark.parametrize("family", ["diagonal", "full"])
    def test_doubly_reparameterized_has_the_same_value_and_mean_gradient(self, family):
        """Tucker et al. 2019, equation 8: equal in expectation, and for the encoder less noisy."""
        model, x = trained(family)
        noise = torch.randn(2, 3 * 20_000, 2, generator=generator(1)).double()

        def gradients(doubly):
            """The gradient in q's location of 20,000 estimates with k = 3, one each."""
            q = model.posterior(x)
            z = q.reparameterize(noise.transpose(0, 1))
            shift = torch.zeros(20_000, 2, 2).double().requires_grad_()
            shifted = z.unflatten(0, (3, 20_000)) + shift
            base = copy.copy(getattr(q, "base_dist", q))
            base.loc = base.loc + shift
            if family == "diagonal":
                base = type(q)(base)
            else:
                base = type(base)(base.loc, base.scale_tril.expand(20_000, 2, 2, 2))
            p = model.likelihood(shifted)
            loss = IWAE(3, doubly)(x, base, shifted, p, model.prior()).loss
            return loss, torch.autograd.grad(loss.sum(), shift)[0]

        (one, ours), (other, theirs) = gradients(True), gradients(False)
        torch.testing.assert_close(one, other)
        error = (ours - theirs).std(0) / np.sqrt(20_000)
        assert ((ours.mean(0) - theirs.mean(0)).abs() < 5 * error).all()
        assert ours.std() < theirs.std()

    def test_doubly_reparameterized_leaves_the_decoders_gradient(self):
        model, x = trained("diagonal")
        noise = torch.randn(5, 2, 2, generator=generator(1)).double()
        ours, theirs = (
            torch.autograd.grad(
                IWAE(5, doubly)(x, *model(Batch(x), noise)).loss.sum(),
                list(model.decoder.parameters()),
            )
            for doubly in (True, False)
        )
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other)

    def test_a_flow_cannot_be_held_fixed(self):
        vae = VariationalAutoencoder(
            posterior_family="flow", objective=IWAE(2, doubly_reparameterized=True), max_epochs=1
        )
        with pytest.raises(ValueError, match=r"doubly_reparameterized=True.*posterior_family"):
            vae.fit(np.random.RandomState(0).randn(20, 3))


class TestBetaTCVAE:
    def test_weights_of_three_terms(self):
        """Each weight adds its own term; together the three are the KL's estimate."""
        _, x, parts = batch()
        q, z, _, prior = parts
        base = BetaTCVAE(1, 1, 1)(x, *parts).loss
        changes = [(2, 1, 1), (1, 2, 1), (1, 1, 2)]
        extra = sum(BetaTCVAE(*weights)(x, *parts).loss - base for weights in changes)
        estimate = (q.log_prob(z) - prior.log_prob(z)).mean(0)
        torch.testing.assert_close(extra, estimate, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_aggregate_is_the_mean_of_the_posteriors(self, family):
        _, _, (q, z, *_) = batch(posterior_family=family)
        together, apart = aggregate_log_prob(q, z)
        each = torch.stack([q.log_prob(v.expand(9, 2)).exp().mean() for v in z.flatten(0, 1)])
        torch.testing.assert_close(together.flatten(), each.log(), rtol=1e-4, atol=1e-4)
        assert apart.shape == together.shape

    def test_a_large_beta_makes_components_independent(self):
        rng = np.random.RandomState(0)
        X = rng.randn(600, 2) @ rng.randn(2, 6) + 0.2 * rng.randn(600, 6)
        settings = {"max_epochs": 60, "learning_rate": 5e-3, "random_state": 0}
        settings |= {"linear_path": False}  # which starts with independent components
        correlation = [
            abs(
                np.corrcoef(VariationalAutoencoder(objective=o, **settings).fit_transform(X).T)[
                    0, 1
                ]
            )
            for o in (BetaTCVAE(beta=0.0), BetaTCVAE(beta=20.0))
        ]
        assert correlation[1] < max(0.1, correlation[0])


class TestInfoVAE:
    def test_mmd_of_a_sample_with_itself_is_zero(self):
        z = torch.randn(50, 3, generator=generator())
        assert maximum_mean_discrepancy(z, z).item() == pytest.approx(0, abs=1e-6)

    def test_mmd_of_two_normals_against_the_closed_form(self):
        """E k(a, b) is a normal density for normal a, b."""
        a = torch.randn(3000, 1, generator=generator())
        b = 1 + 0.5 * torch.randn(3000, 1, generator=generator(1))

        def expected(mean, variance):  # E exp(−u²/2) for u ~ N(mean, variance)
            return np.exp(-(mean**2) / (2 * (1 + variance))) / np.sqrt(1 + variance)

        exact = expected(0, 2) + expected(0, 0.5) - 2 * expected(1, 1.25)
        assert maximum_mean_discrepancy(a, b).item() == pytest.approx(exact, abs=0.01)

    def test_pulls_the_average_posterior_to_the_prior(self):
        X = np.random.RandomState(0).randn(400, 1) ** 3 @ np.ones((1, 5))
        X = X + 0.1 * np.random.RandomState(1).randn(400, 5)
        settings = {"max_epochs": 60, "learning_rate": 5e-3, "random_state": 0}
        prior = torch.randn(400, 2, generator=generator())
        distance = [
            maximum_mean_discrepancy(torch.from_numpy(model.fit_transform(X)).float(), prior)
            for mmd in (0.0, 500.0)
            for model in [VariationalAutoencoder(objective=InfoVAE(mmd, beta=0.1), **settings)]
        ]
        assert distance[1] < distance[0]

    def test_its_draws_come_from_the_seed(self):
        X = np.random.RandomState(0).randn(60, 3)
        before = torch.get_rng_state()
        one, other = (
            VariationalAutoencoder(objective="infovae", max_epochs=2, random_state=0).fit(X)
            for _ in range(2)
        )
        assert torch.equal(before, torch.get_rng_state())
        assert np.array_equal(one.transform(X), other.transform(X))
        copy.deepcopy(one)


@pytest.mark.parametrize(
    ("name", "given", "params"),
    [
        ("beta_tcvae", {}, {"alpha": 1.0, "beta": 6.0, "gamma": 1.0}),
        ("beta_tcvae", {"beta": 3.0}, {"alpha": 1.0, "beta": 3.0, "gamma": 1.0}),
        ("infovae", {"beta": 0.5}, {"mmd": 100.0, "beta": 0.5}),
        ("iwae", {}, {"n_samples": 5, "doubly_reparameterized": False}),
        ("elbo", {"free_bits": 0.1}, {"beta": 1.0, "kl_warmup_epochs": 0, "free_bits": 0.1}),
    ],
)
def test_a_name_takes_the_weights_it_knows(name, given, params):
    vae = VariationalAutoencoder(objective=name, **given)
    assert vae._objective().get_params() == params


def test_a_name_refuses_weights_it_does_not_know():
    vae = VariationalAutoencoder(objective="iwae", beta=2.0, max_epochs=1)
    with pytest.raises(ValueError, match=r"beta=2.0 has no effect with objective='iwae'"):
        vae.fit(np.random.RandomState(0).randn(20, 3))


class TestTrimmed:
    def test_without_a_share_is_the_objective(self):
        for objective in (ELBO(beta=2.0), IWAE(4)):
            same_bound(bound(Trimmed(0.0, objective)), bound(objective))

    @pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
    def test_the_largest_losses_do_not_count(self, share):
        whole, trimmed = bound(ELBO()), bound(Trimmed(share))
        n = len(whole.loss)
        n_kept = max(1, n - int(share * n))
        largest = whole.loss.argsort()[n_kept:]
        assert (trimmed.loss[largest] == 0).all()
        torch.testing.assert_close(trimmed.loss.mean(), whole.loss.sort()[0][:n_kept].mean())
        torch.testing.assert_close(trimmed.reconstruction, whole.reconstruction)
        torch.testing.assert_close(trimmed.kl, whole.kl)

    def test_asks_for_what_the_objective_asks(self):
        assert Trimmed(objective=IWAE(7)).n_samples == 7
        inside = InfoVAE()
        objective = Trimmed(0.3, inside)
        assert objective.generator is None
        objective.generator = generator()
        assert inside.generator is objective.generator
        assert getattr(Trimmed(), "generator", 0) == 0

    def test_outliers_do_not_bend_the_model(self):
        rng = np.random.RandomState(0)
        X = rng.randn(400, 3) @ np.diag([1.0, 2.0, 3.0])
        outliers = np.vstack([X, 50 + rng.randn(100, 3)])
        settings = {"n_components": 1, "max_steps": 300, "random_state": 0}
        settings |= {"likelihood": StudentT(robust=True), "linear_path": False}
        score = [
            VariationalAutoencoder(objective=objective, **settings).fit(rows).score(X)
            for objective, rows in (
                (Trimmed(0.3), outliers),
                (Trimmed(0.3), X),
                ("elbo", outliers),
            )
        ]
        assert abs(score[0] - score[1]) < 1
        assert score[2] < score[0] - 1

    def test_goes_into_a_file_and_a_search(self, tmp_path):
        X = np.random.RandomState(0).randn(60, 3)
        vae = VariationalAutoencoder(objective=Trimmed(0.2, IWAE(2)), max_epochs=2, random_state=0)
        vae.fit(X).save(tmp_path / "model")
        loaded = skvae.load(tmp_path / "model")
        assert loaded.objective.get_params()["objective__n_samples"] == 2
        assert clone(vae).set_params(objective__objective__n_samples=3).objective.n_samples == 3

    @pytest.mark.parametrize("share", [-0.1, 1.0, "half", True])
    def test_refuses_other_shares(self, share):
        with pytest.raises(ValueError, match="share of Trimmed"):
            bound(Trimmed(share))
