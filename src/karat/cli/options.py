"""Command-line options from frozen dataclasses, so that there is no second list of them.

A command is a function with a parameter that is a dataclass, annotated with the heading its options get in the help:

    def train(pairs: ..., config: Annotated[TrainConfig, "Training options"], shared: Annotated[Shared, "..."]) -> None

`with_options` gives that function the signature that typer reads: one keyword parameter for each field.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """`function` with every dataclass parameter replaced by one option per field of it.

    Field `pairs_per_step: int = 8` becomes `--pairs-per-step INTEGER`, default 8, with the field's metadata["help"];
    metadata["flag"] names another flag. A Literal becomes a choice, a bool that is False a flag, one that is True a
    pair of flags (`--per-head / --no-per-head`). A field that several dataclasses have is one option, under the heading
    of the first, and each of them gets its value.
    """
    hints = get_type_hints(function, include_extras=True)
    parameters: list[inspect.Parameter] = []
    built: dict[str, type] = {}
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        owner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if dataclasses.is_dataclass(owner):
            assert isinstance(owner, type)
            built[parameter.name] = owner
            there = {parameter.name for parameter in parameters}
            parameters += [one for one in field_parameters(owner, heading=get_args(hint)[1]) if one.name not in there]
        else:
            parameters.append(parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(function)
    def command(**given: Any) -> None:
        fields = {name: [field.name for field in dataclasses.fields(owner)] for name, owner in built.items()}
        configs = {name: owner(**{field: given[field] for field in fields[name]}) for name, owner in built.items()}
        for name in {name for owned in fields.values() for name in owned}:
            del given[name]
        function(**given, **configs)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del command.__wrapped__  # type hints would be read from the original through it
    return command


def field_parameters(owner: type, *, heading: str) -> list[inspect.Parameter]:
    """One keyword parameter for each field of a dataclass, annotated as a typer option."""
    hints = get_type_hints(owner)
    found = []
    for field in dataclasses.fields(owner):
        assert field.default is not dataclasses.MISSING, f"{owner.__name__}.{field.name} needs a default"
        option = typer.Option(
            flag_of(field),
            help=field.metadata["help"],
            rich_help_panel=heading,  # the name that typer gives a heading, with or without rich
            show_default=field.default is not False and field.default != "",
        )
        found.append(
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=Annotated[hints[field.name], option],
            )
        )
    return found


def flag_of(field: dataclasses.Field[Any]) -> str:
    """The flag of a field as typer takes it."""
    stem = (field.metadata.get("flag") or field.name.replace("_", "-")).removeprefix("--")
    return f"--{stem}/--no-{stem}" if field.default is True else f"--{stem}"
