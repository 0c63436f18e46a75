"""Rows with a context beside them: what prior, encoder and decoder make of it."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae import VariationalAutoencoder
from skvae.model import Batch
from tests.foreign import GivenColumns, LaplaceLikelihood, ShiftedNormal
from tests.test_model import build, generator

RNG = np.random.RandomState(0)
GROUP = RNG.randint(0, 2, (400, 1)).astype(float)
X = np.hstack([RNG.randn(400, 3) + 5 * GROUP, GROUP])


def conditional(sees_context=True, **params):
    params = {
        "n_context": 2,
        "encoder_sees_context": sees_context,
        "prior": ShiftedNormal(),
        "linear_path": False,  # at whose start a context has no effect yet
    } | params
    model = build(**params)
    with torch.no_grad():
        model.prior.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -2.0]]))
    return model


def differs(one, other):
    return not torch.allclose(one, other)


@pytest.fixture
def without_gradients():
    with torch.no_grad():
        yield


@pytest.mark.usefixtures("without_gradients")
@pytest.mark.parametrize("sees_context", [True, False])
class TestModel:
    def test_every_distribution_is_told_what_it_sees(self, sees_context):
        model = conditional(sees_context)
        x, noise = torch.rand(5, 6, generator=generator()), torch.zeros(3, 5, 2)
        joints = [model(Batch(x, context=torch.full((5, 2), c)), noise) for c in (0.0, 1.0)]
        assert joints[0].prior.batch_shape == (5,)
        assert differs(joints[0].prior.mean, joints[1].prior.mean)
        assert differs(joints[0].posterior.mean, joints[1].posterior.mean) is sees_context
        z = torch.zeros(5, 2)
        assert differs(*(model.likelihood(z, torch.full((5, 2), c)).mean for c in (0.0, 1.0)))
        assert joints[0].likelihood.log_prob(x).shape == (3, 5)

    def test_a_bound_context_is_that_context_for_every_row(self, sees_context):
        model = conditional(sees_context)
        x, noise = torch.rand(5, 6, generator=generator()), torch.zeros(3, 5, 2)
        c = torch.tensor([1.0, 2.0])
        given = model.given(c)
        told = model(Batch(x, context=c.expand(5, 2)), noise)
        bound = given(Batch(x), noise)
        assert bound.prior.batch_shape == ()
        assert_array_equal(bound.prior.mean, [1.0, -4.0])
        assert torch.equal(told.z, bound.z)
        for one, other in zip(told[::2], bound[::2], strict=True):
            assert_array_equal(one.mean, other.mean)
        assert_array_equal(told.prior.mean, bound.prior.mean.expand(5, 2))
        assert (given.latent_dim, given.n_features) == (2, 6)
        assert_array_equal(given.likelihood(told.z).mean, told.likelihood.mean)


def test_parts_that_know_of_no_context_are_called_as_ever():
    model = build(likelihood=LaplaceLikelihood(), n_context=1)
    joint = model(Batch(torch.rand(4, 6), context=torch.ones(4, 1)), torch.zeros(1, 4, 2))
    assert joint.prior.batch_shape == ()


@pytest.mark.parametrize("prior", ["normal", ShiftedNormal()], ids=["normal", "conditional"])
def test_a_new_estimator_is_a_small_file(prior):
    """What is given need not be described: z has nothing to say of the groups."""
    quick = {"max_epochs": 60, "learning_rate": 5e-3, "hidden_layer_sizes": (16,)}
    quick["random_state"] = 0
    model = GivenColumns(VariationalAutoencoder(1, prior=prior, **quick)).fit(X)
    alone = VariationalAutoencoder(1, **quick).fit(X[:, :3])
    assert model.score_samples(X).mean() > alone.score(X[:, :3]) + 0.3
    swapped = np.hstack([X[:, :3], 1 - GROUP])
    assert model.score_samples(swapped).mean() < model.score_samples(X).mean() - 5
    same = GivenColumns(VariationalAutoencoder(1, prior=prior, **quick)).fit(X)
    assert_array_equal(same.transform(X), model.transform(X))
    order = RNG.permutation(400)
    assert_allclose(model.score_samples(X[order]), model.score_samples(X)[order])


def test_a_context_goes_with_the_fit():
    """The encoder may be told too; a fit that goes on needs as much context as before."""
    quick = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0}
    quick |= {"linear_path": False}
    model = VariationalAutoencoder(**quick)
    model._fit(X[:, :3], None, False, context=GROUP, encoder_sees_context=True)
    assert model.encoder_.body[0].in_features == 4
    model._fit(X[:, :3], None, True, one_epoch=True, context=GROUP)
    assert model.n_iter_ == 3
    with pytest.raises(ValueError, match=r"n_context=0, but the fitted model.*n_context=1"):
        model.partial_fit(X[:, :3])


@pytest.mark.usefixtures("without_gradients")
def test_the_encoder_of_images_sees_the_context_beside_its_convolutions():
    images = {"image_shape": (2, 3), "conv_channels": (4,)}
    model = conditional(**images)
    x = torch.rand(5, 6, generator=generator())
    locs = [model.posterior(x, torch.full((5, 2), c)).mean for c in (0.0, 1.0)]
    assert differs(*locs)
    own = images | {"encoder": torch.nn.Flatten()}
    with pytest.raises(ValueError, match=r"encoder=Flatten gets only images .*condition='y'"):
        conditional(**own)
