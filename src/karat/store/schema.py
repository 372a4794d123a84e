"""The tables of a store, its place on disk, and how it is told from other files."""

from __future__ import annotations

import os
import struct
from pathlib import Path

DEFAULT_NAME = "karat-watch.sqlite"
APPLICATION_ID = 0x4B524154  # "KRAT", in the header of the file: `file` and is_store read it without SQLite
SCHEMA_VERSION = 1
RANK_STRIDE = 1_000_000
"""Rollouts of rank r have the indices from r times this on, so that ranks number them without asking each other."""

TABLES = """
CREATE TABLE info (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE steps (
  step INTEGER NOT NULL, rank INTEGER NOT NULL, attempt INTEGER NOT NULL, time_s REAL,
  n_rollouts INTEGER NOT NULL, n_missing INTEGER NOT NULL,
  proxy_mean REAL, proxy_low REAL, proxy_high REAL,
  n_gold INTEGER NOT NULL, gold_mean REAL, gold_low REAL, gold_high REAL,
  metrics TEXT NOT NULL, column_names TEXT NOT NULL, columns BLOB NOT NULL, digest BLOB NOT NULL,
  PRIMARY KEY (step, rank));
CREATE TABLE rollouts (
  step INTEGER NOT NULL, idx INTEGER NOT NULL, attempt INTEGER NOT NULL, rank INTEGER NOT NULL,
  prompt, response, prompt_chars INTEGER NOT NULL, response_chars INTEGER NOT NULL,
  proxy REAL, gold REAL, chance REAL, grp INTEGER NOT NULL, extra TEXT NOT NULL,
  state INTEGER NOT NULL,
  PRIMARY KEY (step, idx, attempt));
CREATE INDEX rollouts_waiting ON rollouts (step, idx) WHERE state = 1;
CREATE INDEX rollouts_free ON rollouts (step, idx) WHERE state = 0;
CREATE TABLE labels (
  step INTEGER NOT NULL, idx INTEGER NOT NULL, attempt INTEGER NOT NULL,
  gold REAL, chance REAL NOT NULL, giver NOT NULL, time_s REAL,
  PRIMARY KEY (step, idx, attempt));
CREATE TABLE readings (
  step INTEGER NOT NULL, signal TEXT NOT NULL, value REAL, n_used INTEGER NOT NULL, n_missing INTEGER NOT NULL,
  PRIMARY KEY (step, signal)) WITHOUT ROWID;
CREATE INDEX readings_of_signal ON readings (signal, step);
CREATE TABLE evidence (
  step INTEGER NOT NULL, detector TEXT NOT NULL, evidence REAL, threshold REAL,
  PRIMARY KEY (step, detector)) WITHOUT ROWID;
CREATE TABLE alarms (
  step INTEGER NOT NULL, level TEXT NOT NULL, detector TEXT NOT NULL, signal TEXT NOT NULL, record TEXT NOT NULL,
  PRIMARY KEY (step, level, detector, signal));
CREATE TABLE actions (
  id INTEGER PRIMARY KEY, step INTEGER NOT NULL, kind TEXT NOT NULL, done INTEGER NOT NULL, record TEXT NOT NULL,
  time_s REAL);
"""
FREE, WAITS, LABELLED = 0, 1, 2
"""rollouts.state: may leave when the store is full; chosen for a label and not yet given one; has a label."""

# WAL shares memory between its processes, which a file system over the network does not give (sqlite.org/wal.html).
_NETWORK_KINDS = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "fuse.sshfs")


def store_file(path: str | os.PathLike[str]) -> Path:
    """The file of a store that is named by itself or by its folder; what has no suffix is taken for a folder."""
    place = Path(path).expanduser()
    return place / DEFAULT_NAME if place.is_dir() or (not place.suffix and not place.exists()) else place


def is_store(path: str | os.PathLike[str]) -> bool:
    """Whether a file, or the folder that holds it, is a store of karat. Reads 100 bytes; never raises."""
    try:
        with store_file(path).open("rb") as file:
            head = file.read(100)
    except (OSError, ValueError):
        return False
    return head.startswith(b"SQLite format 3\0") and head[68:72] == struct.pack(">I", APPLICATION_ID)


def is_on_network(path: Path, *, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Whether the file lies on a file system of a network; False where the machine does not say."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
        place = str(path.resolve())
    except OSError:
        return False
    best, kind = "", ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        # The last of equal mount points hides the ones before it.
        if (place == point or place.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind.startswith(_NETWORK_KINDS)
