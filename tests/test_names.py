"""Names that are none: the error says which one was meant, and lists them in their order."""

import inspect
import pickle

import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris

from skvae import ConditionalVAE, VAEClassifier, VAEImputer, VariationalAutoencoder
from skvae._names import ALIASES, meant
from skvae._validation import Names
from skvae.likelihoods import LIKELIHOODS, Gaussian, Mixed

X = load_iris().data
SYNONYMS = [
    ("latent_dim", "n_components"),
    ("n_latent", "n_components"),
    ("epochs", "max_epochs"),
    ("lr", "learning_rate"),
    ("hidden_dims", "hidden_layer_sizes"),
    ("n_componets", "n_components"),
    ("seed", "random_state"),
]
"""Parameters as others call them, or with an error of typing, and as we do."""

VALUES = [
    ("likelihood", "nb", "negative_binomial"),
    ("likelihood", "zinb", "zero_inflated_negative_binomial"),
    ("likelihood", "normal", "gaussian"),
    ("likelihood", "bernouli", "bernoulli"),
    ("prior", "gaussian", "normal"),
    ("prior", "VampPrior", "vamp"),
    ("posterior_family", "normal", "diagonal"),
    ("objective", "mmd-vae", "infovae"),
    ("activation", "swish", "silu"),
    ("optimizer", "Adam", "adam"),
    ("normalization", "batchnorm", "batch"),
    ("learning_rate_schedule", "onecycle", "one_cycle"),
    ("max_epochs", "atuo", "auto"),
]


@pytest.mark.parametrize(("given", "ours"), SYNONYMS)
def test_unknown_parameters_are_asked_about(given, ours):
    message = f"VariationalAutoencoder has no parameter '{given}'. Did you mean '{ours}'?"
    with pytest.raises(TypeError) as caught:
        VariationalAutoencoder(**{given: 3})
    assert str(caught.value) == message
    vae = VariationalAutoencoder()
    before = vae.get_params()
    with pytest.raises(ValueError, match=r"Did you mean") as caught:
        vae.set_params(beta=2.0, **{given: 3})
    assert str(caught.value) == message
    assert vae.get_params() == before


@pytest.mark.parametrize(("name", "given", "ours"), VALUES)
def test_unknown_names_are_asked_about(name, given, ours):
    with pytest.raises(ValueError, match=f"'{name}' parameter .* Got '{given}' instead") as caught:
        VariationalAutoencoder(**{name: given}).fit(X)
    assert str(caught.value).endswith(f" Did you mean '{ours}'?")


def test_without_a_near_name_all_are_listed_in_their_order():
    with pytest.raises(ValueError, match="likelihood") as caught:
        VariationalAutoencoder(likelihood="xyz").fit(X)
    assert f"one of {', '.join(map(repr, LIKELIHOODS))} or" in str(caught.value)
    assert "mean" not in str(caught.value)
    parameters = ", ".join(inspect.signature(VAEImputer).parameters)
    with pytest.raises(TypeError, match=rf"has no parameter 'xyz'\. It has {parameters}\.$"):
        VAEImputer(xyz=3)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("batch_key", r"Did you mean ConditionalVAE\(vae, condition=\.\.\.\)\?"),
        ("contamination", r"Did you mean VAEOutlierDetector\("),
    ],
)
def test_parameters_of_another_estimator_name_it(given, hint):
    with pytest.raises(TypeError, match=hint):
        VariationalAutoencoder(**{given: "x"})


def test_names_in_blocks_are_asked_about():
    blocks = Mixed([("nb", [0, 1]), ("gaussian", [2, 3])])
    with pytest.raises(
        ValueError, match=r"'nb' in the blocks.* Did you mean 'negative_binomial'\?$"
    ):
        VariationalAutoencoder(likelihood=blocks).fit(X)


def test_names_inside_an_estimator_are_found():
    model = ConditionalVAE(VariationalAutoencoder(likelihood=Gaussian()))
    for given, ours in [
        ("latent_dim", "vae__n_components"),
        ("n_components", "vae__n_components"),
        ("handle_unknwn", "handle_unknown"),
    ]:
        with pytest.raises(ValueError, match=f"ConditionalVAE .* Did you mean '{ours}'"):
            model.set_params(**{given: 3})
    with pytest.raises(ValueError, match=r"VariationalAutoencoder .* 'n_components'"):
        model.set_params(vae__latent_dim=3)
    with pytest.raises(
        ValueError, match=r"Gaussian has no parameter 'scal'\. Did you mean 'scale'"
    ):
        model.set_params(vae__likelihood__scal=3)
    with pytest.raises(TypeError, match=r"VAEImputer .* 'add_indicator'"):
        VAEImputer(add_indicators=True)


def test_the_signature_is_that_of_the_constructor():
    for cls in (VariationalAutoencoder, VAEImputer, ConditionalVAE, VAEClassifier):
        assert {*inspect.signature(cls).parameters} == {*cls().get_params(deep=False)}
    model = VariationalAutoencoder(3, beta=2.0)
    assert clone(model).get_params() == pickle.loads(pickle.dumps(model)).get_params()


def test_every_alias_leads_to_a_name():
    vae = VariationalAutoencoder
    names = {*vae().get_params(), *VAEImputer().get_params(), *ConditionalVAE().get_params()}
    for constraints in vae._parameter_constraints.values():
        names |= {name for one in constraints if isinstance(one, Names) for name in one.names}
    assert {*ALIASES} <= names
    for name, aliases in ALIASES.items():
        assert all(meant(alias, [name]) == name for alias in aliases.split())
        assert not {*aliases.split()} & {*vae().get_params()}
