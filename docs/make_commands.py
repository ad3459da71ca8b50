"""Fills the tables of options in docs/commands.md from the command line itself.

Python docs/make_commands.py
"""

import re
from pathlib import Path
from typing import Any

import typer

from vae_augment.cli import app

PAGE = Path(__file__).parent / "commands.md"
BLOCK = re.compile(r"(<!-- options of ([\w-]+) -->\n).*?(<!-- end -->)", re.S)


def commands() -> dict[str, Any]:
    """The commands by name."""
    return typer.main.get_command(app).commands  # type: ignore[attr-defined]


def table(command: Any) -> str:
    """The arguments and options of one command as a table."""
    rows = [
        f"| {name(parameter)} | {text(parameter)} |"
        for parameter in command.params
        if parameter.name != "help"
    ]
    if not rows:
        return "It has no options."
    return "\n".join(["| argument or option | meaning |", "|---|---|", *rows])


def name(parameter: Any) -> str:
    """Such as `--output`, `-o`; an argument in capitals."""
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    return ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))


def text(parameter: Any) -> str:
    """What `--help` says of it, with its default."""
    if parameter.required:
        return f"{parameter.help} Required."
    default = shown_default(parameter)
    return f"{parameter.help} Default: {default}." if default else parameter.help


def shown_default(parameter: Any) -> str:
    """In words where the command gives words; empty where there is none to show."""
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    has_none = parameter.default in (None, "") or isinstance(parameter.default, bool)
    return "" if has_none else f"`{parameter.default}`"


def filled(page: str) -> str:
    """The page with every table as it is now."""
    known = commands()
    return BLOCK.sub(lambda found: f"{found[1]}\n{table(known[found[2]])}\n\n{found[3]}", page)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
