from __future__ import annotations

import random
import resource
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from karat.errors import DataError, ResourceError
from karat.run_records import Reading
from karat.store import DEFAULT_NAME, RunStore, is_store, store_file
from karat.store.schema import SCHEMA_VERSION, is_on_network
from made_batches import batch


def whole(path: Path) -> bool:
    with sqlite3.connect(path) as plain:
        return plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def filled(folder: Path, *, steps: int = 30) -> Path:
    with RunStore.open(folder) as store:
        for step in range(steps):
            store.add_batch(batch(step))
    return store.path


def read_all(store: RunStore) -> None:
    store.steps()
    list(store.iter_batches())


def write_much(store: RunStore) -> None:
    for step in range(1, 99):
        store.add_batch(batch(step, responses=["x" * 3000] * 8))


WRITER = """
import sys
from karat.store import RunStore
from made_batches import batch
first, rank = int(sys.argv[2]), int(sys.argv[3])
with RunStore.open(sys.argv[1], rank=rank) as store:
    for step in range(first, 100000):
        store.add_batch(batch(step, n=32, seed=first), ask=[0])
        print(step, flush=True)
"""


def writer(path: Path, first: int, rank: int = 0) -> subprocess.Popen[str]:
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n{WRITER}"
    arguments = [sys.executable, "-c", code, str(path), str(first), str(rank)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_killed_at_any_moment_nothing_committed_is_lost_and_the_run_goes_on(tmp_path: Path) -> None:
    wait = random.Random(5)
    first = 0
    for attempt in (1, 2):
        ranks = [writer(tmp_path / "run.sqlite", first, rank) for rank in (0, 1)]
        for process in ranks:
            assert process.stdout is not None
            said = [process.stdout.readline()]  # it writes now
        time.sleep(wait.uniform(0.02, 0.2))
        last = []
        for process in ranks:
            process.send_signal(signal.SIGKILL)
            assert process.stdout is not None
            said = process.stdout.read().split("\n")
            last.append(int(said[-2]) if len(said) > 1 else first)
            process.wait()
            process.stdout.close()
        with RunStore.open(tmp_path / "run.sqlite", wait_s=1) as store:
            steps = {step.step: step for step in store.steps()}
            assert set(range(max(last) + 1)) <= set(steps)
            assert all(step.n_ranks == 2 for step in steps.values() if step.step <= min(last))
            assert steps[min(last)].attempt == attempt
            assert len(list(store.iter_batches())) == len(steps)
        assert whole(tmp_path / "run.sqlite")
        first = max(min(last) - 5, 0)  # the checkpoint that the run goes on from


def test_a_full_disk_is_said_and_what_was_committed_stays(tmp_path: Path) -> None:
    with RunStore.open(tmp_path) as store:
        store.add_batch(batch(0))
        connection = store._database._connection
        assert connection is not None
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 2}")
        with pytest.raises(ResourceError, match="the disk is full; what was committed is kept"):
            write_much(store)
        held = len(store.steps())
        connection.execute("PRAGMA max_page_count=100000")
        store.add_batch(batch(100))  # space was freed: it goes on
        assert len(store.steps()) == held + 1
    assert whole(store.path)


def test_a_file_that_may_not_grow_is_said(tmp_path: Path) -> None:
    """What a quota or a full file system does: the system refuses the write itself."""
    code = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from karat.errors import ResourceError
from karat.store import RunStore
from made_batches import batch
with RunStore.open(sys.argv[1]) as store:
    store.add_batch(batch(0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, {resource.RLIM_INFINITY}))
    try:
        for step in range(1, 999):
            store.add_batch(batch(step, responses=["x" * 3000] * 8))
    except ResourceError as error:
        print(error)
    print(len(store.steps()))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    said, held = done.stdout.splitlines()
    assert "what was committed is kept" in said
    with RunStore.open(tmp_path) as store:
        assert len(store.steps()) == int(held) > 1
        store.add_batch(batch(1000))
    assert whole(store_file(tmp_path))


def test_a_lock_that_stays_is_said_after_the_wait(tmp_path: Path) -> None:
    path = filled(tmp_path, steps=2)
    with RunStore.open(path, wait_s=0.05) as store, sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ResourceError, match=r"held the store locked for 0\.05 s"):
            store.add_batch(batch(5))
        assert len(store.steps()) == 2  # reading goes on meanwhile
        other.execute("ROLLBACK")
        store.add_batch(batch(5))
        assert len(store.steps()) == 3


@pytest.mark.parametrize("content", [b"", b"step,reward\n1,2\n" * 100, b"SQLite format 3\0" + b"\xff" * 2000])
def test_files_that_are_no_store_are_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.sqlite"
    path.write_bytes(content)
    assert not is_store(path)
    with pytest.raises(DataError, match=r"log\.sqlite: .*not a"):
        RunStore.open(path, read_only=True)
    if content:
        with pytest.raises(DataError, match=r"log\.sqlite: .*not a"):
            RunStore.open(path)
        assert path.read_bytes() == content


@pytest.mark.parametrize("read_only", [True, False])
def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path, read_only: bool) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(DataError, match="not a store of karat watch"):
        RunStore.open(path, read_only=read_only)
    assert path.read_bytes() == before
    assert not is_store(path)


def test_a_store_of_a_newer_karat_is_refused_with_both_versions(tmp_path: Path) -> None:
    path = filled(tmp_path, steps=1)
    with sqlite3.connect(path) as plain:
        plain.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    for read_only in (True, False):
        with pytest.raises(
            DataError, match=f"schema {SCHEMA_VERSION + 1}, and this karat reads up to {SCHEMA_VERSION}"
        ):
            RunStore.open(path, read_only=read_only)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_damage_and_not_a_crash(tmp_path: Path, share: float) -> None:
    path = filled(tmp_path)
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * share))
    with pytest.raises(DataError, match=r"damaged.*Move it away.*\.recover"), RunStore.open(path) as store:
        read_all(store)


def test_pages_of_noise_are_damage_and_not_a_crash(tmp_path: Path) -> None:
    path = filled(tmp_path)
    content = bytearray(path.read_bytes())
    noise = random.Random(3)
    for page in range(4096, len(content), 4096):
        content[page : page + 4096] = noise.randbytes(4096)
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"), RunStore.open(path, read_only=True) as store:
        store.steps()


@pytest.mark.parametrize(
    ("column", "value"),
    [("columns", b"\0\1"), ("columns", b""), ("metrics", "{"), ("column_names", "[]"), ("n_rollouts", 1 << 40)],
)
def test_a_damaged_record_is_said(tmp_path: Path, column: str, value: object) -> None:
    path = filled(tmp_path, steps=1)
    with sqlite3.connect(path) as plain:
        plain.execute(f"UPDATE steps SET {column} = ?", (value,))
    with RunStore.open(path) as store, pytest.raises(DataError, match="damaged"):
        read_all(store)


def test_a_store_that_is_not_there_and_folders_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no store is there"):
        RunStore.open(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(ResourceError, match="failed"):
        RunStore.open(tmp_path / "file" / "run.sqlite")
    with pytest.raises(ResourceError, match=r"cannot be opened|failed"):
        RunStore.open("/proc/karat-none/run.sqlite")


READER = """
import os, sys
from karat.errors import KaratError
from karat.store import RunStore
if os.getuid() == 0:
    os.setuid(65534)  # root may write anywhere
with RunStore.open(sys.argv[1], read_only=True) as store:
    print(len(store.steps()))
try:
    RunStore.open(sys.argv[1])
except KaratError as error:
    print(type(error).__name__, error)
"""


def test_a_finished_run_in_a_folder_that_cannot_be_written_can_be_read(tmp_path: Path) -> None:
    path = filled(tmp_path, steps=3)
    with tempfile.TemporaryDirectory() as name:  # not under tmp_path, which only its owner may enter
        folder = Path(name)
        shutil.copy(path, folder / "run.sqlite")
        folder.chmod(0o555)
        (folder / "run.sqlite").chmod(0o444)
        run = [sys.executable, "-c", READER, str(folder / "run.sqlite")]
        done = subprocess.run(run, capture_output=True, text=True, check=False)
        folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    held, said = done.stdout.splitlines()
    assert held == "3"
    assert said.startswith("ResourceError")
    assert "may be written" in said


def test_a_finished_run_can_be_read_without_its_log_of_writes(tmp_path: Path) -> None:
    path = filled(tmp_path / "run")
    assert sorted(p.name for p in path.parent.iterdir()) == [DEFAULT_NAME]  # closed: folded back into one file
    copy = tmp_path / "copy.sqlite"
    shutil.copy(path, copy)
    with RunStore.open(copy, read_only=True) as store:
        assert len(store.steps()) == 30


def test_a_lost_file_is_said(tmp_path: Path) -> None:
    with RunStore.open(tmp_path / "run") as store:
        store.add_batch(batch(0))
        shutil.rmtree(tmp_path / "run")
        with pytest.raises(ResourceError, match="moved, removed or replaced"):
            store.add_readings([Reading(1, "kl", 1.0)])


def test_the_place_of_a_store(tmp_path: Path) -> None:
    path = filled(tmp_path / "run", steps=1)
    assert store_file(tmp_path / "run") == path == store_file(path)
    assert is_store(tmp_path / "run")
    assert is_store(path)
    assert not is_store(tmp_path)
    assert not is_store("\0")
    with path.open("rb") as file:
        assert struct.unpack(">I", file.read(100)[68:72]) == (0x4B524154,)


@pytest.mark.parametrize(
    ("place", "expected"),
    [("/mnt/share/run", True), ("/mnt/sharemore/x", False), ("/mnt/share/local/x", False), ("/x y/a", True)],
)
def test_file_systems_of_a_network_are_known_by_their_mounts(tmp_path: Path, place: str, expected: bool) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/vda / ext4 rw 0 0\nhost:/a /mnt/share nfs4 rw 0 0\n/dev/vdb /mnt/share/local xfs rw 0 0\n"
        "host /x\\040y fuse.sshfs rw 0 0\nbroken\n"
    )
    assert is_on_network(Path(place), mounts=mounts) is expected
    assert not is_on_network(Path(place), mounts=tmp_path / "none")


def test_on_a_network_the_store_keeps_no_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("karat.store.database.is_on_network", lambda path: True)
    with RunStore.open(tmp_path) as store, RunStore.open(tmp_path, rank=1) as other:
        store.add_batch(batch(0))
        other.add_batch(batch(0))
        assert store.info()["journal"] == "truncate"
        assert not Path(f"{store.path}-shm").exists()
        assert len(other.steps()) == 1
