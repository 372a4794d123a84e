"""Labels, then a process reward trained on them, in one folder; by the command line too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from karat.data.steps import write_steps
from karat.train.labelling import LabelOptions
from karat.train.labelling.train import train_labelled
from karat.train.process import ProcessConfig
from rewards.tiny import save_tiny
from train.labelling.toy import ToyCompleter, toy_solutions

LABELS = LabelOptions(label="mc", rollouts=2, completer="train.labelling.toy:complete", check_share=0.0)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ProcessConfig]:
    folder = tmp_path_factory.mktemp("labelled")
    write_steps([solution for solution, _ in toy_solutions(16, 3)], folder / "raw.jsonl")
    config = ProcessConfig(model=str(save_tiny(folder / "model")), max_steps=1, max_length=256, test_fraction=0.3)
    return folder, config


def test_labels_are_made_and_trained_on(asked: tuple[Path, ProcessConfig]) -> None:
    folder, config = asked
    result = train_labelled(folder / "raw.jsonl", out=folder / "prm", labels=LABELS, config=config)
    codes = [found.code for found in result.findings]
    assert codes[:6] == [f"RM40{number}" for number in (1, 2, 3, 4, 5, 6)]
    assert any(code.startswith("RM3") for code in codes)
    assert result.values["label_rollouts"] > 0
    assert {file.name for file in (folder / "prm").iterdir()} >= {"steps.jsonl", "labels.jsonl", "karat.json"}
    assert json.loads((folder / "prm" / "run.json").read_text())["label_source"] == "monte-carlo"
    # a second time: refused, as every training is; with overwrite: labels and model anew
    with pytest.raises(ValueError, match="already holds a finished reward model"):
        train_labelled(folder / "raw.jsonl", out=folder / "prm", labels=LABELS, config=config)
    over = replace(config, overwrite=True)
    again = train_labelled(folder / "raw.jsonl", out=folder / "prm", labels=LABELS, config=over)
    assert again.values["losses"] == result.values["losses"]


def test_a_run_that_died_while_it_trained_keeps_its_labels(
    asked: tuple[Path, ProcessConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, config = asked

    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr("karat.train.labelling.train.train_process", killed)
    options = {"out": folder / "died", "labels": LABELS, "config": replace(config, overwrite=True)}
    with pytest.raises(Killed):
        train_labelled(folder / "raw.jsonl", **options)
    monkeypatch.undo()
    monkeypatch.setattr("train.labelling.toy.complete", ToyCompleter(unsolved=("all",)))
    made: list[object] = []
    monkeypatch.setattr("karat.train.labelling.run._label_parts", lambda *args: made.append(args))
    train_labelled(folder / "raw.jsonl", **options)
    assert not made
