"""What a function does to tensors, recorded: the operations, without the Python around them."""

from __future__ import annotations

import functools
import hashlib
import operator
import os
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.utils.weak import WeakTensorKeyDictionary

from skvae._uncompiled import DispatchMode

aten = torch.ops.aten


class Value(NamedTuple):
    """Stands for a tensor among the arguments of a recorded call."""

    number: int


class Call(NamedTuple):
    """An operation of torch, what it got, and the numbers of what it returned."""

    function: Any
    args: Any
    kwargs: Any
    returned: int | list[int]
    """One number for a tensor, a list for several in a tuple."""

    @property
    def numbers(self) -> list[int]:
        """Those of all that it returned."""
        return [self.returned] if isinstance(self.returned, int) else self.returned

    @property
    def given(self) -> set[int]:
        """The numbers of the tensors that it got."""
        numbers: set[int] = set()
        _mapped((self.args, self.kwargs), lambda value: numbers.add(value.number))
        return numbers


class Recording:
    """The operations of a function, forward and backward, in the order in which they ran.

    Those are left out that nothing depends on, that do again what one before did, or that would
    give the same in every call.

    It is a function of the same tensors, and gives the same bits, for tensors of the same sizes,
    strides and types. Whatever else the function goes by, it is as it was: a recording is worth
    believing where it gives what the function gives for tensors that it was not made from.

    Parameters
    ----------
    function : callable
        Of tensors; returns a tuple of tensors. It may ask for gradients within.
    inputs : sequence of Tensor
        What it is called with.

    Raises
    ------
    ValueError
        When it draws random numbers, reads a value from a tensor, or tells other processes.
    """

    def __init__(
        self, function: Callable[..., tuple[Tensor, ...]], inputs: Sequence[Tensor]
    ) -> None:
        self.n_inputs = len(inputs)
        recorder = _Recorder(inputs)
        with recorder:
            outputs = function(*inputs)
        self._returned = [recorder.value(tensor) for tensor in outputs]
        recorder.simplify(self._returned)
        self.constants = recorder.constants
        self.calls = recorder.needed(self._returned)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the operations again, on other tensors."""
        return self._run(inputs, lambda _, args: args)

    def without_numbers(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run them with a tensor for each number of which torch would make one in every call."""
        return self._run(inputs, _numbers_as_tensors)

    def _run(
        self, inputs: Sequence[Tensor], prepared: Callable[[Any, Sequence[Any]], Sequence[Any]]
    ) -> tuple[Tensor, ...]:
        values: dict[int, Tensor] = dict(enumerate(inputs)) | self.constants

        def get(value: Value) -> Tensor:
            return values[value.number]

        for function, args, kwargs, returned in self.calls:
            found = function(*prepared(function, _mapped(args, get)), **_mapped(kwargs, get))
            if isinstance(returned, int):
                values[returned] = found
            else:
                values.update(zip(returned, found, strict=True))
        return tuple(get(value) for value in self._returned)

    def key(self, inputs: Sequence[Tensor]) -> str:
        """Return what is equal for two that do the same to inputs that are laid out like these."""
        constants = [
            tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            for tensor in self.constants.values()
        ]
        layouts = [
            (t.shape, t.stride(), t.dtype, t.device) for t in (*inputs, *self.constants.values())
        ]
        text = repr((self.calls, self._returned, constants, layouts, torch.get_num_threads()))
        return hashlib.sha256(text.encode()).hexdigest()

    def graph(self) -> fx.GraphModule:
        """Return it as a graph for torch's compiler."""
        graph, root = fx.Graph(), nn.Module()
        nodes = {i: graph.placeholder(f"input_{i}") for i in range(self.n_inputs)}
        for number, constant in self.constants.items():
            root.register_buffer(f"constant_{-number}", constant)
            nodes[number] = graph.get_attr(f"constant_{-number}")

        def get(value: Value) -> fx.Node:
            return nodes[value.number]

        for function, args, kwargs, returned in self.calls:
            node = graph.call_function(function, _mapped(args, get), _mapped(kwargs, get))
            if isinstance(returned, int):
                nodes[returned] = node
            else:
                for i, number in enumerate(returned):
                    nodes[number] = graph.call_function(operator.getitem, (node, i))
        graph.output(tuple(get(value) for value in self._returned))
        return fx.GraphModule(root, graph)


MOST_FOLDED = 2**16
"""So many numbers, or more, are made of constants in every call, and not kept."""


class _Recorder(DispatchMode):
    """Note every operation within the block."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.constants: dict[int, Tensor] = {}
        # Weakly, so that a tensor's memory is free again as soon as nothing else needs it.
        self._numbers: Any = WeakTensorKeyDictionary()
        self._transposed: dict[int, int] = {}
        # For each number the first one whose tensor lies in the same memory.
        self._memory: dict[int, int] = {}
        self._n_values = 0
        for i, tensor in enumerate(inputs):
            self._add(tensor, inputs[:i])

    def _add(self, tensor: Tensor | None, others: Sequence[Tensor]) -> int:
        """Return the number of a new tensor, which may lie in the memory of others."""
        number = self._n_values
        self._n_values += 1
        self._memory[number] = number
        if tensor is not None:  # a gradient that nobody asked for
            self._numbers[tensor] = number
            place = tensor.untyped_storage()._cdata
            for other in others:
                if other.untyped_storage()._cdata == place:
                    self._memory[number] = self._memory[self.value(other).number]
        return number

    def _add_constant(self, tensor: Tensor) -> int:
        number = -1 - len(self.constants)
        self.constants[number] = tensor
        self._memory[number] = number
        return number

    def value(self, tensor: Tensor) -> Value:
        """Return what stands for a tensor: one that nothing has returned is a constant."""
        number = self._numbers.get(tensor)
        if number is None:
            number = self._numbers[tensor] = self._add_constant(tensor)
        return Value(number)

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        is_read = torch.Tag.data_dependent_output in function.tags
        if is_read and all(tensor not in self._numbers for tensor in args):
            # A flag: it is not of the batch, nor made of what is.
            return function(*args, **kwargs)
        _check(function, args)
        call = _mapped(args, self.value, Tensor), _mapped(kwargs, self.value, Tensor)
        schema = function._schema
        if schema.is_mutable and not self.constants.keys().isdisjoint(_changed(schema, *call)):
            raise ValueError(f"a part changes a tensor that was not passed to it ({function})")
        found = function(*args, **kwargs)
        given: list[Tensor] = []
        _mapped((args, kwargs), given.append, Tensor)
        if isinstance(found, Tensor):
            same = self._same_as(function, call[0])
            if same is None:
                number = self._add(found, given)
                self.calls.append(Call(function, *call, number))
                if function is aten.t.default:
                    self._transposed[number] = call[0][0].number
            else:
                self._numbers[found] = same
        else:
            numbers = [self._add(tensor, given) for tensor in found]
            self.calls.append(Call(function, *call, numbers))
        return found

    def _same_as(self, function: Any, args: Any) -> int | None:
        """Return the number of what an operation returns again, for autograd's sake."""
        if function is aten.detach.default:
            return int(args[0].number)
        if function is aten.t.default:
            return self._transposed.get(args[0].number)
        return None

    def needed(self, returned: Sequence[Value]) -> list[Call]:
        """Return the operations without which there would be something else."""
        wanted = {value.number for value in returned}
        found = []
        for call in reversed(self.calls):
            if call.function._schema.is_mutable or not wanted.isdisjoint(call.numbers):
                wanted |= call.given
                found.append(call)
        return found[::-1]

    def simplify(self, returned: Sequence[Value]) -> None:
        """Do once what is done twice, and before the first call what gives the same in each.

        Only to memory that nothing changes: neither another operation nor who gets the result.
        """
        changed, handed_over = set(), {self._memory[value.number] for value in returned}
        for call in self.calls:
            written = _changed(call.function._schema, call.args, call.kwargs)
            changed |= {self._memory[number] for number in written}
        stands_for: dict[int, int] = {}
        first: dict[str, Call] = {}
        calls, self.calls = self.calls, []

        def get(value: Value) -> Value:
            return Value(stands_for.get(value.number, value.number))

        for call in calls:
            its = {self._memory[number] for number in call.numbers}
            is_pure = its.isdisjoint(changed | handed_over) and changed.isdisjoint(
                self._memory[number] for number in call.given
            )
            call = call._replace(args=_mapped(call.args, get), kwargs=_mapped(call.kwargs, get))
            if is_pure and call.given <= self.constants.keys():
                made = self._made(call)
                sizes = [MOST_FOLDED if tensor is None else tensor.numel() for tensor in made]
                if sum(sizes) < MOST_FOLDED:
                    numbers = [self._add_constant(tensor) for tensor in made]
                    stands_for.update(zip(call.numbers, numbers, strict=True))
                    continue
            earlier = first.setdefault(repr(call[:3]), call) if is_pure else call
            if earlier is call:
                self.calls.append(call)
            else:
                stands_for.update(zip(call.numbers, earlier.numbers, strict=True))

    def _made(self, call: Call) -> Sequence[Tensor]:
        """Return what an operation makes of constants."""

        def get(value: Value) -> Tensor:
            return self.constants[value.number]

        with torch.no_grad():
            found = call.function(*_mapped(call.args, get), **_mapped(call.kwargs, get))
        return [found] if isinstance(call.returned, int) else found


def _numbers_as_tensors(function: Any, args: Sequence[Any]) -> Sequence[Any]:
    """Return arguments with a tensor for each number that the operation takes as one."""
    like = next((value for value in args if isinstance(value, Tensor)), None)
    if like is None or not like.is_floating_point():
        return args
    return [
        torch.tensor(value, dtype=like.dtype, device=like.device)
        if isinstance(value, int | float) and isinstance(argument.type, torch.TensorType)
        else value
        for value, argument in zip(args, function._schema.arguments, strict=False)
    ]


def _changed(schema: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> set[int]:
    """Return the numbers of the tensors that a call changes in place."""
    names = [argument.name for argument in schema.arguments]
    given = dict(zip(names, args, strict=False)) | kwargs
    numbers: set[int] = set()
    for argument in schema.arguments:
        if argument.alias_info is not None and argument.alias_info.is_write:
            _mapped(given.get(argument.name), lambda value: numbers.add(value.number))
    return numbers


def _check(function: Any, args: Any) -> None:
    """Raise ``ValueError`` for an operation that does not depend on tensors alone."""
    if torch.Tag.nondeterministic_seeded in function.tags:
        raise ValueError(f"a part draws random numbers ({function})")
    if torch.Tag.data_dependent_output in function.tags:
        raise ValueError(f"a part reads a value from a tensor ({function})")
    # Of indices, only those that are a mask.
    is_index = function is aten.index.Tensor and all(
        index is None or index.dtype is not torch.bool for index in args[1]
    )
    if torch.Tag.dynamic_output_shape in function.tags and not is_index:
        raise ValueError(f"the size of what a part returns depends on the values ({function})")
    if function.namespace == "c10d":
        raise ValueError(f"its objective uses the rows of other processes ({function})")


def _mapped(value: Any, function: Callable[[Any], Any], kind: type = Value) -> Any:
    """Return arguments, with what is of a kind changed by a function."""
    if isinstance(value, kind):
        return function(value)
    if isinstance(value, (list, tuple)):
        return type(value)([_mapped(item, function, kind) for item in value])
    if isinstance(value, dict):
        return {name: _mapped(item, function, kind) for name, item in value.items()}
    return value


MOST_KEPT = 64
"""Functions that a process keeps for recordings to come."""

_kept: OrderedDict[tuple[str, str], Callable[..., Any]] = OrderedDict()


def _kept_by_key(make: Any) -> Callable[[Recording, Sequence[Tensor]], Callable[..., Any]]:
    """Let equal recordings of a process share the function that is made of them."""

    @functools.wraps(make)
    def made(recording: Recording, inputs: Sequence[Tensor]) -> Callable[..., Any]:
        key = make.__name__, recording.key(inputs)
        function = _kept.pop(key, None)
        if function is None:
            function = make(recording, inputs)
        _kept[key] = function
        if len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
        return function

    return made


@_kept_by_key
def scripted(recording: Recording, inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """Return a recording for torch's own interpreter, which runs it without Python.

    Between two small operations Python and autograd take most of the time. The interpreter runs
    them as they are, one after the other, and gives the same bits.

    Raises
    ------
    ValueError
        Where there is no such interpreter.
    """
    # torch does not promise it from Python 3.14 on.
    if sys.version_info >= (3, 14):
        raise ValueError("torch's interpreter is not available")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # constants are meant to be
        traced = torch.jit.trace(recording.without_numbers, tuple(inputs), check_trace=False)

    def run(*inputs: Tensor) -> Any:
        # Else it would take operations apart and join others, which rounds differently.
        torch._C._set_graph_executor_optimize(False)
        try:
            return traced(*inputs)
        finally:
            torch._C._set_graph_executor_optimize(True)

    # Which of torch's two interpreters it is, is decided at its first call; the newer one takes
    # operations apart whatever it is told.
    is_newer = torch._C._jit_set_profiling_executor(False)
    try:
        with torch.no_grad():
            run(*inputs)
    finally:
        torch._C._jit_set_profiling_executor(is_newer)
    return run


@_kept_by_key
def compiled(recording: Recording, inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """Return a recording as torch's compiler makes it: few loops, right up to rounding."""
    from torch._subclasses import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    graph = recording.graph()
    # Files of the compiler are found again only by inputs that have no values.
    mode = FakeTensorMode(shape_env=ShapeEnv(), static_shapes=True, allow_non_fake_inputs=True)
    likewise: list[Any] = [mode.from_tensor(tensor) for tensor in inputs]
    # Whoever calls it has seen to it that inputs are laid out like these.
    options: dict[str, Any] = {"size_asserts": False}
    with warnings.catch_warnings(), _writable_cache():
        # torch's own import of its compiler warns about torch.jit.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return torch._inductor.compile(graph, likewise, options=options)
        except torch._inductor.exc.InductorError as error:
            # A process that ended while it wrote a file has left one that cannot be loaded.
            if isinstance(error.inner_exception, ImportError | OSError):
                with _new_cache():
                    return torch._inductor.compile(graph, likewise, options=options)
            # torch 2.13 stumbles over the loops of some graphs when it makes one of many.
            options = options | {"max_fusion_size": 8}
            return torch._inductor.compile(graph, likewise, options=options)


def _writable_cache() -> AbstractContextManager[Any]:
    """Return a context in which torch's compiler keeps files in a folder that can be written."""
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    try:
        is_writable = os.access(cache_dir(), os.W_OK)
    except OSError:
        is_writable = False
    return nullcontext() if is_writable else _new_cache()


def _new_cache() -> AbstractContextManager[Any]:
    """Return a context in which torch's compiler keeps files in a folder of its own."""
    from torch._inductor.utils import fresh_cache

    return fresh_cache()
