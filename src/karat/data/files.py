"""Sources to raw rows: files of seven kinds, folders, arrow folders, the hub, rows in memory.

A source yields every row in order, readable or not, and tells the account what it met on the way. Only a .json file is
held in memory as a whole; the other kinds stream.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from karat.data.account import AccountBuilder
from karat.data.records import kind_of
from karat.data.text_files import Unreadable, read_csv, read_json, read_jsonl
from karat.errors import DataError, ResourceError

TEXT_KINDS: dict[str, Callable[[Path, AccountBuilder], Iterator[Any]]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
}
COMPRESSIONS = (".gz", ".zst")
KINDS_TEXT = ".jsonl, .ndjson, .json, .csv (each also .gz or .zst), .parquet"
BATCH_ROWS = 1000
HELD_OUT_SPLITS = ("test", "validation", "valid", "val", "dev", "eval")
_HUB_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(:(?P<config>[\w./-]+))?")
_NETWORK_PACKAGES = ("httpx", "httpx2", "requests", "aiohttp", "urllib3", "huggingface_hub")


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as it came, or the reason why it cannot be read."""

    raw: dict[str, Any]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from. `rows` may be called again unless the source can be read only once."""

    name: str
    read: Callable[[AccountBuilder], Iterator[Any]]
    only_once: bool = False
    text_only: bool = False
    """Values of all columns are text, whatever they spell (csv)."""

    def rows(self, account: AccountBuilder) -> Iterator[RawRow]:
        for item in self.read(account):
            if isinstance(item, Mapping):
                yield RawRow(dict(item))
            elif isinstance(item, Unreadable):
                yield RawRow({}, item.reason)
            else:
                yield RawRow({}, f"row is {kind_of(item)}, not an object with columns")


def open_source(source: Any, *, split: str = "") -> Source:
    """A source from a path, a hub name, an iterable of dicts or a data set of `datasets`.

    Raises:
        DataError: nothing there, or nothing that can be read.
        ResourceError: the hub cannot be reached.
    """
    if isinstance(source, str | os.PathLike):
        return _open_path(os.fspath(source), split)
    if isinstance(source, Mapping):
        return _choose_split(source, "data set", split)
    if isinstance(source, Iterable):
        kind = type(source).__name__
        name = f"rows in memory ({kind})" if isinstance(source, list | tuple) else kind
        return Source(name, lambda _: map(_python, source), only_once=isinstance(source, Iterator))
    raise DataError(f"cannot read rows from {kind_of(source)}. Give a path, a hub name, or an iterable of dicts.")


def kind_suffix(path: Path) -> str:
    """The suffix that names the kind of a file, without its compression; empty when it is of no known kind."""
    stem = path.name.lower()
    for compression in COMPRESSIONS:
        stem = stem.removesuffix(compression)
    suffix = Path(stem).suffix
    if suffix in TEXT_KINDS:
        return suffix
    return ".parquet" if path.name.lower().endswith(".parquet") else ""


def _python(value: Any) -> Any:
    """Arrays, tensors and their scalars, as pandas and formatted data sets give them, to lists and numbers."""
    if hasattr(value, "tolist"):
        return _python(value.tolist())
    if isinstance(value, Mapping):
        return {key: _python(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_python, value)) if type(value) in (list, tuple) else list(map(_python, value))
    return value


# --------------------------------------------------------------------------------------------------------------- paths
def _open_path(text: str, split: str) -> Source:
    path = Path(text).expanduser()
    try:
        if path.is_dir():
            return _open_folder(path, split)
        if path.exists():
            return _open_file(path, split)
    except OSError as error:
        raise DataError(f"{text}: cannot be opened: {error.strerror or error}. Check the path.") from error
    if looks_like_hub_name(text):
        return _open_hub(text, split)
    raise DataError(
        f"{text}: no such file or folder (seen from {Path.cwd()}). Check the path; a hub data set is named OWNER/NAME "
        "or OWNER/NAME:CONFIG."
    )


def looks_like_hub_name(text: str) -> bool:
    """OWNER/NAME or OWNER/NAME:CONFIG, and not the name of a file of a kind that karat reads."""
    return bool(_HUB_NAME.fullmatch(text)) and not kind_suffix(Path(text))


def _open_file(path: Path, split: str) -> Source:
    if split:
        raise DataError(f"{path}: a single file has no splits, but split {split!r} was asked for. Drop the option.")
    suffix = kind_suffix(path)
    if not suffix:
        raise DataError(f"{path}: files of this kind are not read. Known kinds: {KINDS_TEXT}. Convert it to one.")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty. Check that it was written or downloaded to its end.")
    if suffix == ".parquet":
        return Source(str(path), lambda _: _read_parquet(path))
    return Source(str(path), lambda account: TEXT_KINDS[suffix](path, account), text_only=suffix == ".csv")


def _open_folder(folder: Path, split: str) -> Source:
    if (folder / "dataset_dict.json").exists() or (folder / "state.json").exists():
        return _open_saved(folder, split)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not _is_hidden(p.relative_to(folder)))
    known = [
        path for path in files if kind_suffix(path) and path.name not in ("dataset_info.json", "dataset_infos.json")
    ]
    others = len(files) - len(known)
    chosen, left = _of_split(known, folder, split)
    if not chosen:
        seen = ", ".join(sorted(str(path.relative_to(folder)) for path in files)[:5]) or "nothing"
        wanted = f"no file of split {split!r}" if split and known else "no file of a kind that is read"
        raise DataError(f"{folder}: {wanted} ({KINDS_TEXT}). Found: {seen}. Name another folder or a file.")

    def read(account: AccountBuilder) -> Iterator[Any]:
        if others:
            account.note(f"{others} files of other kinds in the folder were not read")
        if left:
            account.note(f"split 'train' was read; also there: {', '.join(left)}")
        for path in chosen:
            if path.stat().st_size == 0:
                account.note(f"{path.name} is empty")
                continue
            yield from _open_file(path, "").read(account)

    text_only = all(kind_suffix(path) == ".csv" for path in chosen)
    return Source(str(folder) + (f" [{split}]" if split else ""), read, text_only=text_only)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _of_split(paths: list[Path], folder: Path, split: str) -> tuple[list[Path], list[str]]:
    """Files of the split asked for, and the splits left aside.

    A split is a word of the path below the folder: train-00000-of-00004.parquet, test/part.jsonl, my_train.csv. Where
    none is asked for and there are both train and held-out files, the held-out ones are left aside.
    """

    def words(path: Path, breaks: str) -> set[str]:
        return set(re.split(breaks, str(path.relative_to(folder)).lower()))

    if split:
        for breaks in (r"[/\\.\-]", r"[/\\.\-_]"):  # "train_prefs" is a split of its own where it is asked for
            found = [path for path in paths if split.lower() in words(path, breaks)]
            if found:
                return found, []
        return [], []
    of_path = {path: words(path, r"[^a-z0-9]+") for path in paths}
    left = {name for name in HELD_OUT_SPLITS for found in of_path.values() if name in found and "train" not in found}
    if not left or not any("train" in found for found in of_path.values()):
        return paths, []
    return [path for path in paths if "train" in of_path[path] or not of_path[path] & left], sorted(left)


def _read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _refuse_repeated(path, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:  # a damaged page is an OSError
        raise DataError(f"{path}: not a readable parquet file: {error}. Check that it was copied whole.") from error


def _refuse_repeated(path: Path, names: list[str]) -> None:
    """pyarrow reads two columns of one name as the second, without a word."""
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise DataError(
            f"{path}: more than one column is named {', '.join(map(repr, repeated))}. Rename or remove all but one."
        )


# ---------------------------------------------------------------------------------------------- datasets and the hub
def _open_saved(folder: Path, split: str) -> Source:
    import datasets

    try:
        found = datasets.load_from_disk(str(folder))
    except Exception as error:  # datasets raises whatever its readers raise
        raise DataError(
            f"{folder}: looks like a folder of Dataset.save_to_disk but cannot be read: {error}. Save it again."
        ) from error
    if isinstance(found, Mapping):
        return _choose_split(found, str(folder), split)
    if split:
        raise DataError(f"{folder}: holds one data set without splits, but split {split!r} was asked for.")
    return Source(str(folder), lambda _: iter(found))


def _choose_split(splits: Mapping[str, Any], name: str, split: str) -> Source:
    """The split asked for, else the only one, else "train" and a note."""
    names = [str(key) for key in splits]
    wanted = split or (names[0] if len(names) == 1 else "train")
    if wanted not in names:
        asked = f"there is no split {split!r}" if split else "there is no split 'train' and none was named"
        raise DataError(f"{name}: {asked}; it has {', '.join(names) or 'none'}. Name one with --split (split=).")
    rows = splits[wanted]
    if isinstance(rows, Mapping | str) or not isinstance(rows, Iterable):
        raise DataError(f"{name}: {wanted!r} holds {kind_of(rows)}, not rows. Give an iterable of dicts.")

    def read(account: AccountBuilder) -> Iterator[Any]:
        if not split and len(names) > 1:
            account.note(f"split 'train' was read; also there: {', '.join(n for n in names if n != 'train')}")
        yield from rows

    return Source(f"{name} [{wanted}]", read)


def _open_hub(text: str, split: str) -> Source:
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    named = _HUB_NAME.fullmatch(text)
    assert named is not None
    name, config = named["name"], named["config"]
    try:
        try:
            found = datasets.load_dataset(name, config, streaming=True)
        except ValueError:  # no such configuration: HelpSteer2 keeps its preferences in a folder instead
            if not config:
                raise
            found = datasets.load_dataset(name, data_dir=config, streaming=True)
    except (DatasetNotFoundError, FileNotFoundError) as error:
        raise DataError(
            f"{text}: no such file or folder here (in {Path.cwd()}), and no data set of that name on the hub. "
            f"Check the spelling; a gated data set needs `hf auth login`. ({_first_line(error)})"
        ) from error
    except Exception as error:  # datasets raises whatever its readers and its network raise
        if _is_network(error):
            raise ResourceError(
                f"{text}: no such file or folder here (in {Path.cwd()}), and the hub cannot be reached to look for a "
                f"data set of that name. Check the path or the network. ({_first_line(error)})"
            ) from error
        raise DataError(
            f"{text}: the hub's data set cannot be opened: {_first_line(error)}. A configuration or a folder of it is "
            "named OWNER/NAME:CONFIG."
        ) from error
    source = _choose_split(found, f"hub {text}", split)
    return Source(source.name, lambda account: _guarded(source, account))


def _guarded(source: Source, account: AccountBuilder) -> Iterator[Any]:
    """Rows from the hub; what breaks on the way is said as an error of ours."""
    count = 0
    try:
        for row in source.read(account):
            yield row
            count += 1
    except Exception as error:  # datasets raises whatever its readers and its network raise
        if _is_network(error):
            raise ResourceError(
                f"{source.name}: the hub stopped answering after {count} rows: {_first_line(error)}. Check the network "
                "and start again, or download the data set first."
            ) from error
        raise DataError(
            f"{source.name}: cannot be read after {count} rows: {_first_line(error)}. If its files differ in their "
            "columns, name a configuration with OWNER/NAME:CONFIG."
        ) from error


def _is_network(error: BaseException) -> bool:
    """Whether it, or what it was raised from, comes from the network."""
    if isinstance(error, OSError) or type(error).__module__.split(".")[0] in _NETWORK_PACKAGES:
        return True
    return error.__cause__ is not None and _is_network(error.__cause__)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
