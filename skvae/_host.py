"""What a program may have set in torch for all that it does, and what ours needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import Lock

import torch


@contextmanager
def host_by_default() -> Iterator[None]:
    """Let torch make tensors on the host where nobody says otherwise.

    A program may have set another device as its default, which is not where ours begin.
    """
    is_host = torch.get_default_device().type == "cpu"
    with nullcontext() if is_host else torch.device("cpu"):
        yield


class _WithoutTF32:
    """Counts who needs convolutions in float32: the setting is that of the whole process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._n_users = 0
        self._before = True

    @contextmanager
    def __call__(self, device: str) -> Iterator[None]:
        """Compute in float32 on CUDA.

        By default cuDNN rounds what goes into a convolution to 10 bits (TF32).
        """
        if torch.device(device).type != "cuda":
            yield
            return
        with self._lock:
            if not self._n_users:
                self._before = torch.backends.cudnn.allow_tf32
                torch.backends.cudnn.allow_tf32 = False
            self._n_users += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_users -= 1
                if not self._n_users:
                    torch.backends.cudnn.allow_tf32 = self._before


without_tf32 = _WithoutTF32()
