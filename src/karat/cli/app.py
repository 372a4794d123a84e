"""The typer application: how commands are added, how help is laid out, how wrong use is reported."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from karat.cli.failures import BROKEN_PIPE, WRONG_USE, drop_stdout, explain_failure, print_lines, reported, usage_lines
from karat.cli.options import with_options


class KaratCommand(TyperCommand):
    """A command whose help lists its options under the headings of the dataclasses that they come from."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """All that must be given, in the order of the contract: "PAIRS --out DIR [OPTIONS]"."""
        return [*required_usage(self, ctx), "[OPTIONS]"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        for heading, parameters in headed_parameters(self, ctx).items():
            with formatter.section(heading):
                formatter.write_dl([parameter.get_help_record(ctx) for parameter in parameters])


class KaratGroup(TyperGroup):
    """The `karat` command: every way to fail ends in a few lines on standard error and an exit status.

    A command's name may have two words ("stress rl"): they are found before the first word alone is.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        two = " ".join(args[:2])
        return super().resolve_command(ctx, [two, *args[2:]] if two in self.commands else args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        arguments = list(sys.argv[1:] if args is None else args)
        try:
            # obj: the commands record their own command line in the provenance of the result
            status = super().main(arguments, "karat", complete_var, False, windows_expand_args, obj=arguments, **extra)
        except SystemExit as error:  # typer's way out of a closed pipe; its status 1 would say "problem found"
            status = BROKEN_PIPE if error.code == 1 else error.code
        except typer.TyperException as error:
            print_lines(usage_lines(error))
            status = WRONG_USE
        except (KeyboardInterrupt, typer.Abort, OSError) as error:  # before or after a command, while help is printed
            lines, status = explain_failure(error)
            print_lines(lines)
        status = status if isinstance(status, int) else 0
        if status == BROKEN_PIPE:
            drop_stdout()
        if standalone_mode:
            sys.exit(status)
        return status


def headed_parameters(command: Any, context: Any) -> dict[str, list[Any]]:
    """The parameters of a command that its help shows, by heading: arguments first, then options as declared."""
    found: dict[str, list[Any]] = {}
    for parameter in command.get_params(context):
        if parameter.get_help_record(context) is None:
            continue
        if parameter.param_type_name == "argument":
            heading = "Arguments"
        else:
            heading = getattr(parameter, "rich_help_panel", None) or "Options"
        found.setdefault(heading, []).append(parameter)
    return found


def required_usage(command: Any, context: Any) -> list[str]:
    """Arguments, in brackets where they may be left out, then the options that must be given."""
    arguments, options = [], []
    for parameter in command.get_params(context):
        shown = parameter.metavar or parameter.name.upper()
        if parameter.param_type_name == "argument":
            arguments.append(shown if parameter.required else f"[{shown}]")
        elif parameter.required:
            options.append(f"{parameter.opts[0]} {shown}")
    return arguments + options


def new_app() -> typer.Typer:
    """An application without commands. No rich markup: help is plain text that pipes, searches and copies well."""
    return typer.Typer(
        name="karat",
        cls=KaratGroup,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def add_command(app: typer.Typer, function: Callable[..., None]) -> None:
    """Add `function` as the command of its name: options from its dataclasses, errors reported.

    An underscore parts two words: `stress_rl` is `karat stress rl`.
    """
    expanded = with_options(function)

    @functools.wraps(expanded)
    def command(**given: Any) -> None:
        with reported(debug=cast(bool, given["debug"])):
            expanded(**given)

    command.__signature__ = inspect.signature(expanded)  # type: ignore[attr-defined]  # typer reads it
    del command.__wrapped__
    app.command(name=function.__name__.replace("_", " "), cls=KaratCommand)(command)
