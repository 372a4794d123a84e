"""The options of a command are the fields of its dataclasses: same names, defaults, choices and help texts."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from karat.check.config import CheckConfig
from karat.cli.app import KaratCommand, headed_parameters, new_app
from karat.cli.main import app
from karat.cli.options import field_parameters, flag_of, with_options
from karat.cli.shared import Shared, SharedVerb
from karat.score.config import ScoreConfig
from karat.train.config import TrainConfig
from karat.train.labelling.config import LabelOptions
from karat.train.process.config import ProcessConfig
from scripts_loaded import load_script

OWNERS = {
    "check": (CheckConfig, SharedVerb),
    "train": (TrainConfig, ProcessConfig, LabelOptions, SharedVerb),
    "score": (ScoreConfig, SharedVerb),
    "explain": (Shared,),
}
BESIDE = {"check": {"--out"}, "train": {"--out", "--process"}, "score": {"--out"}, "explain": set()}
ROOT = Path(__file__).parents[2]


def options_of(command: str) -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    found = group.commands[command]
    return {
        parameter.opts[0]: parameter
        for parameter in found.get_params(typer.Context(found))
        if parameter.param_type_name == "option" and parameter.name != "help"
    }


@pytest.mark.parametrize("command", OWNERS)
def test_flags_equal_fields(command: str) -> None:
    fields = {flag_of(field).split("/")[0] for owner in OWNERS[command] for field in dataclasses.fields(owner)}
    assert set(options_of(command)) == fields | BESIDE[command]


@pytest.mark.parametrize("command", OWNERS)
def test_each_flag_has_the_default_and_the_help_of_its_field(command: str) -> None:
    options = options_of(command)
    for owner in OWNERS[command]:
        for field in dataclasses.fields(owner):
            option = options[flag_of(field).split("/")[0]]
            assert option.default == field.default
            assert type(option.default) is type(field.default)
            assert option.help == field.metadata["help"]
            assert bool(option.secondary_opts) == (field.default is True)


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("check", "--data --reward --pool --gold --out"),
        (
            "train",
            "--model --out --process --pairs-per-step --max-steps --epochs --heads --lora --freeze-below --lr --seed",
        ),
        ("score", "--out"),
    ],
)
def test_the_contract_of_the_design(command: str, names: str) -> None:
    assert set(names.split()) <= set(options_of(command))
    assert {"--json", "--md", "--quiet", "--debug", "--strict"} <= set(options_of(command))


def test_options_of_one_name_are_one_option() -> None:
    """Where two dataclasses have a field of one name, as every training has a seed: one default, one help text."""
    for command, owners in OWNERS.items():
        found: dict[str, tuple[Any, str]] = {}
        for field in (field for owner in owners for field in dataclasses.fields(owner)):
            stated = field.default, field.metadata["help"]
            assert found.setdefault(field.name, stated) == stated, (command, field.name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    number: int = dataclasses.field(default=3, metadata={"help": "A number."})
    kind: Literal["a", "b"] = dataclasses.field(default="a", metadata={"help": "A kind."})
    heads: bool = dataclasses.field(default=True, metadata={"help": "Heads."})
    loud: bool = dataclasses.field(default=False, metadata={"help": "Loud."})
    odd: str = dataclasses.field(default="", metadata={"help": "Odd.", "flag": "--strange"})
    debug: bool = dataclasses.field(default=False, metadata={"help": "Debug."})


def sample_app(seen: list[Sample]) -> typer.Typer:
    def sample(config: Annotated[Sample, "Options of the sample"]) -> None:
        seen.append(config)

    sampled = new_app()
    # annotations of a nested function are text that typer cannot resolve: give it the types
    sample.__annotations__ = {"config": Annotated[Sample, "Options of the sample"]}
    sampled.command(name="sample", cls=KaratCommand)(with_options(sample))
    sampled.command(name="other")(lambda: None)  # with one command alone, typer drops the name
    return sampled


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("", Sample()),
        (
            "--number 4 --kind b --no-heads --loud --strange x",
            Sample(number=4, kind="b", heads=False, loud=True, odd="x"),
        ),
    ],
)
def test_values_arrive_in_the_dataclass(line: str, wanted: Sample) -> None:
    seen: list[Sample] = []
    done = CliRunner().invoke(sample_app(seen), ["sample", *line.split()])
    assert (done.exit_code, seen) == (0, [wanted])


@pytest.mark.parametrize("line", ["--number x", "--kind c", "--odd x", "--no-loud"])
def test_what_the_fields_do_not_allow_is_wrong_use(line: str) -> None:
    done = CliRunner().invoke(sample_app([]), ["sample", *line.split()])
    assert done.exit_code == 2


def test_help_lists_the_options_under_their_heading() -> None:
    text = CliRunner().invoke(sample_app([]), ["sample", "--help"]).stdout
    assert "Options of the sample:" in text
    assert "--heads / --no-heads" in text
    assert "--kind <a|b>" in text


def test_types_come_from_the_fields() -> None:
    hints = get_type_hints(Sample)
    for parameter in field_parameters(Sample, heading="x"):
        assert get_origin(parameter.annotation) is Annotated
        assert get_args(parameter.annotation)[0] == hints[parameter.name]
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY


def test_the_reference_page_is_what_the_commands_say() -> None:
    script = load_script("make_cli_reference")
    assert script.PAGE.read_text(encoding="utf-8") == script.reference(), "run scripts/make_cli_reference.py"


def test_every_parameter_of_the_help_is_on_the_reference_page() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        section = page.split(f"## karat {name}\n")[1].split("\n## ")[0]
        for parameters in headed_parameters(command, typer.Context(command)).values():
            for parameter in parameters:
                if parameter.name != "help":
                    assert parameter.help in section.replace("\\|", "|"), (name, parameter.name)
