"""A step of training as one function of tensors, replayed without Python or compiled."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from typing import Any, NamedTuple

import torch
from skorch.callbacks import GradientNormClipping
from torch import Tensor, nn
from torch.func import functional_call

from skvae._training.callbacks import sums_of
from skvae._training.recording import Recording, compiled, scripted
from skvae._training.updates import UPDATES, FusedSteps
from skvae._world import world
from skvae.model import VAE, Batch
from skvae.networks import Dropout
from skvae.objectives import Bound

FEWEST_EPOCHS = 3_000
"""So many epochs to come make it worthwhile to compile the step of an epoch's last, smaller batch
as well: it takes 5 s, and gains a millisecond or two each."""

REPLAYED = 100
"""Steps of a fit from which on they are replayed: they gain more than a recording takes, about as
long as 70 of them."""

FEWEST_REPLAYED = 50
"""So many epochs to come make it worthwhile to record the step of an epoch's last batch."""

SMALL = 131_072
"""Numbers in a batch up to which a step is replayed: with more, the operations take the time, and
not what is between them."""

LONG = 30_000
"""Steps of a fit from which on it is compiled by itself: they take clearly longer than compiling,
which is a matter of seconds (benchmarks/long_fits.py)."""


class Untold:
    """Stands for the epoch where a graph is traced: what goes by it cannot be in the graph."""

    def _refuse(self, *args: Any) -> Any:
        raise TypeError("its objective depends on the epoch")

    __bool__ = __int__ = __float__ = __index__ = __eq__ = __lt__ = __le__ = __gt__ = __ge__ = (
        _refuse
    )
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __pow__ = __rpow__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _refuse
    __hash__ = None  # type: ignore[assignment]  # a table by the epoch goes by it, too


class Seen(NamedTuple):
    """What one step showed that ran as it was written."""

    draws: list[tuple[Dropout, Tensor]]
    """Layers, in the order of their calls, each with features of the size that it was given."""
    trained: list[str]
    """Names of the parameters that have a gradient."""


class WholeStep:
    """A step of a net as a function of tensors, replayed or compiled, where it can be one.

    The first batch of every layout runs as the step is written. It shows which parameters get a
    gradient and what dropout draws, and the optimiser makes its slots. The second one is recorded
    besides. The third shows whether the recording is to be believed: whether it gives the loss and
    the gradients of a batch that it was not made from, bit for bit. From then on the step is the
    recording, to which the noise and what dropout keeps are given.

    Parameters
    ----------
    net : VAENet
        Initialised.
    ways : set of str
        How such a step may run: "compile", "replay".
    is_asked : bool
        Whether compiling was asked for: then a step that cannot be compiled is worth a warning,
        and its networks are compiled.
    """

    def __init__(self, net: Any, ways: set[str], is_asked: bool) -> None:
        self.net, self.ways, self.is_asked = net, ways, is_asked
        self.flags = list(_flags(net.module_).values())
        self.n_epochs_before = len(net.history)
        self.seen: dict[Any, Seen] = {}
        self.recorded: dict[Any, tuple[str, Gradients]] = {}
        self.believed: dict[Any, Gradients | WholeGraph] = {}
        self.n_steps: int | None = None  # of the optimiser; read when it has its slots

    def __call__(self, batch: Any) -> dict[str, Any]:
        """Take a step; return its loss."""
        self.net._set_training(True)
        rows, noise = batch[0]["batch"], batch[0]["noise"]
        layout = *_layout(rows, noise), *map(bool, self.flags)
        if self.n_steps is None:
            slots = self.net.optimizer_.state.values()
            self.n_steps = next((int(slot["step"]) for slot in slots if "step" in slot), 0)
        self.n_steps += 1
        if layout in self.believed:
            return self.believed[layout](self.n_steps, rows, noise)
        if layout not in self.seen:
            return self._watch(layout, batch)
        if layout in self.recorded:
            return self._compare(layout, batch)
        way = self._way(rows, noise)
        if way is not None:
            with self._or_as_written(way):
                recorded = Gradients(self.net, self.seen[layout], rows, noise)
                self.recorded[layout] = way, recorded
        return self.net.eager_step(batch)

    def _way(self, rows: Batch, noise: Tensor) -> str | None:
        """Return how steps on such batches are to run, if they are worth anything but Python.

        They must come often enough, as whole batches do.
        """
        n_epochs = self.net.max_epochs - (len(self.net.history) - self.n_epochs_before)
        is_whole = world().may_be_whole(len(rows.x), self.net.batch_size)
        if "compile" in self.ways and (is_whole or n_epochs >= FEWEST_EPOCHS):
            return "compile"
        is_small = rows.x.numel() * len(noise) <= SMALL and rows.x.is_cpu
        is_worth = is_small and (is_whole or n_epochs >= FEWEST_REPLAYED)
        return "replay" if "replay" in self.ways and is_worth else None

    def _watch(self, layout: Any, batch: Any) -> dict[str, Any]:
        """Take a step as it is written, and note what it shows."""
        with _watched(self.net.module_) as draws:
            taken = self.net.eager_step(batch)
        named = self.net.module_.named_parameters()
        self.seen[layout] = Seen(draws, [name for name, p in named if p.grad is not None])
        return taken

    def _compare(self, layout: Any, batch: Any) -> dict[str, Any]:
        """Take a step as it is written, and see whether the recording gives the same."""
        net, (way, recorded) = self.net, self.recorded.pop(layout)
        rows, noise = batch[0]["batch"], batch[0]["noise"]
        kept = recorded.kept()
        inputs = recorded.copied(recorded.inputs(rows, noise, kept))
        net.optimizer_.zero_grad()
        with _given(recorded.draws, iter(kept)):
            taken = net.train_step_single(batch)
        with self._or_as_written(way):
            if way == "replay":
                recorded.function = scripted(recorded.recording, recorded.copied(inputs))
            recorded.check(inputs, taken["loss"])
            if way == "replay":
                self.believed[layout] = recorded
            elif world().size > 1:
                recorded.function = compiled(recorded.recording, inputs)
                self.believed[layout] = recorded
            else:
                assert self.n_steps is not None
                self.believed[layout] = WholeGraph(recorded, self.n_steps, inputs)
        net.update(batch)
        return taken

    @contextmanager
    def _or_as_written(self, way: str) -> Iterator[None]:
        """Let steps run as they are written where they cannot be recorded or compiled."""
        try:
            yield
        except Exception as error:  # whatever it is that torch does not do
            self.ways.discard(way)
            if way == "replay" or not self.is_asked:
                return
            self.ways.clear()
            why = str(error).strip().split("\n")[0] or type(error).__name__
            warnings.warn(
                "compile=True compiles only the networks here, because the whole step of training "
                f"cannot be compiled: {why}",
                stacklevel=2,
            )
            compile_networks(self.net.module_, self.net.device)


class Gradients:
    """Loss, terms and gradients of batches of one layout, as a function of tensors.

    Parameters
    ----------
    net : VAENet
    seen : Seen
        What its step showed that ran as it is written.
    rows : Batch
    noise : Tensor
        Like those to come.
    """

    def __init__(self, net: Any, seen: Seen, rows: Batch, noise: Tensor) -> None:
        _check(net)
        self.net, self.draws = net, seen.draws
        named = dict(net.module_.named_parameters())
        self.trained = [named.pop(name) for name in seen.trained]
        flags = _flags(net.module_)
        buffers = {n: b for n, b in net.module_.named_buffers() if n not in flags}
        self.names = [f"module.{name}" for name in (*seen.trained, *named, *buffers)]
        self.state = [p.detach() for p in (*self.trained, *named.values())]
        self.state += buffers.values()
        self.has_missing = rows.has_missing
        self.is_there = [tensor is not None for tensor in _tensors(rows, noise)]
        self.epoch, self.weights = -1, torch.empty(0)  # the objective's, in this epoch
        # Nothing is drawn yet: the draws of an epoch are those of its steps.
        inputs = self.copied(self.inputs(rows, noise, [features for _, features in self.draws]))
        for tensor in inputs[: len(self.trained)]:
            tensor.requires_grad_()
        self.recording = Recording(self._compute, inputs)
        self.function: Callable[..., Any] = self.recording
        is_heard = world().size > 1 or net.listening("on_grad_computed")
        is_fused = all(group.get("fused") for group in net.optimizer_.param_groups)
        # Where no one asks for the gradients in between, they go to the optimiser's kernels.
        self.steps = None if is_heard or not is_fused else FusedSteps(net.optimizer_, self.trained)

    def __call__(self, step: int, rows: Batch, noise: Tensor) -> dict[str, Any]:
        """Take a step; return its loss."""
        net = self.net
        with torch.no_grad():
            found = self.function(*self.inputs(rows, noise, self.kept()))
            loss, terms, *gradients = found
            if self.steps is not None:
                self.steps(gradients)
            else:
                for parameter, gradient in zip(self.trained, gradients, strict=True):
                    parameter.grad = gradient
                net.update(({"batch": rows, "noise": noise}, rows.weight))
        net.add_to_sums(rows.x.shape[0], terms, training=True)
        return {"loss": loss}

    def kept(self) -> list[Tensor]:
        """Draw what dropout keeps in a step."""
        return [layer.kept(features) for layer, features in self.draws]

    def inputs(self, rows: Batch, noise: Tensor, kept: list[Tensor]) -> list[Tensor]:
        """Return all that goes in: the state, the objective's weights, what is drawn, the batch."""
        epoch = len(self.net.history) - 1
        if epoch != self.epoch:
            weights = self.net.criterion_.weights(epoch)
            self.epoch, self.weights = epoch, torch.tensor(weights, device=noise.device)
        batch = [tensor for tensor in _tensors(rows, noise) if tensor is not None]
        return [*self.state, self.weights, *kept, *batch]

    def copied(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return inputs whose state may change without a change of the net's."""
        n = len(self.state)
        return [tensor.clone() for tensor in inputs[:n]] + list(inputs[n:])

    def check(self, inputs: Sequence[Tensor], loss: Tensor) -> None:
        """Raise ``ValueError`` unless it gives this loss and the gradients that the net has."""
        with torch.no_grad():
            found, _, *gradients = self.function(*self.copied(inputs))
        pairs = [(found, loss.detach())]
        pairs += [(g, p.grad) for g, p in zip(gradients, self.trained, strict=True)]
        if not all(torch.equal(*pair) for pair in pairs):
            raise ValueError("a part depends on more than the batch")

    def _compute(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the mean loss, the sums of the bound's terms, and the gradients."""
        taken = iter(inputs)
        state = {name: next(taken) for name in self.names}
        trained = list(state.values())[: len(self.trained)]
        objective = self.net.criterion_.given(list(next(taken).unbind()))
        kept = iter([next(taken) for _ in self.draws])
        batch: list[Any] = [next(taken) if is_there else None for is_there in self.is_there]
        rows, noise = Batch(*batch[:-1])._replace(has_missing=self.has_missing), batch[-1]
        with _given(self.draws, kept):
            bound = functional_call(_Bound(self.net, objective), state, (rows, noise))
            loss = bound.loss.mean()
            raw = torch.autograd.grad(loss, trained)
        with torch.no_grad():
            return loss.detach(), sums_of(bound), *_owned(raw, trained, inputs)


class WholeGraph:
    """The compiled step: loss and gradients, clipping, what the optimiser does.

    What it changes are the net's own parameters, buffers and slots.

    Parameters
    ----------
    gradients : Gradients
        Of a net whose optimiser has its slots.
    step : int
        The number of a step, 1 the optimiser's first.
    inputs : sequence of Tensor
        Of ``gradients`` in that step.
    """

    def __init__(self, gradients: Gradients, step: int, inputs: Sequence[Tensor]) -> None:
        self.gradients = gradients
        optimizer = gradients.net.optimizer_
        self.update = UPDATES[type(optimizer).__name__]
        states = [optimizer.state[parameter] for parameter in gradients.trained]
        self.slots = [state[name] for state in states for name in self.update.slots]
        counts = [state["step"] for state in states if "step" in state]
        self.slots += counts
        self.n_counts = len(counts)
        # Parameters of one group that joined late are at another step.
        self.groups = optimizer.param_groups
        group_of = {id(p): i for i, group in enumerate(self.groups) for p in group["params"]}
        late = [step - 1 - int(state.get("step", step - 1)) for state in states]
        self.kinds = [(group_of[id(p)], by) for p, by in zip(gradients.trained, late, strict=True)]
        self._distinct = list(dict.fromkeys(self.kinds))
        slots = [slot.clone() for slot in self.slots]
        inputs = [self._rates(step), *slots, *inputs]
        with torch.no_grad():
            self.function = compiled(Recording(self._step, inputs), inputs)

    def __call__(self, step: int, rows: Batch, noise: Tensor) -> dict[str, Any]:
        """Take a step, 1 the optimiser's first; return its loss."""
        gradients = self.gradients
        inputs = gradients.inputs(rows, noise, gradients.kept())
        loss, terms = self.function(self._rates(step), *self.slots, *inputs)
        gradients.net.add_to_sums(rows.x.shape[0], terms, training=True)
        return {"loss": loss}

    def _rates(self, step: int) -> Tensor:
        numbers = [self.update.numbers(self.groups[i], step - by) for i, by in self._distinct]
        return torch.tensor([*chain(*numbers)], device=self.gradients.net.device)

    def _step(self, rates: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the mean loss and the sums of the bound's terms; change the state in place."""
        taken = iter(inputs)
        trained = self.gradients.trained
        slots = [[next(taken) for _ in self.update.slots] for _ in trained]
        for _ in range(self.n_counts):
            next(taken).add_(1.0)
        numbers = iter(rates.unbind())
        rates_of = {
            kind: [next(numbers) for _ in self.update.numbers(self.groups[kind[0]], 1)]
            for kind in self._distinct
        }
        state = list(taken)
        loss, terms, *raw = self.gradients.recording(*state)
        for kind, parameter, gradient, its in zip(
            self.kinds, state[: len(trained)], self._clipped(raw), slots, strict=True
        ):
            self.update.apply(parameter, gradient, its, rates_of[kind], self.groups[kind[0]])
        return loss, terms

    def _clipped(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the gradients as the net's callbacks would leave them."""
        for method in self.gradients.net.listening("on_grad_computed"):
            norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
            factor = (method.__self__.gradient_clip_value / (norm + 1e-6)).clamp_max(1.0)
            gradients = [gradient * factor for gradient in gradients]
        return gradients


def _owned(
    gradients: Sequence[Tensor], parameters: Sequence[Tensor], inputs: Sequence[Tensor]
) -> list[Tensor]:
    """Return gradients as ``backward`` leaves them.

    That is, laid out like their parameters, and each in memory of its own.
    """
    places = {tensor.untyped_storage().data_ptr() for tensor in inputs}
    found = []
    for gradient, parameter in zip(gradients, parameters, strict=True):
        place = gradient.untyped_storage().data_ptr()
        is_own = place not in places and gradient.stride() == parameter.stride()
        found.append(gradient if is_own else torch.empty_like(parameter).copy_(gradient))
        places.add(place)
    return found


def _tensors(rows: Batch, noise: Tensor) -> list[Tensor | None]:
    return [rows.x, rows.context, rows.label, rows.weight, noise]


def _layout(rows: Batch, noise: Tensor) -> Any:
    """Return what batches have in common that one graph can take."""
    tensors = [
        None if tensor is None else (tensor.shape, tensor.stride(), tensor.dtype)
        for tensor in _tensors(rows, noise)
    ]
    return (*tensors, rows.has_missing)


def _flags(module: nn.Module) -> dict[str, Tensor]:
    """Return the buffers by which a step goes: a graph holds for one value of each."""
    named = module.named_buffers()
    return {n: buffer for n, buffer in named if buffer.dtype == torch.bool and buffer.ndim == 0}


def _check(net: Any) -> None:
    """Raise ``ValueError`` where a part asks for what a compiled step does not have."""
    for part in (*net.module_.modules(), net.criterion_):
        draws = isinstance(getattr(part, "generator", None), torch.Generator)
        if draws and not isinstance(part, Dropout):
            raise ValueError(f"{type(part).__name__} draws random numbers")
    for name in ("on_grad_computed", "on_batch_end"):
        for method in net.listening(name):
            callback = method.__self__
            is_ours = type(callback).__module__.startswith("skvae.")
            if not (is_ours or type(callback) is GradientNormClipping):
                raise ValueError(f"the callback {type(callback).__name__} defines {name}")


@contextmanager
def _watched(module: nn.Module) -> Iterator[list[tuple[Dropout, Tensor]]]:
    """Note which dropout layers are called within the block, and with what."""
    draws: list[tuple[Dropout, Tensor]] = []

    def note(layer: Any, args: tuple[Tensor]) -> None:
        draws.append((layer, torch.ones_like(args[0].detach())))

    layers = [m for m in module.modules() if isinstance(m, Dropout)]
    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        yield draws
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _given(draws: list[tuple[Dropout, Tensor]], kept: Iterator[Tensor]) -> Iterator[None]:
    """Let dropout layers take what is given, in the order of their calls, for what they draw."""
    layers = {layer for layer, _ in draws}
    for layer in layers:
        layer.kept = lambda features: next(kept)  # type: ignore[method-assign]  # until the end
    try:
        yield
    finally:
        for layer in layers:
            del layer.kept


class _Bound(nn.Module):
    """The bound of a batch, as a module, whose parameters can be given."""

    def __init__(self, net: Any, objective: Any) -> None:
        super().__init__()
        self.module = net.module_
        self.net, self.objective = net, objective

    def forward(self, rows: Batch, noise: Tensor) -> Bound:
        """Return it."""
        joint = self.net.infer({"batch": rows, "noise": noise})
        return self.net.bound(self.objective, joint, rows, Untold())


def missing_compiler(device: str) -> str | None:
    """Return what torch's compiler needs for a device and does not find, else ``None``."""
    if torch.device(device).type != "cpu":
        return "the package 'triton'" if find_spec("triton") is None else None
    compiler = os.environ.get("CXX", "g++")
    return f"a C++ compiler ({compiler!r})" if shutil.which(compiler) is None else None


def resolve_compile(asked: bool | str, device: str, n_steps: int) -> bool | str:
    """Return how steps are to run: ``True`` and ``"auto"`` compiled, ``"replay"``, or ``False``.

    It compiles fits of many steps, where there is a compiler. One with a checkpoint it does not: it
    would go on with steps that are not compiled yet, and end as the undisturbed one to rounding.
    Shorter fits it replays, which changes no bit.

    Raises
    ------
    ValueError
        When it was asked for, and there is none.
    """
    if asked == "auto":
        if n_steps >= LONG and world().checkpoint is None and missing_compiler(device) is None:
            return "auto"
        return "replay" if n_steps >= REPLAYED and torch.device(device).type == "cpu" else False
    if asked and missing_compiler(device):
        raise ValueError(
            f"compile=True on device={device!r} needs {missing_compiler(device)}, which was not "
            "found. Install it, or set compile=False."
        )
    return asked


def compile_networks(module: VAE, device: str) -> None:
    """Compile encoder and decoder, each for itself, at their next call."""
    with warnings.catch_warnings():
        # torch's own import of its compiler warns about torch.jit.
        warnings.simplefilter("ignore", DeprecationWarning)
        import_module("torch._dynamo")
    # On CUDA as graphs, which are launched as one.
    mode = "reduce-overhead" if torch.device(device).type == "cuda" else "default"
    module.encoder.compile(mode=mode)
    module.decoder.compile(mode=mode)
