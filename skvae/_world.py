"""The processes that train one model together: what each does of it, and what they tell each other.

A fit asks :func:`world` at its seams. Alone, each answer costs next to nothing and changes no bit;
inside :func:`data_parallel` it is that of a group of processes, which all run the same program.
They hold the same rows, or each its own: a :class:`Group`, or :class:`Shards`.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import secrets
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from skvae import _files

Value = TypeVar("Value")

PATIENCE = timedelta(hours=12)
"""How long a process waits for the others: one may have the model to score between two fits.
That a machine is gone is for the launcher to find."""

JOINING = timedelta(minutes=30)
"""How long the processes wait for one another when they begin."""

GRACE = 2.0
"""Seconds after which an error is taken for that of one process: the same one comes to all of them
at about the same time, and then nobody waits."""


class LostProcessError(RuntimeError):
    """Another process of the fit failed or is gone."""


class World:
    """One process.

    Attributes
    ----------
    rank, size : int
        The number of this process, and how many there are.
    place : int
        Which of the :meth:`parts` is this process's.
    share : float
        This process's part of the last batch of :meth:`batches`.
    checkpoint : Path or None
        The folder of checkpoints.
    """

    rank, size = 0, 1
    place = 0
    share = 1.0

    def __init__(self, checkpoint: Path | None = None) -> None:
        self.checkpoint = checkpoint
        self.entropy: int | None = None
        self._n_seeds = 0

    def fresh_seed(self) -> int:
        """Return a seed for whoever has set none: the same in all processes, and after a restart.

        That is, within a context; alone it is always another.
        """
        entropy: Any = None
        if self.entropy is not None:
            self._n_seeds += 1
            entropy = [self.entropy, self._n_seeds]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])

    def draw_entropy(self) -> None:
        """Decide what seeds are made of, once for a folder of checkpoints."""
        path = None if self.checkpoint is None else self.checkpoint / "random_state.json"
        if path is not None and path.exists():
            self.entropy = json.loads(path.read_text())
            return
        self.entropy = int(np.random.SeedSequence().generate_state(1)[0])
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            _files.replace(path, json.dumps(self.entropy).encode())

    # Rows

    def parts(self, value: Value) -> list[Value]:
        """Return what each of those has to say that hold rows of their own, this one among them.

        Where all hold the same rows, that is one: what is said of these is said of all.
        """
        return [value]

    def joined(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows that all of those have, one after another."""
        return rows

    def n_of(self, n: int, n_rows: int) -> int:
        """Return how many to take here, of so many rows, for some ``n`` of those of all."""
        return min(n, n_rows)

    def batches(self, n_rows: Sequence[int], batch_size: int) -> Iterator[tuple[int, slice]]:
        """Yield how many rows each batch takes of the order of them that this process makes.

        Parameters
        ----------
        n_rows : sequence of int
            The :meth:`parts` of the rows of an epoch.
        batch_size : int
            Of all processes together.

        Yields
        ------
        n, mine : int, slice
            The rows, and which of them this process works on: never none, but then of no
            ``share``.
        """
        n_all = sum(n_rows)
        for start in range(0, n_all, batch_size):
            n = min(batch_size, n_all - start)
            yield n, self._part(n)

    def _part(self, n_rows: int) -> slice:
        """Return which rows of a batch are this process's, and take note of its share."""
        return slice(0, n_rows)

    def may_be_whole(self, n_mine: int, batch_size: int) -> bool:
        """Return whether so many rows may be this process's part of a batch of full size."""
        return n_mine == batch_size

    def gathered(self, values: Tensor) -> tuple[Tensor, slice]:
        """Return what all processes have for the rows of a batch, and where this one's are."""
        return values, slice(None)

    # Sums

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over the processes, in place."""
        return values

    def mean_over(self, rows: Any, mean: Callable[[Any], np.ndarray]) -> np.ndarray:
        """Return the mean of something over rows, of which each process goes through its own."""
        return mean(rows)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make the gradients those of the whole batch."""

    # Agreement

    def of_first(self, function: Callable[[], Value]) -> Value:
        """Return what a function returns, or raises, in the first process: only there it runs."""
        return function()

    def same(self, value: Value) -> Value:
        """Return the first process's value."""
        return value

    def same_weights(self, module: nn.Module) -> None:
        """Give a module the first process's parameters and buffers."""

    def agreed(self, rows: Callable[[], str], model: Callable[[], str]) -> str | None:
        """Return what names a fit, of these rows and of this model, the same in all processes.

        ``None``, if it does not matter.

        Raises
        ------
        ValueError
            When they are about to fit something else.
        """
        return None if self.checkpoint is None else _digest([rows(), model()])

    @contextmanager
    def alike(self) -> Iterator[None]:
        """Look at rows: what is wrong with those of one process is raised in all."""
        yield

    @contextmanager
    def together(self) -> Iterator[None]:
        """Run a fit: should it fail in one process, it ends in all of them."""
        yield


class Group(World):
    """One of several processes.

    Parameters
    ----------
    checkpoint : Path or None
    number : int
        Of this group among those that the process has been in.
    """

    def __init__(self, checkpoint: Path | None, number: int) -> None:
        super().__init__(checkpoint)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        # A group of its own: what a user's program exchanges meanwhile is none of our business,
        # and we may leave it.
        self._group: Any = dist.new_group(timeout=PATIENCE, backend=_backend())
        store = dist.distributed_c10d._get_default_store()
        self._store = dist.PrefixStore(f"skvae{number}", store)
        self._n_failures = 0
        self._n_rows = 0
        self._rows = slice(0, 0)

    # Rows

    def _part(self, n_rows: int) -> slice:
        start, stop = self._ends(n_rows)
        return self._take(n_rows, slice(start, stop))

    def _take(self, n_rows: int, mine: slice) -> slice:
        """Take note of which rows of a batch are this process's; return these, or any one."""
        self._n_rows, self._rows = n_rows, mine
        self.share = (mine.stop - mine.start) / n_rows
        return mine if self.share else slice(0, 1)

    def may_be_whole(self, n_mine: int, batch_size: int) -> bool:
        start, stop = self._ends(batch_size)
        return n_mine == stop - start

    def _ends(self, n_rows: int) -> tuple[int, int]:
        return n_rows * self.rank // self.size, n_rows * (self.rank + 1) // self.size

    def gathered(self, values: Tensor) -> tuple[Tensor, slice]:
        if get_proxy_mode() is not None:
            raise TypeError("its objective uses the rows of other processes")
        part = _Part(self, self._n_rows, self._rows, self.share)
        return _Gather.apply(values, part), self._rows if self.share else slice(0, 1)

    # Sums

    def total(self, values: Tensor) -> Tensor:
        with self._exchange():
            dist.all_reduce(values, group=self._group)
        return values

    def mean_over(self, rows: Any, mean: Callable[[Any], np.ndarray]) -> np.ndarray:
        mine = self._part(len(rows))
        of_mine = mean(rows.subset(np.arange(mine.start, mine.stop)))
        return self.total(torch.from_numpy(of_mine * self.share)).numpy()

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients]).mul_(self.share)
        self._spread(gradients, self.total(flat))

    @staticmethod
    def _spread(tensors: Sequence[Tensor], flat: Tensor) -> None:
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    # Agreement

    def of_first(self, function: Callable[[], Value]) -> Value:
        value, error = None, None
        if self.rank == 0:
            try:
                value = function()
            except Exception as raised:  # of whatever kind: it is raised again, everywhere
                error = raised
        value, error = self.same((value, error))
        if error is not None:
            raise error
        return value  # type: ignore[return-value]  # None only where the function returned it

    def same(self, value: Value) -> Value:
        held = [value if self.rank == 0 else None]
        with self._exchange():
            dist.broadcast_object_list(held, group_src=0, group=self._group, device=CPU)
        return value if self.rank == 0 else held[0]  # type: ignore[return-value]  # rank 0's

    def same_weights(self, module: nn.Module) -> None:
        with torch.no_grad(), self._exchange():
            for tensor in (*module.parameters(), *module.buffers()):
                first = tensor.contiguous()
                dist.broadcast(first, group_src=0, group=self._group)
                tensor.copy_(first)

    def agreed(self, rows: Callable[[], str], model: Callable[[], str]) -> str | None:
        key = _digest([rows(), model()])
        if len(set(self._everyone(key))) > 1:
            raise ValueError(
                f"The {self.size} processes do not fit the same model to the same rows. Pass the "
                "same X, weights, parameters and random_state in all of them. If each process has "
                "its own rows, use skvae.data_parallel(shards=True)."
            )
        return key

    def _everyone(self, value: Any) -> list[Any]:
        """Return the values of all processes."""
        values: list[Any] = [None] * self.size
        with self._exchange():
            dist.all_gather_object(values, value, group=self._group)
        return values

    # Failure

    @contextmanager
    def together(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self.fail(error)
            raise

    def fail(self, error: BaseException) -> None:
        """Leave the group, so that nobody waits for this process, unless all failed alike."""
        if self._group is None:
            return
        if not isinstance(error, LostProcessError):
            # Without a store, which goes with its process, the others learn less.
            with suppress(RuntimeError):
                if self._failed_alike():
                    return
                text = f"process {self.rank} failed: {type(error).__name__}: {error}"
                self._store.set("failed", text)
        self.leave()

    def _failed_alike(self) -> bool:
        """Return whether every process has come to its n-th error."""
        self._n_failures += 1
        self._store.set(f"{self._n_failures}/{self.rank}", "failed")
        everyone = [f"{self._n_failures}/{rank}" for rank in range(self.size)]
        end = time.monotonic() + GRACE
        while not self._store.check(everyone):
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def leave(self) -> None:
        """Close the connections to the others."""
        group, self._group = self._group, None
        if group is not None:
            dist.destroy_process_group(group)

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        """Say of a failed exchange what it was that failed."""
        if self._group is None:
            raise LostProcessError(self._reason())
        try:
            yield
        except RuntimeError as error:
            raise LostProcessError(self._reason()) from error

    def _reason(self) -> str:
        with suppress(RuntimeError):
            if self._store.check(["failed"]):
                return f"Training ended, because {self._store.get('failed').decode()}"
        return (
            "Training ended, because another process is gone. With a checkpoint and "
            "torchrun --max-restarts, training continues from the checkpoint."
        )


class Shards(Group):
    """One of several processes, each of which holds rows of its own.

    A batch takes of each in proportion to its rows, in an order and with noise of its own.
    """

    def __init__(self, checkpoint: Path | None, number: int) -> None:
        super().__init__(checkpoint, number)
        self.place = self.rank
        self._told: Exception | None = None
        self._shares = np.empty(0)

    # Rows

    def parts(self, value: Value) -> list[Value]:
        said = self._everyone((value, None))
        self._told = next((error for _, error in said if error is not None), None)
        if self._told is not None:
            raise self._told
        return [value for value, _ in said]

    def joined(self, rows: np.ndarray) -> np.ndarray:
        return np.concatenate(self.parts(rows))

    def n_of(self, n: int, n_rows: int) -> int:
        share = n / max(1, sum(self.parts(n_rows)))
        return min(n_rows, max(1, int(share * n_rows)))

    def batches(self, n_rows: Sequence[int], batch_size: int) -> Iterator[tuple[int, slice]]:
        sizes = np.array(n_rows)
        n_all = int(sizes.sum())
        self._shares = sizes / n_all
        taken = np.zeros_like(sizes)
        for stop in range(batch_size, n_all + batch_size, batch_size):
            before, taken = taken, _apportioned(sizes, min(stop, n_all))
            stops = (taken - before).cumsum()
            n = int(taken[self.rank] - before[self.rank])
            stop_of_mine = int(stops[self.rank])
            self._take(int(stops[-1]), slice(stop_of_mine - n, stop_of_mine))
            yield n, slice(0, max(1, n))

    def may_be_whole(self, n_mine: int, batch_size: int) -> bool:
        return abs(n_mine - batch_size * self._shares[self.rank]) < 2

    def mean_over(self, rows: Any, mean: Callable[[Any], np.ndarray]) -> np.ndarray:
        share = len(rows) / sum(self.parts(len(rows)))
        return self.total(torch.from_numpy(mean(rows) * share)).numpy()

    # Agreement

    def agreed(self, rows: Callable[[], str], model: Callable[[], str]) -> str | None:
        of_rows, of_models = zip(*self.parts((rows(), model())), strict=True)
        if len(set(of_models)) > 1:
            raise ValueError(
                f"The {self.size} processes do not fit the same model to their rows. Set the same "
                "parameters and random_state in all of them."
            )
        if len(set(of_rows)) == 1:
            warnings.warn(
                f"All {self.size} processes hold the same rows, so each row counts {self.size} "
                "times. With shards=True, pass to each process only its own part of the rows.",
                stacklevel=6,
            )
        return _digest([*of_rows, of_models[0]])

    @contextmanager
    def alike(self) -> Iterator[None]:
        try:
            yield
        except LostProcessError:
            raise
        except Exception as error:
            if error is not self._told:
                error.add_note(f"This error is from process {self.rank}, which has its own rows.")
                # Those who look at rows yet hear it in the place of the next of our parts.
                errors = [error for _, error in self._everyone((None, _portable(error)))]
                first = next(rank for rank, error in enumerate(errors) if error is not None)
                if first != self.rank:
                    raise errors[first] from None
            raise
        self.parts(None)


def _portable(error: Exception) -> Exception:
    """Return an error as other processes can read it: by its text where it has no pickle."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its class makes of it
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _apportioned(sizes: np.ndarray, n: int) -> np.ndarray:
    """Return how many rows of each process are among the first ``n`` of all.

    The k-th row of m has its place at (k − ½)/m of the way (Webster's method): so each process has
    its share of every stretch, and no row is called back when there are more.

    Parameters
    ----------
    sizes : ndarray of int, shape (n_processes,)
        Their rows.
    n : int
        At most as many as there are.
    """
    n_all = int(sizes.sum())
    # In integers: 2·(the rows of a process)·n may need more bits than floats have.
    found = np.array([(2 * int(m) * n + n_all) // (2 * n_all) for m in sizes])
    while (excess := int(found.sum()) - n) != 0:
        # The places of the last row that is taken, or of the next one.
        of_row = found - 0.5 if excess > 0 else found + 0.5
        place = np.divide(of_row, sizes, where=sizes > 0, out=np.full(len(sizes), -1.0))
        if excess > 0:
            found[len(place) - 1 - place[::-1].argmax()] -= 1
        else:
            found[np.where(sizes > 0, place, np.inf).argmin()] += 1
    return found


class _Part(NamedTuple):
    """What a process has of a batch."""

    group: Group
    n_rows: int
    rows: slice
    share: float


class _Gather(torch.autograd.Function):
    """The rows of all processes, out of those of each."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, part: _Part) -> Tensor:
        ctx.part = part
        everyone = values.new_zeros((part.n_rows, *values.shape[1:]))
        if part.share:
            everyone[part.rows] = values
        return part.group.total(everyone)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # The loss of each process counts by its share; this one's gradients are yet to be
        # multiplied by its own.
        group, _, rows, share = ctx.part
        total = group.total(gradient * share)
        return total[rows] / share if share else torch.zeros_like(total[:1]), None


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:32]


CPU = torch.device("cpu")

_ALONE = World()
# Not of the process: threads and processes that a search starts are alone, and wait for nobody.
_CURRENT: ContextVar[World] = ContextVar("world", default=_ALONE)
_n_groups = 0


def world() -> World:
    """Return the processes that train together here."""
    return _CURRENT.get()


def _backend() -> str:
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"


@contextmanager
def data_parallel(
    *, shards: bool = False, checkpoint: str | os.PathLike[str] | None = None
) -> Iterator[World]:
    """Train every model that is fitted in the ``with`` block by all processes of this program.

    Start the program several times, for example with ``torchrun``, on one machine or on many. Each
    process works on its part of every batch, and their gradients are added up. So the fit is that
    of one process, and all processes end with the same estimator. ``batch_size`` is the number of
    rows that all processes together use in a step. With one process, the fit is the same as
    outside.

    If the processes are already in an initialised group of ``torch.distributed``, as with
    accelerate, Ray or Spark, that group is used. Otherwise a group is made from the environment
    variables that ``torchrun`` sets, and it stays until the program ends. On GPUs each process
    uses the device of its ``LOCAL_RANK``.

    Parameters
    ----------
    shards : bool, default=False
        Whether each process has its own rows. If ``False``, all processes pass the same X to
        ``fit``, and each works on a part of every batch. If ``True``, X, y and ``sample_weight``
        hold only the rows of this process, and no process reads the rows of the others. What is
        learned about the columns (moments, likelihood, categories and classes) is that of all rows.
        Each process contributes to a batch in proportion to its rows, and each row is used once in
        an epoch.
    checkpoint : path-like, default=None
        A folder, which is created. Every fit writes its state to a file in it at the end of an
        epoch, or after several epochs if they are so short that writing would take more than a
        twentieth of the time. The same fit of the same program then continues from this file, and
        its result is the same, bit for bit, as if it had not been interrupted. A fit that is
        complete is not trained again. With another folder, or without one, a fit starts from the
        beginning. If ``None``, nothing is written.

    Yields
    ------
    world : World
        ``rank`` is the number of this process, and ``size`` is the number of processes.

    Raises
    ------
    ValueError
        At ``fit``, if the processes have different rows, parameters or ``random_state``, if the
        model has batch normalisation, or if the objective compares the rows of a batch
        (:class:`skvae.objectives.BetaTCVAE`, :class:`skvae.objectives.InfoVAE`). With ``shards``
        the rows may differ, but X must have the same columns and type of floats in all processes.
        Any other error in the rows of one process is raised in all processes.
    RuntimeError
        At ``fit``, if another process has failed, with the text of its error, or is gone.
    TimeoutError
        If the other processes do not join within half an hour.

    See Also
    --------
    VariationalAutoencoder : The model that is trained, also inside the estimators that hold one.

    Notes
    -----
    All processes run the same program: they fit the same models in the same order. Each process
    does everything that is not a fit, such as ``transform``, for itself, but ``save`` writes only
    in the first process. Callbacks run in every process. Threads and processes that a search or an
    ensemble starts inside (``n_jobs``) do not belong to the group, and fit for themselves.

    Two processes add up numbers in another order than one process. So the results of a fit differ
    in the last digits of float32, and in the draws of dropout and of distorted images, because each
    process has its own. With ``compile=True``, a fit that continues from a checkpoint differs in
    the last digits, too. ``compile="auto"`` compiles nothing if there is a checkpoint.

    With ``shards``, a fit depends on which process has which rows, because this decides which rows
    are in a batch. Every process must have at least one row, or two with ``early_stopping``. Steps
    before a model, such as a scaler in a pipeline, and methods around it, such as a search, use
    only the rows of their process.

    The gradients are summed as in Li et al. 2020 (https://arxiv.org/abs/2006.15704).

    Examples
    --------
    Start this program with ``torchrun --nproc-per-node 4 train.py``:

    >>> import skvae
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> with skvae.data_parallel(checkpoint=getfixture("tmp_path") / "run") as world:
    ...     vae = skvae.VariationalAutoencoder(max_epochs=5, random_state=0).fit(X)
    >>> world.rank, world.size
    (0, 1)
    """
    folder = None if checkpoint is None else Path(checkpoint)
    if not dist.is_initialized() and int(os.environ.get("WORLD_SIZE", 1)) > 1:
        _meet()
    with _on_own_device(), _member(folder, Shards if shards else Group) as member:
        token = _CURRENT.set(member)
        try:
            yield member
        finally:
            _CURRENT.reset(token)


def _meet() -> None:
    """Make the group that the environment describes, once for all contexts of the process."""
    store, rank, size = next(dist.rendezvous("env://", timeout=JOINING))
    # torchrun keeps its store when it starts processes again, and with it the addresses of those
    # that are gone, which gloo would wait for.
    fresh = dist.PrefixStore(_watchword(store, rank, size), store)
    dist.init_process_group(_backend(), store=fresh, rank=rank, world_size=size, timeout=PATIENCE)


def _watchword(store: Any, rank: int, size: int) -> str:
    """Return a word on which the processes that are here now have agreed.

    The first one makes it up, and waits for an answer of each of the others to just this word. They
    answer to any word with one of their own, and go by it once the first has repeated their answer:
    what lies in the store of processes before them repeats other answers.
    """
    mine = secrets.token_hex(8)
    if rank == 0:
        store.set("skvae/word", mine)
        answers = [store.get(f"skvae/{mine}/{other}").decode() for other in range(1, size)]
        store.set(f"skvae/{mine}", " ".join(answers))
        return mine
    end = time.monotonic() + JOINING.total_seconds()
    while time.monotonic() < end:
        word = store.get("skvae/word").decode()
        store.set(f"skvae/{word}/{rank}", mine)
        if store.check([f"skvae/{word}"]) and mine in store.get(f"skvae/{word}").decode().split():
            return word
        time.sleep(0.02)
    raise TimeoutError(
        f"Process {rank} waited for the first process, but got no answer. Check that all processes "
        "were started and can reach the first one."
    )


@contextmanager
def _member(checkpoint: Path | None, kind: type[Group]) -> Iterator[World]:
    """Join the other processes, if there are any, and leave them."""
    global _n_groups
    if not dist.is_initialized() or dist.get_world_size() == 1:
        alone = World(checkpoint)
        alone.draw_entropy()
        yield alone
        return
    _n_groups += 1
    group = kind(checkpoint, _n_groups)
    try:
        group.of_first(group.draw_entropy)
        group.entropy = group.same(group.entropy)
        yield group
    except BaseException as error:
        group.fail(error)
        raise
    finally:
        group.leave()


@contextmanager
def _on_own_device() -> Iterator[None]:
    """Make "cuda" the device that the launcher has given to this process."""
    if not (torch.cuda.is_available() and "LOCAL_RANK" in os.environ):
        yield
        return
    before = torch.cuda.current_device()
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    try:
        yield
    finally:
        torch.cuda.set_device(before)
