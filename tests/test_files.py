"""Files that are replaced whole or not at all, whatever happens on the way."""

import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sklearn.datasets import load_iris

import skvae
from skvae import VariationalAutoencoder, _files, export

X = load_iris().data
OLD, NEW = b"as it was", b"as it shall be" * 1000


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(OLD)
    return path


def mode(path):
    return path.stat().st_mode & 0o7777


@pytest.fixture
def umask():
    """A umask that leaves nothing to others."""
    before = os.umask(0o027)
    yield
    os.umask(before)


# Who may read it, and what it is called


@pytest.mark.parametrize("bits", [0o600, 0o640, 0o664, 0o444])
def test_a_file_that_is_there_keeps_its_mode(path, bits, umask):
    path.chmod(bits)
    _files.replace(path, NEW)
    assert path.read_bytes() == NEW
    assert mode(path) == bits


def test_a_new_file_has_the_mode_of_new_files(tmp_path, umask):
    _files.replace(tmp_path / "new", NEW)
    assert mode(tmp_path / "new") == 0o640


def test_a_stricter_mode_holds_from_the_first_byte_on(path, monkeypatch):
    path.chmod(0o600)
    seen = []

    def look(*_):
        seen.extend(mode(other) for other in path.parent.iterdir() if other != path)
        raise OSError("seen")

    monkeypatch.setattr(os, "fsync", look)
    with pytest.raises(OSError, match="seen"):
        _files.replace(path, NEW)
    assert seen == [0o600]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_its_target_is_replaced(tmp_path, there):
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "target"
    if there:
        target.write_bytes(OLD)
    chain = tmp_path / "chain"
    (tmp_path / "link").symlink_to("folder/target")
    chain.symlink_to("link")
    _files.replace(chain, NEW)
    assert target.read_bytes() == NEW
    assert not target.is_symlink()
    assert (tmp_path / "link").readlink() == Path("folder/target")
    assert chain.readlink() == Path("link")


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        _files.replace(tmp_path / "a", NEW)
    assert (tmp_path / "a").is_symlink()


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "[*]?", ".hidden"])
def test_names_may_be_as_long_and_as_odd_as_the_file_system_allows(tmp_path, name):
    for content in (OLD, NEW):
        _files.replace(tmp_path / name, content)
        assert (tmp_path / name).read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(OSError, match="too long"):
        _files.replace(tmp_path / ("n" * 256), NEW)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_neither_written_to_nor_replaced(tmp_path):
    with pytest.raises(IsADirectoryError):
        _files.replace(tmp_path, NEW)
    with pytest.raises(FileNotFoundError, match=r"no folder .*missing"):
        _files.replace(tmp_path / "missing" / "file", NEW)
    assert not list(tmp_path.iterdir())


def test_a_pipe_is_written_to_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_bytes)
        _files.replace(pipe, NEW)
    assert read.result() == NEW
    assert pipe.is_fifo()


# When something happens on the way


def test_a_full_disk_leaves_the_old_file_and_nothing_else(path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(NEW) // 2, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            _files.replace(path, NEW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == OLD
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_an_error_leaves_the_old_file_and_nothing_else(path, moment, error, monkeypatch):
    def fail(*_):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(os, moment, fail)
        with pytest.raises(type(error)):
            _files.replace(path, NEW)
    assert path.read_bytes() == OLD
    assert list(path.parent.iterdir()) == [path]
    n_open = len(list(Path("/proc/self/fd").iterdir()))
    _files.replace(path, NEW)
    assert len(list(Path("/proc/self/fd").iterdir())) == n_open


def test_content_and_folder_are_flushed_to_disk(path, monkeypatch):
    flushed, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (flushed.append(os.fstat(fd).st_ino), fsync(fd)))
    _files.replace(path, NEW)
    assert flushed == [path.stat().st_ino, path.parent.stat().st_ino]


HALFWAY = """
import importlib.util, os, sys

spec = importlib.util.spec_from_file_location("files", sys.argv[2])  # without torch, quickly
_files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(_files)

def wait(_):
    print("written", flush=True)
    sys.stdin.read()

os.fsync = wait
_files.replace(sys.argv[1], b"of another process")
"""


@pytest.fixture
def halfway(path):
    """A process that has written a temporary file and waits before it renames it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HALFWAY, str(path), _files.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"written\n"
    yield process
    process.kill()
    process.communicate()


def temporaries(path):
    return [file for file in path.parent.iterdir() if file != path]


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(path, halfway):
    (left,) = temporaries(path)
    _files.replace(path, NEW)
    assert temporaries(path) == [left]  # its writer lives
    halfway.send_signal(signal.SIGKILL)
    halfway.wait()
    assert path.read_bytes() == NEW
    assert temporaries(path) == [left]
    _files.replace(path.with_name("another"), NEW)
    assert left.exists()  # of this target, not of that
    _files.replace(path, OLD)
    assert not left.exists()


def test_a_process_that_was_overtaken_still_writes_its_file(path, halfway):
    _files.replace(path, NEW)
    halfway.communicate()
    assert halfway.returncode == 0
    assert path.read_bytes() == b"of another process"
    assert temporaries(path) == []


def test_threads_do_not_remove_each_others_files(path):
    contents = [bytes([k]) * 50_000 for k in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: _files.replace(path, contents[k % 16]), range(200)))
    assert path.read_bytes() in contents
    assert temporaries(path) == []


def test_a_file_removed_before_it_was_locked_is_made_anew(path, monkeypatch):
    lock, times = _files._lock, []

    def late(file):
        if not times:
            _files._remove_abandoned(path.parent, Path(file.name).name.rpartition(".")[0][:17])
        times.append(lock(file))
        return times[-1]

    monkeypatch.setattr(_files, "_lock", late)
    _files.replace(path, NEW)
    assert times == [False, True]
    assert path.read_bytes() == NEW
    assert temporaries(path) == []


# All that writes files writes them so


def saved(vae, path):
    vae.save(path)


def explored(vae, path):
    skvae.explore(vae, X, path=path, grid=2)


@pytest.mark.parametrize("write", [saved, explored, export.to_onnx])
def test_models_pages_and_graphs_are_replaced_whole(write, path, tmp_path, monkeypatch):
    vae = VariationalAutoencoder(max_epochs=1, hidden_layer_sizes=(4,), random_state=0).fit(X)
    path.chmod(0o600)
    link = tmp_path / "link"
    link.symlink_to(path.name)

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="disk full"):
            write(vae, link)
    assert path.read_bytes() == OLD
    write(vae, link)
    assert len(path.read_bytes()) > 1000
    assert mode(path) == 0o600
    assert {file.name for file in tmp_path.iterdir()} == {"file", "link"}
