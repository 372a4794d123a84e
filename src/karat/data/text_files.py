"""JSON lines, JSON and CSV, plain or compressed, to raw rows.

A row that cannot be read comes out as `Unreadable`. A compressed file that ends early gives the rows up to there.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from karat.data.account import AccountBuilder
from karat.data.records import kind_of
from karat.errors import DataError, ResourceError

CHUNK_BYTES = 1 << 20
MAX_FIELD_CHARS = 1 << 30
_BOM = b"\xef\xbb\xbf"
_EARLY = "file ends early: the rows up to there were read"
_MAX_KEY_CHARS = 80
_GZIP_WINDOW = 31  # zlib's code for "gzip header and trailer"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that is there but cannot be read."""

    reason: str


# ------------------------------------------------------------------------------------------------------- bytes to lines
def _chunks(path: Path, account: AccountBuilder) -> Iterator[bytes]:
    """The content of a file, decompressed by its suffix. Raises DataError when nothing of it can be read."""
    try:
        with path.open("rb") as file:
            raw = iter(lambda: file.read(CHUNK_BYTES), b"")
            if path.name.lower().endswith(".gz"):
                yield from _inflate(path, raw, lambda: zlib.decompressobj(_GZIP_WINDOW), zlib.error, account)
            elif path.name.lower().endswith(".zst"):
                import zstandard

                # files of `zstd --long` need more than the default 128 MB
                opener = zstandard.ZstdDecompressor(max_window_size=1 << 31)
                yield from _inflate(path, raw, opener.decompressobj, zstandard.ZstdError, account)
            else:
                yield from raw
    except OSError as error:
        raise ResourceError(f"{path}: cannot be read: {error.strerror or error}. Check the file's rights.") from error


def _inflate(
    path: Path, raw: Iterator[bytes], new: Callable[[], Any], error_type: type[Exception], account: AccountBuilder
) -> Iterator[bytes]:
    """Decompress any number of members (gzip) or frames (zstd), one after the other."""
    stream, read_any, problem = new(), False, ""
    try:
        for chunk in raw:
            data = chunk
            while data:
                if stream.eof:
                    stream = new()
                out = stream.decompress(data)
                read_any = read_any or bool(out)
                if out:
                    yield out
                data = stream.unused_data.lstrip(b"\0") if stream.eof else b""  # tar and tapes pad with zero bytes
        if not stream.eof:
            problem = "it ends before its compressed stream does"
    except error_type as error:
        problem = str(error)
    if problem and not read_any:
        raise DataError(f"{path}: nothing of this compressed file can be read: {problem}. Copy or download it again.")
    if problem:
        account.note(f"{_EARLY} ({path.name}: {problem})")


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, Any]], *, what: str) -> None:
    """Write rows as JSON lines; the file is there whole or not at all. Values that JSON does not know become text.

    Args:
        what: the records in the plural, for the message.
    Raises: DataError: the file is not named .jsonl, .jsonl.gz or .jsonl.zst; ResourceError: it cannot be written.
    """
    target = Path(path)
    if not target.name.endswith((".jsonl", ".jsonl.gz", ".jsonl.zst")):
        raise DataError(f"{target}: {what} are written as .jsonl, .jsonl.gz or .jsonl.zst. Name such a file.")
    unfinished = target.with_name(f".{target.name}.part")
    try:
        try:
            with _open_for_writing(unfinished, target.suffix) as file:
                for row in rows:
                    file.write(json.dumps(row, default=str).encode() + b"\n")
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ResourceError(f"{target}: cannot be written: {error.strerror or error}. Check the folder.") from error


def _open_for_writing(path: Path, compression: str) -> BinaryIO:
    """A new file that packs what is written to it as ".gz" or ".zst"; any other `compression` packs nothing."""
    if compression == ".gz":
        return cast(BinaryIO, gzip.open(path, "wb"))
    if compression == ".zst":
        import zstandard

        return cast(BinaryIO, zstandard.open(path, "wb"))
    return path.open("wb")


def _lines(path: Path, account: AccountBuilder) -> Iterator[bytes]:
    """Lines with their line breaks, the byte order mark removed."""
    parts: list[bytes] = []  # of a line that goes on; joined once, so that a line of many chunks takes linear time
    first = True
    for chunk in _chunks(path, account):
        head, *lines = chunk.split(b"\n")
        parts.append(head)
        for following in lines:
            line = b"".join(parts)
            yield (line.removeprefix(_BOM) if first else line) + b"\n"
            first, parts = False, [following]
    rest = b"".join(parts)
    if rest:
        yield rest.removeprefix(_BOM) if first else rest


# ---------------------------------------------------------------------------------------------------------- JSON lines
def read_jsonl(path: Path, account: AccountBuilder) -> Iterator[Any]:
    """One JSON value a line; blank lines are no rows."""
    parser = _Json()
    for line in _lines(path, account):
        if line.strip():
            yield _parse(parser, line)


TOO_MANY_DIGITS = "an integer has more digits than Python reads"


class _Json:
    """A JSON parser that sees when an object names a key twice; Python's own takes the last without a word."""

    def __init__(self) -> None:
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)
        self._repeated = ""

    def decode(self, text: str) -> Any:
        self._repeated = ""
        return self._checked(self._decoder.decode(text))

    def decode_at(self, text: str, at: int) -> tuple[Any, int]:
        self._repeated = ""
        value, end = self._decoder.raw_decode(text, at)
        return self._checked(value), end

    def _checked(self, value: Any) -> Any:
        return Unreadable(f"an object of the row has {self._repeated} twice") if self._repeated else value

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            self._repeated = repr(next(name for name in found if names.count(name) > 1)[:_MAX_KEY_CHARS])
        return found


def _parse(parser: _Json, line: bytes) -> Any:
    try:
        return parser.decode(line.decode("utf-8"))
    except UnicodeDecodeError:
        return Unreadable("line is not UTF-8")
    except (json.JSONDecodeError, RecursionError):
        return Unreadable("line is not JSON")
    except ValueError:
        return Unreadable(TOO_MANY_DIGITS)


# ---------------------------------------------------------------------------------------------------------------- JSON
def read_json(path: Path, account: AccountBuilder) -> Iterator[Any]:
    """A list of objects, {"data": [objects]}, or JSON lines under the wrong name; held in memory as a whole."""
    content = b"".join(_chunks(path, account)).removeprefix(_BOM)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}. Save the file as UTF-8.") from error
    start = text.lstrip()[:1]
    parse = {"[": _parse_list, "{": _parse_object}.get(start)
    if parse is None:
        raise DataError(f"{path}: not JSON: it begins with {text.strip()[:20]!r}. Expected a list of objects.")
    try:
        yield from parse(path, text, account)
    except RecursionError as error:
        raise DataError(f"{path}: JSON nested too deeply to be rows. Expected a list of objects.") from error
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: {TOO_MANY_DIGITS}. Save it as JSON lines: then only its row is left out.") from error


def _parse_object(path: Path, text: str, account: AccountBuilder) -> Iterator[Any]:
    parser = _Json()
    try:
        whole = parser.decode(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # several objects, one a line
            account.note(f"{path.name} holds JSON lines, not one JSON value")
            yield from (_parse(parser, line.encode()) for line in text.split("\n") if line.strip())
            return
        raise _not_json(path, error) from error
    if isinstance(whole, Unreadable):
        raise DataError(f"{path}: {whole.reason}, so it is not clear which is meant. Rename or remove all but one.")
    rows = whole.get("data")
    if isinstance(rows, list):
        yield from rows
    elif "data" in whole or not whole:
        raise DataError(f'{path}: "data" holds {kind_of(rows)}, not a list of rows. Expected a list of objects.')
    elif _is_columns(whole):
        yield from _rows_of_columns(whole)
    else:
        yield whole


def _is_columns(whole: dict[str, Any]) -> bool:
    """RewardBench's files of scores: one object with a list for each column, beside the name of the model."""
    lists = {name: len(value) for name, value in whole.items() if isinstance(value, list)}
    return {"id", "results", "subset"} <= set(lists) and len(set(lists.values())) == 1


def _rows_of_columns(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for at in range(len(whole["id"])):
        yield {name: value[at] if isinstance(value, list) else value for name, value in whole.items()}


def _parse_list(path: Path, text: str, account: AccountBuilder) -> Iterator[Any]:
    """Items one by one, so that a list that is cut off gives the items up to there."""
    parser, at, count = _Json(), text.index("[") + 1, 0
    while True:
        at = _skip_space(text, at)
        if at < len(text) and text[at] == "]":
            return
        try:
            item, at = parser.decode_at(text, at)
        except json.JSONDecodeError as error:
            if count and _is_cut_off(error, text):
                account.note(f"{_EARLY} ({path.name}: the list is not closed)")
                return
            raise _not_json(path, error) from error
        yield item
        count += 1
        at = _skip_space(text, at)
        if at >= len(text):
            account.note(f"{_EARLY} ({path.name}: the list is not closed)")
            return
        if text[at] == ",":
            at += 1
        elif text[at] != "]":
            raise _not_json(path, json.JSONDecodeError("Expecting ',' or ']'", text, at))


def _is_cut_off(error: json.JSONDecodeError, text: str) -> bool:
    """Whether the text ends inside an item, rather than being wrong in the middle."""
    return error.msg.startswith("Unterminated string") or error.pos >= len(text.rstrip()) - 1


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _not_json(path: Path, error: json.JSONDecodeError) -> DataError:
    return DataError(
        f"{path}: not JSON at line {error.lineno}, column {error.colno}: {error.msg}. "
        "Mend it there; if each line is its own object, name the file .jsonl."
    )


# ----------------------------------------------------------------------------------------------------------------- CSV
def read_csv(path: Path, account: AccountBuilder) -> Iterator[Any]:
    """Rows under the header of the first line; every value is text."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD_CHARS))  # the default, 128 KiB, is short for dialogues
    lines = (line.decode("utf-8", errors="surrogateescape") for line in _lines(path, account))
    reader = csv.reader(lines, strict=True)  # else an open quote would swallow the rest of the file without a word
    try:
        header = next(reader, [])
        if len(set(header)) < len(header) or not all(name.strip() for name in header):
            raise DataError(f"{path}: the first line must name each column once, but is {','.join(header)[:200]!r}.")
        for fields in reader:
            if fields:
                yield _csv_row(header, fields)
    except csv.Error as error:
        if any(reason.startswith(f"{_EARLY} ({path.name}:") for reason, _ in account.reasons("noted")):
            return
        raise DataError(f"{path}: not CSV at line {reader.line_num}: {error}. Mend the quotes there.") from error


def _csv_row(header: list[str], fields: list[str]) -> Any:
    if len(fields) != len(header):
        return Unreadable("wrong number of csv fields")
    if any("\udc80" <= char <= "\udcff" for field in fields for char in field if char > "\ud7ff"):
        return Unreadable("line is not UTF-8")
    return dict(zip(header, fields, strict=True))
