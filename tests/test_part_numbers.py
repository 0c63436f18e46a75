"""Numbers that parts take: Python's and numpy's alike, and no bool."""

import inspect

import numpy as np
import pytest
import torch

from skvae import VariationalAutoencoder, likelihoods, objectives, posteriors, priors
from skvae._parameters import check_number
from skvae.likelihoods import CategoricalCodes
from skvae.objectives import Objective
from skvae.posteriors import DiagonalNormal, Posterior
from skvae.priors import Prior

INTERFACES = {"Likelihood", "Prior", "Posterior", "Objective"}
PARTS = {
    name: getattr(module, name)
    for module in (likelihoods, priors, posteriors, objectives)
    for name in module.__all__
    if hasattr(getattr(module, name), "get_params") and name not in INTERFACES
}
REQUIRED = {"CategoricalCodes": {"n_categories": 3}}
"""Constructor arguments without a default."""

BESIDE_CHOICES = {"scale": 0.5, "df": 3.0, "low": -0.5, "group_sizes": [1, 2]}
"""Numbers that a parameter takes whose default is something else."""

NO_NUMBERS = {"size_factor", "dispersion", "blocks", "learn_weights", "doubly_reparameterized"}
NO_NUMBERS |= {"robust", "objective", "correlated"}
OF_EITHER_SIGN = {"low"}


def made(name, **params):
    return PARTS[name](**(REQUIRED.get(name, {}) | params))


def numbers(name):
    """Return the numbers that a part takes: one or a list for each parameter."""
    found = {}
    for key, parameter in inspect.signature(PARTS[name]).parameters.items():
        default = parameter.default
        given = REQUIRED.get(name, {}).get(key, BESIDE_CHOICES.get(key, default))
        if key not in NO_NUMBERS:
            assert isinstance(given, int | float | list | tuple), f"{key} of {name} is new here"
            assert not isinstance(given, bool), f"{key} of {name} is new here"
            found[key] = given
    return found


ALL = [(name, key, value) for name in PARTS for key, value in numbers(name).items()]
every = pytest.mark.parametrize(("name", "key", "value"), ALL, ids=lambda v: str(v))


def used(part):
    """Return what comes out of a part as a model uses it."""
    generator = torch.Generator().manual_seed(0)
    x = torch.eye(3, dtype=torch.float64)
    if isinstance(part, likelihoods.Likelihood):
        rows = torch.tensor([[1.0, 1, 0], [1, 0, 1]])
        part.initialize(torch.tensor([1.0, 0.5, 0.5]).double(), torch.ones(3).double())
        params = torch.ones(2, 3, part.n_params, requires_grad=True)
        return [part(params).log_prob(rows), part.embed(rows)]
    if isinstance(part, Prior):
        head = DiagonalNormal()
        head.initialize(3, 2, generator)
        part.initialize(2)
        part.connect(head, x.float(), generator)
        return [part().log_prob(torch.ones(1, 2))]
    if isinstance(part, Posterior):
        part.initialize(3, 2, generator)
        q = part(x.float())
        return [q.log_prob(q.reparameterize(torch.ones(3, 2))), q.mean]
    if isinstance(part, Objective):
        X = np.random.RandomState(0).randn(8, 3)
        vae = VariationalAutoencoder(objective=part, max_epochs=1, random_state=0).fit(X)
        return [torch.from_numpy(vae.transform(X))]
    return [torch.tensor([part(epoch) for epoch in (0, 3, None)])]  # a schedule


def of_numpy(value):
    """Return the number, or each of them, as numpy's."""
    if isinstance(value, list | tuple):
        return [of_numpy(entry) for entry in value]
    return np.int64(value) if isinstance(value, int) else np.float64(value)


@pytest.mark.filterwarnings("ignore::skvae.PosteriorCollapseWarning")
@every
def test_numbers_of_numpy_are_numbers(name, key, value):
    given = of_numpy(value)
    part = made(name, **{key: given})
    assert getattr(part, key) is given
    for ours, theirs in zip(used(part), used(made(name, **{key: value})), strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("wrong", [True, np.True_, "many", float("nan"), -1, 1j], ids=repr)
@every
def test_nothing_else_is(name, key, value, wrong):
    given = [1, wrong] if isinstance(value, list | tuple) else wrong
    if key in OF_EITHER_SIGN and given == -1:
        given = wrong = float("-inf")
    with pytest.raises(ValueError, match=f"{key} of {name} is") as raised:
        used(made(name, **{key: given}))
    assert repr(wrong) in str(raised.value)


@pytest.mark.parametrize("value", [np.float32(0.5), np.float16(0.5), 0.5])
def test_what_comes_back_is_pythons(value):
    number = check_number(value, "it", "never.", lambda _: True, float)
    assert type(number) is float
    assert type(check_number(np.uint8(3), "it", "never.", lambda _: True, int)) is int


def test_whole_numbers_are_whole():
    with pytest.raises(ValueError, match=r"n_categories of CategoricalCodes is 2\.0"):
        CategoricalCodes(2.0).initialize(torch.zeros(2), torch.ones(2))
