"""Every likelihood with every objective, prior and posterior family: all the verbs."""

import pickle
from itertools import combinations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.preprocessing import OneHotEncoder

import skvae
from skvae import VariationalAutoencoder
from skvae.likelihoods import LIKELIHOODS as BY_NAME
from skvae.objectives import OBJECTIVES
from skvae.posteriors import POSTERIORS
from skvae.priors import PRIORS
from tests.pairs import covering

LIKELIHOODS = sorted({*BY_NAME} - {"auto"})  # resolved into one of the others

RNG = np.random.RandomState(0)
N = 24
REAL = RNG.randn(N, 4)
COUNTS = RNG.poisson(3.0, (N, 4)).astype(float)
DATA = {
    "bernoulli": (REAL > 0).astype(float),
    "continuous_bernoulli": RNG.rand(N, 4),
    "gaussian": REAL,
    "student_t": REAL,
    "laplace": REAL,
    "rounded_gaussian": COUNTS - 3,
    "log_normal": np.exp(REAL),
    "zero_inflated_log_normal": np.exp(REAL) * (REAL < 0.5),
    "poisson": COUNTS,
    "negative_binomial": COUNTS,
    "zero_inflated_negative_binomial": COUNTS,
    "categorical": OneHotEncoder(sparse_output=False).fit_transform(RNG.randint(2, size=(N, 2))),
    "mixed": np.column_stack([REAL[:, :2], COUNTS[:, 0], REAL[:, 3] > 0]),
}


def test_there_is_data_for_every_name():
    assert set(DATA) == set(LIKELIHOODS)


REGISTRIES = LIKELIHOODS, OBJECTIVES, PRIORS, POSTERIORS
COMBINATIONS = covering(*map(list, REGISTRIES))


def test_every_pair_of_parts_is_there():
    for one, other in combinations(range(len(REGISTRIES)), 2):
        pairs = {(parts[one], parts[other]) for parts in COMBINATIONS}
        assert len(pairs) == len(REGISTRIES[one]) * len(REGISTRIES[other])


@pytest.mark.filterwarnings("ignore::skvae.PosteriorCollapseWarning")
@pytest.mark.parametrize(("likelihood", "objective", "prior", "posterior_family"), COMBINATIONS)
def test_all_verbs(likelihood, objective, prior, posterior_family, tmp_path):
    X = DATA[likelihood]
    vae = VariationalAutoencoder(
        likelihood=likelihood,
        objective=objective,
        prior=prior,
        posterior_family=posterior_family,
        max_epochs=1,
        batch_size=12,
        hidden_layer_sizes=(6,),
        random_state=0,
    )
    vae.fit(X)
    assert np.isfinite(vae.score_samples(X)).all()
    assert np.isfinite(vae.score_samples(X[:4], n_importance_samples=3)).all()
    assert vae.transform(X).shape == (N, 2)
    assert np.isfinite(vae.reconstruct(X)).all()
    assert vae.likelihood_.support.check(__import__("torch").from_numpy(vae.sample(5))).all()
    assert np.array_equal(clone(vae).fit(X).transform(X), vae.transform(X))
    vae.save(tmp_path / "model")
    for other in (pickle.loads(pickle.dumps(vae)), skvae.load(tmp_path / "model")):
        assert np.array_equal(other.score_samples(X), vae.score_samples(X))
        assert np.array_equal(other.sample(3), vae.sample(3))
        assert np.array_equal(other.fit(X).transform(X), vae.transform(X))
