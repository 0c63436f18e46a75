"""The estimator: parameters and validation; numpy in, numpy out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from pickle import PicklingError
from typing import Any, NamedTuple, Self

import joblib
import numpy as np
import torch
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import Tags, check_array, metadata_routing
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from skvae import _model_card, _modelfile, _random, _state, _training
from skvae._architecture import Architecture, part, settled
from skvae._data import Columns, Reader, Rows, hash_all
from skvae._host import host_by_default
from skvae._inference import Inference
from skvae._numbers import whole
from skvae._random import Stream
from skvae._results import is_dask, lazily, of_rows
from skvae._training import TrainingPlan, VAENet
from skvae._validation import CheckedEstimator, Names, Number, asks_what_was_meant
from skvae._version import __version__
from skvae._world import world
from skvae.exceptions import PosteriorCollapseWarning, UndertrainedWarning
from skvae.likelihoods import LIKELIHOODS
from skvae.likelihoods._base import method_of
from skvae.networks import ACTIVATIONS, CONV_BLOCKS, NORMALIZATIONS
from skvae.objectives import OBJECTIVES
from skvae.posteriors import POSTERIORS
from skvae.priors import PRIORS

ACTIVE_NATS = 0.05
"""A component is active when its mean KL over the training rows is above this; the noise of
the optimiser keeps an unused one at 0.01 to 0.03."""

SAMPLE_ROWS = 1000
"""Training rows that a prior may see when it is made."""

KL_ROWS = 2000
"""Training rows that the KL of the components is the mean over, where there are more."""

SAMPLE_VALUES = 4_000_000
"""Values in these rows, where they may be more: factor analysis likes to see many."""

KEY_VALUES = 2**20
"""Values, of rows evenly spread, by which a fit is known."""

SILENT = {"callbacks", "device", "random_state", "verbose", "warm_start"}
"""Parameters that do not say what is fitted; the seed does, beside them."""


class _Start(NamedTuple):
    """All that training takes."""

    reader: Reader
    rows: Rows
    architecture: Architecture
    plan: TrainingPlan
    net: VAENet


@_state.keeps(_state.VARIATIONAL_AUTOENCODER)
class VariationalAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, CheckedEstimator):
    """Variational autoencoder (VAE).

    The model has three distributions: a prior p(z), a likelihood p(x|z), whose parameters a neural
    network (the decoder) computes from z, and an approximate posterior q(z|x), which a second
    network (the encoder) computes from x. ``fit`` maximises the bound

    ``log p(x) ≥ elbo = E_q[log p(x|z)] − KL(q(z|x) ‖ p(z))``,

    which is summed over features and components, averaged over rows, and given in nats per row.
    ``transform`` returns the mean of q(z|x), ``inverse_transform`` the mean of p(x|z).

    Parameters
    ----------
    n_components : int, default=2
        Number of latent dimensions: how many numbers describe a row.
    image_shape : tuple of int, default=None
        With ``None``, X is a table and the networks are dense. With ``(height, width)`` or
        ``(height, width, channels)``, each row is an image, ``X[i].reshape(image_shape)``, and the
        networks are convolutional. One entry may be −1.
    hidden_layer_sizes : int or sequence of int, default=None
        Sizes of the dense layers of the encoder. The decoder of a table has the same layers in
        reverse order. For images, these are the dense layers between the convolutions and z. ``()``
        means no hidden layer: the model of a table is then linear, as in factor analysis. ``None``
        chooses by the size of X: for tables with a linear path, one layer of
        ``4 * n_samples / n_features`` units, at least 32 and at most 256; for other tables
        ``(32,)`` up to 512 rows, growing to ``(256, 128)`` at 1,800 rows; for images ``(128,)``
        (measured; see the user guide). ``partial_fit`` uses the number of rows of its first call.
    conv_channels : sequence of int, default=(32, 64)
        Number of channels of each stride-2 convolution of the encoder. The decoder has transposed
        convolutions in reverse order.
    conv_block : {"plain", "residual"}, default="plain"
        ``"residual"`` adds a residual block of two convolutions after every convolution that
        changes the resolution (He et al. 2016, https://arxiv.org/abs/1603.05027). ``"plain"`` adds
        none.
    activation : {"relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "softplus", "gated"}, \
            default="relu"
        Activation function of every hidden layer. With ``"gated"``, each layer has twice as many
        outputs, and one half is multiplied by the sigmoid of the other (Dauphin et al. 2017,
        https://arxiv.org/abs/1612.08083).
    normalization : {"batch", "layer"} or None, default=None
        Normalisation before every activation. ``"layer"`` normalises each row by itself (images
        over channels and pixels). ``"batch"`` normalises over the batch in training, and uses
        running statistics afterwards.
    dropout : float or "auto", default="auto"
        Fraction of the outputs of every hidden layer that is set to zero in training. ``"auto"``
        means 0.1 when there is a linear path (dropout never applies to the path itself), else 0.
    linear_path : bool or "auto", default="auto"
        Whether the dense networks of a table have a linear path parallel to their hidden layers.
        Training then starts from the best linear model that the likelihood offers, and from its
        bound; for most likelihoods, this is a factor analysis of the rows. ``"auto"`` adds the path
        under those likelihoods. Networks for images, and your own networks, have no such path.
    encoder, decoder : torch.nn.Module, default=None
        Your own networks. ``fit`` copies them and leaves the originals unchanged. The encoder maps
        a batch to features ``(n, n_out)``. It gets images as ``(n, C, H, W)`` and tables as
        ``(n, n_features)``, as the likelihood's ``embed`` returns them: standardised, as logarithms
        of counts, or with one column for each category. The decoder maps z ``(n, n_components)`` to
        features ``(n, n_out)``, or for images ``(n, channels, H, W)``. The last layers, which
        compute the parameters of q(z|x) and p(x|z), are added for you. Training starts from the
        weights of the networks that you give.
    likelihood : str or Likelihood, default="auto"
        The distribution p(x|z). ``"auto"`` chooses by the values of X: Bernoulli when X holds only
        0 and 1; ContinuousBernoulli when all values lie in [0, 1] and either rows are images, or
        most columns have many values near 0 or 1, as grey pixels do; StudentT for tables whose
        columns have, on average, heavier tails than a normal distribution; else Gaussian. With
        at least 10 rows for each column, the noise of these two is correlated, unless components
        explain how columns vary together, and depends on the row for three or more components; see
        :class:`skvae.likelihoods.Auto`. The choice is stored in ``likelihood_``. Images of uint8
        in [0, 255] count as values in [0, 1]; see ``unit_``.
        ``"mixed"`` chooses for each column of a data frame, by its dtype and its values; see
        :class:`skvae.likelihoods.Mixed`. The other names are ``"bernoulli"``,
        ``"continuous_bernoulli"``, ``"gaussian"``, ``"student_t"``, ``"laplace"``,
        ``"rounded_gaussian"``, ``"log_normal"``, ``"zero_inflated_log_normal"``, ``"poisson"``,
        ``"negative_binomial"``, ``"zero_inflated_negative_binomial"`` and ``"categorical"``. An
        object of :mod:`skvae.likelihoods` can be given as well.
    prior : {"normal", "mixture", "vamp", "flow"} or Prior, default="normal"
        The distribution p(z); see :mod:`skvae.priors`.
    posterior_family : {"diagonal", "full", "flow"} or Posterior, default="diagonal"
        The distribution q(z|x); see :mod:`skvae.posteriors`. ``"flow"``, here and as prior, needs
        the extra ``flows``.
    objective : {"elbo", "iwae", "beta_tcvae", "infovae"} or Objective, default="elbo"
        What training maximises; see :mod:`skvae.objectives`. If it is a name, the next three
        parameters are passed on to the objective, as far as it has them. If it is an object, it has
        its own parameters, and the next three must stay at their defaults.
    beta : float, default=1.0
        Weight of the KL in the training loss. It does not change the elbo that ``score`` returns.
        See :class:`skvae.objectives.ELBO` for this and the next two parameters.
    kl_warmup_epochs : int, default=0
        Epochs over which that weight rises linearly to ``beta``.
    free_bits : float, default=0.0
        Amount of KL per component, in nats, that is not penalised.
    max_epochs : int or "auto", default="auto"
        Number of passes over X. ``"auto"`` gives 3,000 steps of the optimiser; above 2,000 rows,
        √(n_samples / 2,000) times as many; and never more than 1,000 epochs. This makes 1,000
        epochs for 150 rows, 200 for 1,797 rows and 36 for 60,000 rows. Tables with fewer than 15
        rows per column get fewer steps in proportion, but at least 300 (measured; see the user
        guide).
    max_steps : int, default=None
        Number of steps of the optimiser, each on ``batch_size`` rows. Unlike ``max_epochs``, this
        does not depend on the number of rows. The last epoch ends with the last step. With
        ``max_epochs="auto"`` this is the only limit; otherwise training ends at the limit that is
        reached first. Not used by ``partial_fit``.
    batch_size : int, default=128
        Number of rows in each step of the optimiser.
    learning_rate : float or "auto", default="auto"
        Step size of the optimiser; with a schedule, its largest value. ``"auto"`` means 3e-3 with
        a schedule, and 1e-3 where the rate is constant or the optimiser is ``"sgd"``. For dense
        layers with more than 4,096 inputs, such as the layer after the convolutions of large
        images, it is reduced in proportion; see the user guide.
    learning_rate_schedule : {"auto", "constant", "cosine", "one_cycle"}, default="auto"
        How the learning rate changes during a fit. ``"cosine"`` falls to 0 over ``max_epochs``.
        ``"one_cycle"`` rises from 1/25 to the full rate over the first 30 % of the steps and then
        falls to 0 (Smith and Topin 2019, https://arxiv.org/abs/1708.07120). ``"auto"`` means
        ``"one_cycle"`` (measured; see the user guide), but ``"constant"`` where training may end
        at any epoch or the rate is set elsewhere: with ``early_stopping``, and with
        ``EarlyStopping`` or ``LRScheduler`` of skorch among the callbacks. Every call of ``fit``
        starts the schedule again. In ``partial_fit`` the rate is always constant.
    optimizer : {"adam", "adamw", "sgd", "rmsprop"}, default="adam"
        An optimiser of torch. ``"sgd"`` has a Nesterov momentum of 0.9.
    weight_decay : float, default=0.0
        Weight decay of the networks; biases do not decay. It is added to the gradient, or with
        ``"adamw"`` applied separately from it (Loshchilov and Hutter 2019,
        https://arxiv.org/abs/1711.05101).
    gradient_clip : float, default=None
        Largest norm of the gradient in a step. A larger gradient is scaled down to this norm.
    early_stopping : bool, default=False
        If true, ``validation_fraction`` of the rows are held out. Training stops when their loss
        has not improved by ``tol`` for ``n_iter_no_change`` epochs, and the weights of the best
        epoch are restored. The held-out loss always has the full weight of the KL, so with
        ``beta=1`` it is the negative held-out elbo. Not used by ``partial_fit``.
    validation_fraction : float, default=0.1
        Fraction of the rows that early stopping holds out.
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which early stopping ends the training.
    tol : float, default=1e-4
        Smallest improvement that counts, in nats per row.
    callbacks : list of skorch.callbacks.Callback, default=None
        Callbacks for training. Every fit uses copies of them, and calls them after its own.
    warm_start : bool, default=False
        If true, ``fit`` continues from the last ``fit``: weights, optimiser and random numbers.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of the rows, the noise and the choice of held-out
        rows. An int makes results repeatable on a CPU. ``None`` gives a different result in every
        fit. No global random generator is used or changed.
    verbose : int, default=0
        1 shows a progress bar over the rows of all epochs, with the mean loss, reconstruction and
        KL of the epoch so far, rows per second and the time left; in notebooks it is a widget. 2
        prints a table with a line for each epoch. Above 0, ``transform``, ``sample`` and other
        calls that take longer than a second show a bar as well.
    device : str, default="auto"
        A torch device such as ``"cpu"`` or ``"cuda:1"``. ``"auto"`` takes CUDA if there is one.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Precision of the networks in training. ``"bfloat16"`` uses torch's autocast; z, the KL and
        the bound are still computed in float32. ``"auto"`` uses bfloat16 where the hardware
        supports it (AMX or AVX512-BF16 on CPUs, CUDA from 8.0 on): for the built-in convolutions,
        and for dense layers of 131,072 weights or more, if the step is compiled or the processor
        has AVX512-BF16 and no AMX. Everything else is float32. After training, ``transform``,
        ``score`` and the other methods use float32, or float64 for rows of float64.
    compile : bool or "auto", default="auto"
        Whether to compile a whole training step, from the networks to the optimiser, with torch's
        compiler. Large tables and images then train 1 to 2 times as many rows per second, small
        tables 3 to 5 times as many. Compiling takes some seconds, once in a process for all models
        of the same shape. Results are the same up to rounding. ``"auto"`` compiles a ``fit`` of
        30,000 steps or more if there is a compiler and no checkpoint is written. Shorter fits, from
        100 steps on, run a recorded step on the CPU, which is faster and gives the same bits.
        ``True`` compiles every fit. If a part cannot be compiled in this way, a warning names it,
        and only the networks are compiled. ``False`` runs every step as it is written.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns of X, if it has any.
    n_samples_ : int
        Number of rows of X in the last call of ``fit`` or ``partial_fit``, whatever their weight.
        With ``data_parallel(shards=True)``, the number of rows of all processes together.
    categories_ : dict of list
        With ``likelihood="mixed"``: the categories of each categorical column of the data frame
        that ``fit`` got. Rows that the model returns hold their codes, 0, 1, and so on.
    n_iter_ : int
        Number of epochs run, in all calls of ``partial_fit`` or of a warm-started ``fit``.
    best_epoch_ : int
        The epoch whose weights the model has, counted from 1. With ``early_stopping`` this is the
        epoch with the lowest held-out loss, otherwise the last one.
    history_ : list of dict
        One dict per epoch, with ``epoch``, ``train_loss``, ``train_reconstruction``, ``train_kl``
        (means over rows, in nats), ``valid_*`` if rows were held out, and ``dur`` in seconds.
    kl_per_component_ : ndarray of shape (n_components,)
        KL(q(z|x) ‖ p(z)) of each component in nats, averaged over the training rows of the last
        call, or over 2,000 of them if there are more. With a full or flow posterior or a learned
        prior, the KL is not a sum over components. The value is then the KL of the marginals, taken
        as normal.
    active_components_ : ndarray of bool, shape (n_components,)
        Which components are active: those with a KL above 0.05 nats.
    unit_ : float
        255 if ``fit`` got images of uint8 in [0, 255] and the likelihood is one of values in
        [0, 1]; otherwise 1. Rows of uint8, masked or not, are then read as ``X / unit_``, a batch
        at a time. Everything that the model returns, densities included, is in those units.
    likelihood_ : Likelihood
        The likelihood that was chosen, fitted.
    encoder_, decoder_ : torch.nn.Module
        The networks, with the layers that were added to them.
    net_ : skorch.NeuralNet
        The trained net.

    Warns
    -----
    PosteriorCollapseWarning
        If no component is active after ``fit``.
    UndertrainedWarning
        If the bound still rose steeply at the end of ``fit``. It is a ``ConvergenceWarning``.

    See Also
    --------
    sklearn.decomposition.PCA : The best linear reconstruction.
    sklearn.decomposition.FactorAnalysis : The same model with linear networks.

    References
    ----------
    .. [1] Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014,
       https://arxiv.org/abs/1312.6114
    .. [2] Rezende, Mohamed and Wierstra, "Stochastic Backpropagation and Approximate
       Inference in Deep Generative Models", ICML 2014, https://arxiv.org/abs/1401.4082

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VariationalAutoencoder
    >>> X = load_digits().data / 16
    >>> vae = VariationalAutoencoder(n_components=2, max_epochs=5, random_state=0)
    >>> vae.fit_transform(X).shape
    (1797, 2)
    >>> vae.sample(3).shape, vae.inverse_transform([[0.0, 1.0]]).shape
    ((3, 64), (1, 64))
    >>> vae.score(X) < vae.score_samples(X, n_importance_samples=9).mean()  # both below log p(x)
    np.True_
    """

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012 - scikit-learn's declaration
        "n_components": [Number(Integral, 1, None, closed="left")],
        "image_shape": ["array-like", None],
        "hidden_layer_sizes": ["array-like", Number(Integral, 1, None, closed="left"), None],
        "conv_channels": ["array-like"],
        "conv_block": [Names(*CONV_BLOCKS)],
        "activation": [Names(*ACTIVATIONS)],
        "normalization": [Names(*NORMALIZATIONS), None],
        "dropout": [Number(Real, 0, 1, closed="left"), Names("auto")],
        "linear_path": ["boolean", Names("auto")],
        "encoder": [nn.Module, None],
        "decoder": [nn.Module, None],
        "likelihood": [
            Names(*LIKELIHOODS),
            HasMethods(["initialize", "embed", "forward"]),
        ],
        "prior": [Names(*PRIORS), HasMethods(["initialize", "forward"])],
        "posterior_family": [
            Names(*POSTERIORS),
            HasMethods(["initialize", "forward"]),
        ],
        "objective": [Names(*OBJECTIVES), HasMethods(["__call__"])],
        "beta": [Number(Real, 0, None, closed="left")],
        "kl_warmup_epochs": [Number(Integral, 0, None, closed="left")],
        "free_bits": [Number(Real, 0, None, closed="left")],
        "max_epochs": [Number(Integral, 1, None, closed="left"), Names("auto")],
        "max_steps": [Number(Integral, 1, None, closed="left"), None],
        "batch_size": [Number(Integral, 1, None, closed="left")],
        "learning_rate": [Number(Real, 0, None, closed="neither"), Names("auto")],
        "learning_rate_schedule": [Names("auto", *_training.SCHEDULES)],
        "optimizer": [Names(*_training.OPTIMIZERS)],
        "weight_decay": [Number(Real, 0, None, closed="left")],
        "gradient_clip": [Number(Real, 0, None, closed="neither"), None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Number(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Number(Integral, 1, None, closed="left")],
        "tol": [Number(Real, 0, None, closed="left")],
        "callbacks": [list, tuple, None],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "device": [str],
        "precision": [Names("auto", "float32", "bfloat16")],
        "compile": ["boolean", Names("auto")],
    }

    @asks_what_was_meant
    def __init__(
        self,
        n_components: int = 2,
        *,
        image_shape: Sequence[int] | None = None,
        hidden_layer_sizes: int | Sequence[int] | None = None,
        conv_channels: Sequence[int] = (32, 64),
        conv_block: str = "plain",
        activation: str = "relu",
        normalization: str | None = None,
        dropout: float | str = "auto",
        linear_path: bool | str = "auto",
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        likelihood: Any = "auto",
        prior: Any = "normal",
        posterior_family: Any = "diagonal",
        objective: Any = "elbo",
        beta: float = 1.0,
        kl_warmup_epochs: int = 0,
        free_bits: float = 0.0,
        max_epochs: int | str = "auto",
        max_steps: int | None = None,
        batch_size: int = 128,
        learning_rate: float | str = "auto",
        learning_rate_schedule: str = "auto",
        optimizer: str = "adam",
        weight_decay: float = 0.0,
        gradient_clip: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        callbacks: Sequence[Any] | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        device: str = "auto",
        precision: str = "auto",
        compile: bool | str = "auto",
    ) -> None:
        self.n_components = n_components
        self.image_shape = image_shape
        self.hidden_layer_sizes = hidden_layer_sizes
        self.conv_channels = conv_channels
        self.conv_block = conv_block
        self.activation = activation
        self.normalization = normalization
        self.dropout = dropout
        self.linear_path = linear_path
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.prior = prior
        self.posterior_family = posterior_family
        self.objective = objective
        self.beta = beta
        self.kl_warmup_epochs = kl_warmup_epochs
        self.free_bits = free_bits
        self.max_epochs = max_epochs
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.gradient_clip = gradient_clip
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.device = device
        self.precision = precision
        self.compile = compile

    # Fitting

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> VariationalAutoencoder:
        """Fit the model to X.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The rows: floats, integers or booleans. NaN means that a value was not observed. Sparse
            rows are made dense one batch at a time, and a memmap is read one batch at a time. Any
            other object with ``shape``, ``dtype`` and slicing is read a few chunks at a time: a
            dataset of h5py, an array of zarr or dask, or :class:`skvae.sources.ParquetRows`. The
            user guide says in which order training then sees the rows.
        y : Ignored
            Present for scikit-learn's conventions.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative. A whole number n has exactly the effect of repeating
            the row n times; 0 leaves it out. Fractions multiply the loss of the row.

        Returns
        -------
        self : VariationalAutoencoder
            The fitted estimator. If Ctrl-C stops the training, the model is kept as it is then, and
            a warning is given.

        Raises
        ------
        ValueError, TypeError
            When a parameter is out of range; when X is not a matrix of numbers, holds infinities or
            a column with no value at all, has values that the likelihood does not allow, or does
            not fit ``image_shape``; and when the loss is no longer finite. The estimator is then
            left unchanged.
        """
        return self._fit(X, sample_weight, self.warm_start and hasattr(self, "net_"))

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: Any = None
    ) -> VariationalAutoencoder:
        """Train for one epoch on X, starting from the present state of the model.

        The first call decides what is learned from the data as a whole: the likelihood of
        ``"auto"``, and the mean and scale of the columns. No rows are held out. What is learned of
        a column without any value so far is learned in the call in which it first has some.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.
        y : Ignored
            Present for scikit-learn's conventions.
        sample_weight : array-like of shape (n_samples,), default=None
            As in ``fit``.

        Returns
        -------
        self : VariationalAutoencoder
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            For the same reasons as ``fit``, except that a column may be without any value, unless
            ``likelihood="mixed"`` has to decide in the first call what it is.
        """
        return self._fit(X, sample_weight, hasattr(self, "net_"), one_epoch=True)

    @_fit_context(prefer_skip_nested_validation=True)
    def _fit_without(self, X: Any, hidden: np.ndarray) -> VariationalAutoencoder:
        """Fit to X without the values that are hidden, ``(n, n_features)`` of bool.

        What the columns are is learnt from all of X, so that models from which different values
        are hidden agree on it.
        """
        return self._fit(X, None, False, hidden=hidden)

    def _fit(
        self,
        X: Any,
        sample_weight: Any,
        continued: bool,
        one_epoch: bool = False,
        context: Any = None,
        encoder_sees_context: bool = False,
        hidden: np.ndarray | None = None,
        label: np.ndarray | None = None,
    ) -> Self:
        """Fit, or train further.

        ``context`` is what each row is given, ``(n, n_context)``; the decoder is told, and the
        encoder where it is to see it. ``hidden`` is what a new fit is not to see of X, and
        ``label`` the number of each row's class, NaN where it is unknown.
        """
        # A copy is fitted: until it is whole, and should anything fail, this object is as it
        # was, for other threads too.
        model = self._copy()
        with host_by_default(), world().together():
            with world().alike():
                if continued:
                    start = model._go_on(X, sample_weight, context, one_epoch)
                else:
                    beside = context, encoder_sees_context, one_epoch, hidden, label
                    start = model._begin(X, sample_weight, *beside)
                reader, rows, architecture, plan, net = start
                of_model = partial(model._model_key, start, continued)
                key = world().agreed(partial(_rows_key, rows), of_model)
                parts = _training.split(rows, plan)
                n_rows = rows.n_in_all()
            interrupted = _training.train(net, *parts, key=None if one_epoch else key)
            interrupted |= model._adopt(reader, rows, architecture, net, plan.seed)
        if interrupted:
            warnings.warn(f"Training was interrupted after {model.n_iter_} epochs.", stacklevel=4)
        if not model.active_components_.any():
            warnings.warn(
                f"No component is active: their KL is at most {model.kl_per_component_.max():.2g} "
                "nats, so the output of transform says nothing about X. Try kl_warmup_epochs=20, "
                "free_bits=0.1, a smaller beta, objective=InfoVAE() or "
                "ELBO(beta=CyclicalAnnealing()), or more epochs.",
                PosteriorCollapseWarning,
                stacklevel=4,
            )
        if not one_epoch:
            n_epochs = model.n_iter_ - (self.n_iter_ if continued else 0)
            budget = _training.default_epochs(n_rows, plan.batch_size, self._n_columns(rows))
            advice = _training.undertrained(model.history_, n_epochs, plan, budget)
            if advice:
                warnings.warn(advice, UndertrainedWarning, stacklevel=4)
        self.__dict__ = vars(model) | self.get_params(deep=False)
        return self

    def _copy(self) -> Self:
        """Return the same model as an object of its own."""
        copied = object.__new__(type(self))
        copied.__dict__ = dict(vars(self))
        return copied

    def _begin(
        self,
        X: Any,
        sample_weight: Any,
        context: Any,
        encoder_sees_context: bool,
        one_epoch: bool,
        hidden: np.ndarray | None = None,
        label: np.ndarray | None = None,
    ) -> _Start:
        """Learn what X means, and make a model for it."""
        likelihood = settled(self.likelihood, LIKELIHOODS)
        reader, rows, columns = Reader.learn(
            self, X, likelihood, sample_weight, context, is_streamed=one_epoch, label=label
        )
        rows = rows if hidden is None else rows.without(hidden)
        likelihood = method_of(likelihood, "resolve")(columns)
        has_missing = any(world().parts(rows.has_missing))
        architecture = self._asked_for(likelihood, rows, has_missing, encoder_sees_context)
        seed = _random.draw_seed(self.random_state)
        plan = self._plan(rows, seed, one_epoch, _training.resolve_device(self.device))
        generator = _random.generator(plan.seed, Stream.INITIALIZATION)
        n_some = max(SAMPLE_ROWS, min(5 * SAMPLE_ROWS, SAMPLE_VALUES // rows.n_features))
        some = rows.some(n_some).batch(slice(None), copy=False)
        moments = columns.mean, columns.scale
        model = architecture.build(*moments, some.x, generator, columns, some.context)
        _check_support(rows, model.likelihood_family, columns)
        return _Start(reader, rows, architecture, plan, _training.make_net(model, plan, []))

    def _go_on(self, X: Any, sample_weight: Any, context: Any, one_epoch: bool) -> _Start:
        """Read X as before, and copy the model."""
        if self._architecture.given is not None:
            raise ValueError(
                "This model was returned by given(condition), so its condition is fixed and it "
                "cannot be trained further. Call partial_fit of the ConditionalVAE that returned "
                "it, or train a new model with fit."
            )
        reader, rows, columns, moved = self._reader.read_on(
            self, X, sample_weight, context, is_streamed=one_epoch
        )
        self._check_unchanged(rows, columns)
        # A model from another machine goes on here, with a warning where its device is not.
        device = _training.available_device(self.device)
        plan = self._plan(rows, self._seed, one_epoch, device)
        net = _training.make_net(self._architecture.blank(), plan, self.history_)
        _training.load_arrays(net, _training.state_arrays(self.net_))
        likelihood = net.module_.likelihood_family
        if moved is not None:
            method_of(likelihood, "meet")(*moved)
        try:
            _check_support(rows, likelihood, columns)
        except ValueError as error:
            if not self._is_left_open:
                raise
            raise ValueError(
                f"{error} likelihood={self.likelihood!r} chose a likelihood by the rows of the "
                "first call. Set one by name that accepts the rows of all calls."
            ) from error
        return _Start(reader, rows, self._architecture, plan, net)

    def _model_key(self, start: _Start, continued: bool) -> str:
        """Return what tells a model from others, on which all processes must agree.

        And by what a checkpoint is known beside its rows: the parameters and where it begins.
        """
        plan = {k: v for k, v in vars(start.plan).items() if k not in (*SILENT, "compile")}
        numbers = {k: v for k, v in plan.items() if isinstance(v, int | float | str | None)}
        weights = [tuple(p.shape) for p in start.net.module_.parameters()]
        told: list[Any] = [start.rows.n_features, numbers, weights]
        if world().checkpoint is not None:
            params = {k: v for k, v in self.get_params(deep=False).items() if k not in SILENT}
            told += [__version__, start.architecture.encoder_sees_context]
            told.append(_modelfile.pack(params, _state.PARTS))
            told.append(_training.state_arrays(start.net) if continued else None)
        try:
            return str(joblib.hash(told))
        except (PicklingError, TypeError) as error:
            raise ValueError(
                f"A checkpoint is identified by the parameters of its fit, but one of them cannot "
                f"be pickled: {error}. Define functions and classes at the top level of a module, "
                "or fit without a checkpoint."
            ) from error

    @property
    def _is_left_open(self) -> bool:
        return getattr(settled(self.likelihood, LIKELIHOODS), "left_open", False)

    def _asked_for(
        self, likelihood: Any, rows: Rows, has_missing: bool, encoder_sees_context: bool
    ) -> Architecture:
        """Return the architecture that the parameters ask for, with a likelihood."""
        params = self.get_params(deep=False) | {"likelihood": likelihood}
        n_context = 0 if rows.context is None else rows.context.shape[1]
        told = {"n_context": n_context, "encoder_sees_context": encoder_sees_context}
        return Architecture.of(params, rows.n_features, rows.n_in_all(), has_missing, **told)

    def _check_unchanged(self, rows: Rows, columns: Columns) -> None:
        """Raise ``ValueError`` when parameters ask for another model than the fitted one."""
        fitted = self._architecture
        likelihood = fitted.likelihood
        if not self._is_left_open:
            likelihood = method_of(settled(self.likelihood, LIKELIHOODS), "resolve")(columns)
        told = fitted.encoder_sees_missing, fitted.encoder_sees_context
        wanted = self._asked_for(likelihood, rows, *told)
        left_open = {
            "hidden_layer_sizes": self.hidden_layer_sizes is None,
            "dropout": self.dropout == "auto",
            "linear_path": self.linear_path == "auto",
        }
        as_fitted = {name: getattr(fitted, name) for name, is_open in left_open.items() if is_open}
        wanted = replace(wanted, **as_fitted)
        ours, theirs = wanted.params(), fitted.params()
        changed = {name: (ours[name], theirs[name]) for name in wanted.differences(fitted)}
        if self.optimizer != self._optimizer:
            changed["optimizer"] = self.optimizer, self._optimizer
        if changed:
            name, (value, before) = next(iter(changed.items()))
            raise ValueError(
                f"{name}={value!r}, but the fitted model, whose training warm_start or partial_fit "
                f"continues, has {name}={before!r}. Set the parameter back to this value, or set "
                "warm_start=False and call fit."
            )

    def _plan(self, rows: Rows, seed: int, one_epoch: bool, device: str) -> TrainingPlan:
        """Resolve the parameters of training."""
        early_stopping = self.early_stopping and not one_epoch
        n_rows, n_held_out = rows.n_in_all(), 0
        if early_stopping:
            n_of_mine = _training.n_held_out(len(rows), self.validation_fraction)
            n_held_out = sum(world().parts(n_of_mine))
        epochs = _training.epochs_of(
            self.max_epochs,
            self.max_steps,
            self.batch_size,
            n_rows,
            n_held_out,
            self._n_columns(rows),
        )
        resolved = {
            "objective": self._objective(),
            "seed": seed,
            "early_stopping": early_stopping,
            "callbacks": list(self.callbacks or []),
            "verbose": 0 if world().rank else int(self.verbose),
            "device": device,
        }
        if one_epoch:
            epochs = 1
            resolved |= {"max_steps": None, "learning_rate_schedule": "constant"}
        steps = epochs * _training.n_batches(n_rows - n_held_out, int(self.batch_size))
        if self.max_steps is not None and not one_epoch:
            steps = min(steps, self.max_steps)
        resolved["max_epochs"] = epochs
        resolved["compile"] = _training.resolve_compile(self.compile, device, steps)
        return TrainingPlan.of(self.get_params(deep=False), **resolved)

    def _n_columns(self, rows: Rows) -> int | None:
        """Return the columns of a table, ``None`` for images."""
        return rows.n_features if self.image_shape is None else None

    def _objective(self) -> Any:
        """Make the objective of its name, with the weights that are set, or copy the user's."""
        defaults = type(self)()
        names = ("beta", "kl_warmup_epochs", "free_bits")
        values = {name: getattr(self, name) for name in names}
        weights = {k: value for k, value in values.items() if value != getattr(defaults, k)}
        objective = part(self.objective, OBJECTIVES)
        known = objective.get_params() if isinstance(self.objective, str) else {}
        for name, value in weights.items():
            if name not in known:
                raise ValueError(
                    f"{name}={value!r} has no effect with objective={self.objective!r}, which "
                    f"has its own weights. Pass an objective object and set objective__{name} if "
                    "it has this parameter, or set objective='elbo'."
                )
        return objective.set_params(**weights) if weights else objective

    def _adopt(
        self, reader: Reader, rows: Rows, architecture: Architecture, net: VAENet, seed: int
    ) -> bool:
        """Take over a trained net: the only place that sets fitted attributes.

        Return whether Ctrl-C came in the pass over some rows, which is then one over fewer.
        """
        interrupted = False
        inference = Inference(net.module_, rows.dtype, net.device, self._title("kl_per_component_"))
        some = rows.subset(rows.spread(world().n_of(KL_ROWS, len(rows))))
        if some.weight is not None:
            mean_weight = sum(world().parts(some.weight.sum())) / some.n_in_all()
            some = some.with_weight(some.weight / mean_weight)
        try:
            kl = world().mean_over(some, inference.kl)
        except KeyboardInterrupt:
            if world().size > 1:
                raise
            kl, interrupted = inference.kl(rows.subset(rows.spread(SAMPLE_ROWS))), True
        self.net_ = net
        self.n_samples_ = sum(world().parts(int(rows.X.shape[0])))
        self.history_ = _training.plain_history(net)
        self.n_iter_ = len(self.history_)
        self.best_epoch_ = _training.kept_epoch(net)
        self.kl_per_component_ = kl
        self.active_components_ = kl > ACTIVE_NATS
        self._reader = reader
        self._architecture = architecture
        self._optimizer = self.optimizer
        self._fitted_dtype = rows.dtype.__name__
        self._seed = seed
        return interrupted

    # Using the model

    def _whole(self) -> Self:
        """Return the fitted model as it is now: another thread may refit this object."""
        model = self._copy()
        check_is_fitted(model)
        if model._architecture.n_context and model._architecture.given is None:
            raise ValueError(
                "This model needs a condition for every row, but this method does not accept one. "
                "Call the method of the ConditionalVAE that holds this model, or of the model that "
                "its given(condition) returns."
            )
        return model

    def _given(self, context: np.ndarray) -> Self:
        """Return the fitted model with its context, a vector, bound: an object of its own."""
        state = self._plain_state()
        state["_architecture"] = state["_architecture"] | {"given": tuple(context.tolist())}
        model = object.__new__(type(self))
        model.__setstate__(state)
        return model

    def _read(self, X: Any, context: Any = None) -> Rows:
        """Return rows as this model reads them, with what each is given."""
        return self._reader.read(self, X, context=context)

    def _title(self, title: str | None) -> str | None:
        """Return the title of a progress bar, where there is to be one."""
        return title if self.verbose and not world().rank else None

    def _inference(self, dtype: Any, title: str | None = "rows") -> Inference:
        """Return the model for rows of a type; the title is that of its progress bar."""
        return Inference(self.net_.module_, dtype, self.net_.device, self._title(title))

    # What is said of each row may be written somewhere; that is no metadata of the row.
    __metadata_request__transform = {"out": metadata_routing.UNUSED}  # noqa: RUF012 - sklearn's

    def transform(self, X: Any, *, out: Any = None) -> Any:
        """Return the mean of q(z|x) for each row: the same row always gives the same result.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows; NaN means that a value was not observed. Data that is not in memory can be given
            as in ``fit``.
        out : array-like of shape (n_samples, n_components), default=None
            Array that the result is written to, some megabytes at a time: a memory-mapped array, an
            array of zarr or a dataset of h5py. If ``None``, a new array is made.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            float32 if X is float32 or of a type that float32 holds exactly (booleans, integers of 8
            and 16 bits), else float64. If ``out`` is given, ``out`` is returned. For a dask array
            without ``out``, the result is a dask array with the same chunks of rows, not yet
            computed.

        Raises
        ------
        ValueError
            When X has another number of columns than in ``fit`` or holds infinities, or when
            ``out`` has another shape.
        TypeError
            When X holds objects that are not numbers.
        NotFittedError
            When the estimator is not fitted.
        """
        model = self._whole()
        shape = (model._n_features_out,)
        if out is None and is_dask(X):
            return model._lazily("transform", X, shape)
        rows = model._read(X)
        inference = model._inference(rows.dtype, "transform" if out is None else None)
        return of_rows(rows, inference.transform, shape, out, model._title("transform"))

    def _lazily(self, name: str, X: Any, shape: tuple[int, ...], **kwargs: Any) -> Any:
        """Return what a method says of the rows of a dask array, as a dask array."""
        validate_data(self, X, reset=False, skip_check_array=True)
        dtype = np.float32 if np.can_cast(X.dtype, np.float32) else np.float64
        return lazily(self, name, X, shape, dtype, **kwargs)

    def posterior(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and the standard deviation of q(z|x) for each row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows; NaN means that a value was not observed.

        Returns
        -------
        loc, scale : ndarray of shape (n_samples, n_components)
            Means and standard deviations.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as ``transform``.
        """
        model = self._whole()
        rows = model._read(X)
        return model._inference(rows.dtype, "posterior").posterior(rows)

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """Decode z: return the mean of p(x|z) for each point, in the units of X.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
            Points in the latent space.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            float32 for float32 points, else float64.

        Raises
        ------
        ValueError
            When Z does not have ``n_components`` columns, or holds NaN or infinities.
        TypeError
            When Z holds objects that are no numbers.
        NotFittedError
            When the estimator is not fitted.
        """
        model = self._whole()
        points = model._read_latent(Z)
        return model._inference(points.dtype, "inverse_transform").decode(points)

    def _read_latent(self, Z: Any) -> Rows:
        """Return points in the latent space as rows, checked."""
        Z = check_array(Z, dtype=[np.float64, np.float32], input_name="Z")
        if Z.shape[1] != self._n_features_out:
            raise ValueError(
                f"Z has {Z.shape[1]} columns, but the model has {self._n_features_out} components."
            )
        return Rows(Z)

    def reconstruct(self, X: Any, *, out: Any = None) -> Any:
        """Encode and decode the rows: return ``inverse_transform(transform(X))``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows; NaN means that a value was not observed.
        out : array-like of shape (n_samples, n_features), default=None
            As in ``transform``.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The reconstructions, in the units of X. ``out`` and dask arrays are treated as in
            ``transform``.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as ``transform``.
        """
        model = self._whole()
        shape = (model.n_features_in_,)
        if out is None and is_dask(X):
            return model._lazily("reconstruct", X, shape)
        rows = model._read(X)
        inference = model._inference(rows.dtype, "reconstruct" if out is None else None)

        def there_and_back(rows: Rows) -> np.ndarray:
            return inference.decode(Rows(inference.transform(rows), context=rows.context))

        return of_rows(rows, there_and_back, shape, out, model._title("reconstruct"))

    def sample(
        self,
        n_samples: int = 1,
        *,
        mean: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> np.ndarray:
        """Draw rows from the model: z from the prior, x from the likelihood.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        mean : bool, default=False
            Return E[x|z] instead of a random draw of x. This is usual for images.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws. If ``None``, the ``random_state`` of the estimator is used; if that
            is an int, every call returns the same rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The rows, in the units of X, with the dtype that ``transform`` has for the rows of
            ``fit``.

        Raises
        ------
        ValueError, TypeError
            When ``n_samples`` is not a positive whole number.
        NotFittedError
            When the estimator is not fitted.
        """
        model = self._whole()
        inference, generator = model._sampling(random_state, "sample")
        z = Rows(inference.sample_latent(whole(n_samples, "n_samples"), generator))
        return inference.sample(z, mean, generator)

    def sample_latent(
        self,
        n_samples: int = 1,
        *,
        random_state: int | np.random.RandomState | None = None,
    ) -> np.ndarray:
        """Draw z from the prior.

        Parameters
        ----------
        n_samples : int, default=1
            Number of points.
        random_state : int, RandomState instance or None, default=None
            As in ``sample``. With the same int, these are the z of the rows that ``sample``
            returns.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            Points in the latent space, with the dtype that ``transform`` has for the rows of
            ``fit``.

        Raises
        ------
        ValueError, TypeError
            When ``n_samples`` is not a positive whole number.
        NotFittedError
            When the estimator is not fitted.
        """
        model = self._whole()
        inference, generator = model._sampling(random_state, "sample_latent")
        return inference.sample_latent(whole(n_samples, "n_samples"), generator)

    def _sampling(self, random_state: Any, title: str) -> tuple[Inference, torch.Generator]:
        """Return the model for what it draws itself, and the generator that decides the draws."""
        state = self.random_state if random_state is None else random_state
        seed = _random.draw_seed(state)
        generator = _random.generator(seed, Stream.SAMPLING, device=self.net_.device)
        return self._inference(self._fitted_dtype, title), generator

    def score_samples(self, X: Any, *, n_importance_samples: int = 1, out: Any = None) -> Any:
        """Return a lower bound on log p(x) for each row, in nats.

        A score is never NaN and never −inf: if the bound of a very unlikely row is too large a
        number, the lowest float of the dtype is returned. For a row with missing values, the score
        is a bound on log p of the observed values; it is 0 if no value is observed.

        The noise depends on the values of the row alone. So results are repeatable, and do not
        depend on the order of the rows or on the other rows. The errors of different rows are
        independent.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.
        n_importance_samples : int, default=1
            1 gives the elbo; its expectation over q(z|x) is taken with eight balanced draws (eight
            decoder passes per row). A larger number gives the importance-weighted bound with that
            many draws (Burda, Grosse and Salakhutdinov 2016, https://arxiv.org/abs/1509.00519),
            which rises towards log p(x) with their number, and takes as many decoder passes per
            row.
        out : array-like of shape (n_samples,), default=None
            As in ``transform``.

        Returns
        -------
        bound : ndarray of shape (n_samples,)
            Nats per row. For real features it bounds a log-density in the units of X, for binary
            features a log-probability. ``out`` and dask arrays are treated as in ``transform``.

        Raises
        ------
        ValueError
            When X has values that the likelihood does not allow, has another number of columns than
            in ``fit``, or holds infinities, or when ``n_importance_samples`` is not positive.
        TypeError
            When ``n_importance_samples`` is not a whole number, or X holds objects that are not
            numbers.
        NotFittedError
            When the estimator is not fitted.
        """
        n_draws = whole(n_importance_samples, "n_importance_samples")
        model = self._whole()
        if out is None and is_dask(X):
            return model._lazily("score_samples", X, (), n_importance_samples=n_draws)
        rows = model._supported(X)
        inference = model._inference(rows.dtype, "score_samples" if out is None else None)
        bound = partial(inference.bound, n_importance_samples=n_draws)
        return of_rows(rows, bound, (), out, model._title("score_samples"))

    def elbo_terms(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the two terms of the elbo for each row, in nats.

        ``score_samples(X)`` is ``reconstruction − kl``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows; NaN means that a value was not observed.

        Returns
        -------
        reconstruction, kl : ndarray of shape (n_samples,)
            E_q[log p(x|z)] and KL(q(z|x) ‖ p(z)), nats per row.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as ``score_samples``.
        """
        model = self._whole()
        rows = model._supported(X)
        return model._inference(rows.dtype, "score_samples").terms(rows)

    def _supported(self, X: Any) -> Rows:
        """Return rows as this model reads them, all of which have a density."""
        rows = self._read(X)
        _check_support(rows, self.likelihood_)
        return rows

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean elbo over the rows of X, in nats per row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.
        y : Ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        elbo : float
            Mean of ``score_samples(X)``. Higher is better.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            For the same reasons as ``score_samples``.
        """
        return float(np.asarray(self.score_samples(X)).mean(dtype=np.float64))

    # Parts of the fitted model

    @property
    def likelihood_(self) -> Any:
        """The likelihood that was chosen, fitted."""
        return self.net_.module_.likelihood_family

    @property
    def categories_(self) -> dict[str, list[Any]]:
        """The categories of the data frame that ``fit`` got, by column."""
        return self._reader.categories

    @property
    def unit_(self) -> float:
        """The value of X that stands for 1."""
        return self._reader.unit

    @property
    def encoder_(self) -> nn.Module:
        """The encoder with the heads of the posterior."""
        return self.net_.module_.encoder

    @property
    def decoder_(self) -> nn.Module:
        """The decoder with the head of the likelihood."""
        return self.net_.module_.decoder

    @property
    def _n_features_out(self) -> int:
        return self._architecture.n_components

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    # State

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one safetensors file, for :func:`skvae.load`.

        The file holds the parameters, weights, optimiser state, fitted attributes and library
        versions, as arrays and JSON. It holds no pickle. It is written atomically: after an error
        an older file is still complete. ``callbacks``, a ``random_state`` that is not an int, and
        objects of your own classes are not in the file; pass them to ``load`` as keywords. Metadata
        requests are not in the file either, because they belong to the pipeline around the model.

        Parameters
        ----------
        path : path-like
            The file to write. An existing file is replaced.

        Raises
        ------
        NotFittedError
            When the estimator is not fitted.
        ValueError, TypeError
            When a parameter was set to a value out of its range after ``fit``, because ``load``
            would refuse such a file.
        FileNotFoundError
            When the folder does not exist.
        OSError
            When the file cannot be written.
        """
        model = self._whole()
        header = {"class": type(self).__name__, "versions": _model_card.library_versions()}
        _modelfile.write(path, header, model._state_of_file(), _state.PARTS)

    def _state_of_file(self) -> dict[str, Any]:
        """Return the parameters, checked, and the fitted attributes, as plain data."""
        self._validate_params()
        names = {*self._parameter_constraints, *self._fitted}
        return {name: value for name, value in self._plain_state().items() if name in names}

    def model_card(self, X: Any = None) -> str:
        """Return a description of the fitted model in Markdown, to keep together with its file.

        It describes the data, the model, its parameters, scores and components, how to load it, and
        the versions of the libraries. The same model always gives the same text. Places are left
        open for what only you know: the purpose of the model, and where the rows come from. On
        Hugging Face, such a text is the ``README.md`` of a model (Mitchell et al. 2019,
        https://arxiv.org/abs/1810.03993).

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), default=None
            Rows that were not used in ``fit``. The card then gives the mean of their
            ``score_samples`` with its standard error.

        Returns
        -------
        card : str
            Markdown.

        Raises
        ------
        ValueError, TypeError
            For the same reasons as ``score_samples``.
        NotFittedError
            When the estimator is not fitted.
        """
        return _model_card.model_card(self._whole(), X)

    def _plain_state(self) -> dict[str, Any]:
        """Return all attributes, the fitted ones as plain data."""
        # No net: skorch hides a pickle inside bytes, and a net knows the device it was on.
        state = dict(super().__getstate__())
        net = state.pop("net_", None)
        if net is not None:
            state["_arrays"] = _training.state_arrays(net)
        return _state.plain(self._fitted, state)

    def __getstate__(self) -> dict[str, Any]:
        # Parts as plain data: a reader such as skops then meets no class but this one, and
        # equal models have equal bytes, by which joblib.Memory knows them.
        return _modelfile.pack(self._plain_state(), _state.PARTS)

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = _state.restored(self._fitted, _modelfile.unpack(state, _state.PARTS))
        arrays = state.pop("_arrays", None)
        super().__setstate__(state)
        if arrays is None:
            return
        # What training will be like is for the next call of fit to say.
        plan = TrainingPlan.of(
            type(self)().get_params(deep=False),
            objective=OBJECTIVES["elbo"](),
            seed=self._seed,
            max_epochs=1,
            optimizer=self._optimizer,
            callbacks=[],
            device=_training.available_device(self.device),
            compile=False,
        )
        with host_by_default():
            self.net_ = _training.make_net(self._architecture.blank(), plan, self.history_)
            _training.load_arrays(self.net_, arrays)


def _rows_key(rows: Rows) -> str:
    """Return what tells rows from others."""
    some = rows.subset(rows.spread(max(SAMPLE_ROWS, KEY_VALUES // rows.n_features)))
    return str(joblib.hash([len(rows), rows.n_features, hash_all(some), some.weight]))


def _check_support(rows: Rows, likelihood: Any, columns: Columns | None = None) -> None:
    """Check that every value lies where the likelihood has a density."""
    if columns is not None and method_of(likelihood, "holds")(columns):
        return
    check = method_of(likelihood, "check")
    for block, _ in rows.in_source_order().blocks():
        check(torch.from_numpy(block))
