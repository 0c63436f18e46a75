"""A step of training as one compiled function: forward, bound, backward, clipping, optimiser."""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from typing import Any, NamedTuple

import torch
from skorch.callbacks import GradientNormClipping
from torch import Tensor, nn
from torch._guards import TracingContext, tracing
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

from skvae._training.callbacks import sums_of
from skvae._training.updates import UPDATES
from skvae._world import world
from skvae.model import VAE, Batch
from skvae.networks import Dropout
from skvae.objectives import Bound

FEWEST_EPOCHS = 100
"""So many epochs to come make it worthwhile to compile the step of an epoch's last, smaller batch
as well."""

LONG = 30_000
"""Steps of a fit from which on it is compiled by itself: they take clearly longer than compiling,
which is a matter of seconds (benchmarks/long_fits.py)."""

MOST_COMPILED = 64
"""Compiled steps that a process keeps for its next fits."""

_compiled: OrderedDict[str, Callable[..., Any]] = OrderedDict()


class Untold:
    """Stands for the epoch where a graph is traced: what goes by it cannot be in the graph."""

    def _refuse(self, *args: Any) -> Any:
        raise TypeError("its objective goes by the epoch")

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
    """A step of a net, compiled whole where it can be.

    The first batch of every layout runs as the step is written. It shows which parameters get a
    gradient and what dropout draws, and the optimiser makes its slots. From the second on the step
    is a graph of tensors, to which the noise, what dropout keeps and the rates are given; what
    the graph changes are the net's own parameters, buffers and slots.

    Parameters
    ----------
    net : VAENet
        Initialised.
    is_asked : bool
        Whether compiling was asked for: then a step that cannot be compiled is worth a warning,
        and its networks are compiled.
    """

    def __init__(self, net: Any, is_asked: bool = True) -> None:
        self.net = net
        self.is_asked = is_asked
        self.flags = list(_flags(net.module_).values())
        self.n_epochs_before = len(net.history)
        self.seen: dict[Any, Seen] = {}
        self.graphs: dict[Any, Graph] = {}
        self.n_steps: int | None = None  # of the optimiser; read when it has its slots
        self.why_not: str | None = None

    def __call__(self, batch: Any) -> dict[str, Any]:
        """Take a step; return its loss."""
        self.net._set_training(True)
        rows, noise = batch[0]["batch"], batch[0]["noise"]
        layout = *_layout(rows, noise), *map(bool, self.flags)
        if self.n_steps is None:
            slots = self.net.optimizer_.state.values()
            self.n_steps = next((int(slot["step"]) for slot in slots if "step" in slot), 0)
        self.n_steps = step = self.n_steps + 1
        graph = self.graphs.get(layout)
        if graph is None and layout in self.seen and self._is_worth(len(rows.x)):
            graph = self._compile(layout, step, rows, noise)
        if graph is not None:
            return graph(step, rows, noise)
        if layout in self.seen:
            return self.net.eager_step(batch)
        with _watched(self.net.module_) as draws:
            taken = self.net.eager_step(batch)
        named = self.net.module_.named_parameters()
        self.seen[layout] = Seen(draws, [name for name, p in named if p.grad is not None])
        return taken

    def _is_worth(self, n_rows: int) -> bool:
        """Whether so many rows come often enough: whole batches do."""
        if self.why_not is not None:
            return False
        n_epochs = self.net.max_epochs - (len(self.net.history) - self.n_epochs_before)
        return n_rows == world().n_mine(self.net.batch_size) or n_epochs >= FEWEST_EPOCHS

    def _compile(self, layout: Any, step: int, rows: Batch, noise: Tensor) -> Graph | None:
        """Return the step of such batches as a graph; or say why there is none."""
        try:
            seen = self.seen[layout]
            self.graphs[layout] = Graph(self.net, seen, step, rows, noise)
        except Exception as error:  # whatever it is that torch cannot trace or compile
            self.why_not = str(error).strip().split("\n")[0] or type(error).__name__
            if not self.is_asked:
                return None
            warnings.warn(
                "compile=True: the step as a whole cannot be compiled, only the networks are: "
                f"{self.why_not}",
                stacklevel=2,
            )
            compile_networks(self.net.module_, self.net.device)
        return self.graphs.get(layout)


class Graph:
    """The compiled step of batches of one layout.

    Parameters
    ----------
    net : VAENet
        Whose optimiser has its slots.
    seen : Seen
        What its eager step showed.
    step : int
        The number of this step, 1 the optimiser's first.
    rows : Batch
    noise : Tensor
        Like those to come.
    """

    def __init__(self, net: Any, seen: Seen, step: int, rows: Batch, noise: Tensor) -> None:
        _check(net)
        self.net, self.draws = net, seen.draws
        named = dict(net.module_.named_parameters())
        self.trained = [named.pop(name) for name in seen.trained]
        flags = _flags(net.module_)
        buffers = {n: b for n, b in net.module_.named_buffers() if n not in flags}
        self.names = [*seen.trained, *named, *buffers]
        optimizer = net.optimizer_
        self.update = UPDATES[type(optimizer).__name__]
        states = [optimizer.state[parameter] for parameter in self.trained]
        slots = [state[name] for state in states for name in self.update.slots]
        self.counts = [state["step"] for state in states if "step" in state]
        # Parameters of one group that joined late are at another step.
        group_of = {id(p): i for i, g in enumerate(optimizer.param_groups) for p in g["params"]}
        late = [step - 1 - int(state.get("step", step - 1)) for state in states]
        self.kinds = [(group_of[id(p)], by) for p, by in zip(self.trained, late, strict=True)]
        self.groups = optimizer.param_groups
        self._distinct = list(dict.fromkeys(self.kinds))
        self.state = [p.detach() for p in (*self.trained, *named.values())]
        self.state += [*buffers.values(), *slots]
        self.has_missing = rows.has_missing
        self.is_there = [tensor is not None for tensor in _tensors(rows, noise)]
        # Nothing is drawn yet: the draws of an epoch are those of its steps.
        inputs = self._inputs(step, rows, noise, [features for _, features in self.draws])
        traced = [tensor.detach().clone() for tensor in inputs]
        for tensor in traced[: len(self.trained)]:
            tensor.requires_grad_()
        # The global generator stays as it is: what draws from it is refused. Without a context,
        # tracing makes a new mode for the size of every value, and takes three times as long.
        with torch.random.fork_rng(devices=[]), tracing(TracingContext(FakeTensorMode())):
            graph = make_fx(self._step)(*traced)
        self.function = compiled(graph, inputs)

    def __call__(self, step: int, rows: Batch, noise: Tensor) -> dict[str, Any]:
        """Take a step, 1 the optimiser's first; return its loss."""
        net = self.net
        kept = [layer.kept(features) for layer, features in self.draws]
        loss, terms, *gradients = self.function(*self._inputs(step, rows, noise, kept))
        if gradients:
            for parameter, gradient in zip(self.trained, gradients, strict=True):
                parameter.grad = gradient
            net.update(({"batch": rows, "noise": noise}, rows.weight))
        elif self.counts:
            torch._foreach_add_(self.counts, 1.0)
        net.add_to_sums(len(rows.x), terms, training=True)
        return {"loss": loss}

    def _inputs(self, step: int, rows: Batch, noise: Tensor, kept: list[Tensor]) -> list[Tensor]:
        """Return all that the step takes: what it changes, numbers, what is drawn, the batch."""
        rates = [self.update.numbers(self.groups[i], step - by) for i, by in self._distinct]
        numbers = [*chain(*rates), *self._weights()]
        batch = [tensor for tensor in _tensors(rows, noise) if tensor is not None]
        device = noise.device
        return [*self.state, torch.tensor(numbers, device=device), *kept, *batch]

    def _weights(self) -> list[float]:
        return self.net.criterion_.weights(len(self.net.history) - 1)

    def _step(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the mean loss and the sums of the bound's terms; change the state in place.

        Of a batch that other processes have a part of, return the gradients too, and change
        nothing yet.
        """
        taken = iter(inputs)
        net = self.net
        state = {f"module.{name}": next(taken) for name in self.names}
        trained = list(state.values())[: len(self.trained)]
        slots = [[next(taken) for _ in self.update.slots] for _ in trained]
        numbers = iter(next(taken).unbind())
        rates = {
            kind: [next(numbers) for _ in self.update.numbers(self.groups[kind[0]], 1)]
            for kind in self._distinct
        }
        objective = net.criterion_.given(list(numbers))
        kept = iter([next(taken) for _ in self.draws])
        batch: list[Any] = [next(taken) if is_there else None for is_there in self.is_there]
        rows, noise = Batch(*batch[:-1])._replace(has_missing=self.has_missing), batch[-1]
        with _given(self.draws, kept):
            model = _Bound(net, objective)
            bound = functional_call(model, state, (rows, noise))
            loss = bound.loss.mean()
            raw = torch.autograd.grad(loss, trained)
        if world().size > 1:
            return loss.detach(), sums_of(bound), *raw
        with torch.no_grad():
            gradients = self._clipped(raw)
            for kind, parameter, gradient, its in zip(
                self.kinds, trained, gradients, slots, strict=True
            ):
                group = self.groups[kind[0]]
                self.update.apply(parameter, gradient, its, rates[kind], group)
            return loss.detach(), sums_of(bound)

    def _clipped(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the gradients as the net's callbacks would leave them."""
        for method in self.net.listening("on_grad_computed"):
            norm = torch.stack([g.square().sum() for g in gradients]).sum().sqrt()
            factor = (method.__self__.gradient_clip_value / (norm + 1e-6)).clamp_max(1.0)
            gradients = [gradient * factor for gradient in gradients]
        return gradients


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
                raise ValueError(f"{type(callback).__name__} listens to {name}")


@contextmanager
def _watched(module: nn.Module) -> Iterator[list[tuple[Dropout, Tensor]]]:
    """Note which dropout layers are called within the block, and with what."""
    draws: list[tuple[Dropout, Tensor]] = []

    def note(layer: Any, args: tuple[Tensor]) -> None:
        draws.append((layer, torch.empty_like(args[0].detach())))

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


def compiled(graph: Any, inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """Compile a graph, or return what an equal graph of this process was compiled to.

    Raises
    ------
    ValueError
        When the graph draws random numbers.
    """
    constants = []
    for node in graph.graph.nodes:
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise ValueError(f"a part draws random numbers ({node.target})")
        if node.op == "get_attr" and isinstance(getattr(graph, node.target), Tensor):
            constants.append(getattr(graph, node.target).detach().cpu().numpy().tobytes())
    layouts = [(t.shape, t.stride(), t.dtype, t.device) for t in inputs]
    text = repr((graph.code, constants, layouts, torch.get_num_threads()))
    key = hashlib.sha256(text.encode()).hexdigest()
    if key in _compiled:
        _compiled.move_to_end(key)
        return _compiled[key]
    with warnings.catch_warnings(), _writable_cache():
        # torch's own import of its compiler warns about torch.jit.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            _compiled[key] = torch._inductor.compile(graph, list(inputs))
        except torch._inductor.exc.InductorError:
            # torch 2.13 stumbles over the loops of some graphs when it makes one of many.
            fewer = {"max_fusion_size": 8}
            _compiled[key] = torch._inductor.compile(graph, list(inputs), options=fewer)
    if len(_compiled) > MOST_COMPILED:
        _compiled.popitem(last=False)
    return _compiled[key]


def _writable_cache() -> AbstractContextManager[Any]:
    """Return a context in which torch's compiler keeps files in a folder that can be written."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir
    from torch._inductor.utils import fresh_cache

    try:
        is_writable = os.access(cache_dir(), os.W_OK)
    except OSError:
        is_writable = False
    return nullcontext() if is_writable else fresh_cache()


def missing_compiler(device: str) -> str | None:
    """Return what torch's compiler needs for a device and does not find, else ``None``."""
    if torch.device(device).type != "cpu":
        return "the package 'triton'" if find_spec("triton") is None else None
    compiler = os.environ.get("CXX", "g++")
    return f"a C++ compiler ({compiler!r})" if shutil.which(compiler) is None else None


def resolve_compile(asked: bool | str, device: str, n_steps: int) -> bool | str:
    """Return what was asked for, ``False`` where ``"auto"`` leaves the step as it is.

    It compiles fits of many steps, where there is a compiler. One with a checkpoint it does not: it
    would go on with steps that are not compiled yet, and end as the undisturbed one to rounding.

    Raises
    ------
    ValueError
        When it was asked for, and there is none.
    """
    if asked == "auto":
        is_long = n_steps >= LONG and world().checkpoint is None
        return asked if is_long and missing_compiler(device) is None else False
    if asked and missing_compiler(device):
        raise ValueError(
            f"compile=True on device={device!r} needs {missing_compiler(device)}, which is not "
            "there. Install it, or set compile=False."
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
