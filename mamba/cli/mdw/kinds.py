"""mambactl mdw kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mamba.data_worker.kinds import KindPage

_LIMITS = {
    "minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}",
    "minItems": "at least {}", "maxItems": "at most {}", "minLength": "at least {} characters",
    "maxLength": "at most {} characters", "pattern": "{}",
}  # fmt: skip


@click.command()
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, with the parameters' schema.")
def kinds(*, kind: str | None, as_json: bool) -> int:
    """List the kinds of nodes a graph may name; of one KIND its parameters with units, limits and what they mean."""
    from mamba.data_worker.kinds import describe_kind, describe_kinds

    pages = describe_kinds() if kind is None else [describe_kind(kind)]
    if as_json:
        click.echo(json.dumps([asdict(page) for page in pages], indent=2, ensure_ascii=False))
    elif kind is None:
        _print_list(pages)
    else:
        _print_page(pages[0])
    return 0


def _print_list(pages: list[KindPage]) -> None:
    for role in ("source", "processor", "sink"):
        found = [page for page in pages if page.role == role]
        if found:
            click.echo(f"{role.capitalize()}s:")
        for page in found:
            click.echo(f"  {page.kind:<20}  {_first_sentence(page.doc)}")
    for page in pages:
        if page.error:
            click.echo(page.error, err=True)
    click.echo("\nMore of one: mambactl mdw kinds KIND")


def _first_sentence(doc: str) -> str:
    return doc.split("\n\n")[0].replace("\n", " ")


def _print_page(page: KindPage) -> None:
    from rich.console import Console

    least, most = page.inputs
    takes = "nothing" if most == 0 else f"{least} input" if (least, most) == (1, 1) else f"{least} to {most} inputs"
    gives = "nothing" if not page.outputs else "one output" if page.outputs == ("out",) else ", ".join(page.outputs)
    click.echo(
        f"{page.kind}: {page.role}; takes {takes}{', joined by frame number' if page.joins else ''}; gives {gives}"
    )
    click.echo(f"from {page.place}\n\n{page.doc}\n")
    models = [("Parameters", page.parameters)]
    models += [(f"Each {name}", schema) for name, schema in page.parameters.get("$defs", {}).items()]
    console = Console(soft_wrap=False)
    for title, schema in models:
        if "properties" in schema:
            click.echo(f"{title}: {_first_sentence(schema.get('description', ''))}")
            console.print(_make_table(schema))
        elif title == "Parameters":
            click.echo("It has no parameters.")


def _make_table(schema: dict[str, Any]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table("name", "type", "default", "units", "limits", "meaning", box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[0].no_wrap = True
    required = schema.get("required", [])
    for name, field in schema["properties"].items():
        default = "needed" if name in required else json.dumps(field.get("default"), ensure_ascii=False)
        limits = ", ".join(_list_limits(field))
        cells = (name, _name_type(field), default, str(field.get("units", "")), limits, field.get("description", ""))
        table.add_row(*(_escape(cell) for cell in cells))
    return table


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _name_type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"].rpartition("/")[2])
    if "enum" in field:
        return " or ".join(json.dumps(value) for value in field["enum"])
    if "const" in field:
        return json.dumps(field["const"])
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_name_type(each) for each in field["anyOf"]))
    if field.get("type") == "array":
        if "prefixItems" in field:
            return f"({', '.join(_name_type(each) for each in field['prefixItems'])})"
        return f"list of {_name_type(field.get('items', {}))}"
    return str(field.get("format") or field.get("type", "anything"))


def _list_limits(field: dict[str, Any]) -> Iterator[str]:
    for key, text in _LIMITS.items():
        if key in field and "prefixItems" not in field:
            yield "not empty" if key in ("minItems", "minLength") and field[key] == 1 else text.format(field[key])
    for inner in (*field.get("anyOf", ()), *([field["items"]] if isinstance(field.get("items"), dict) else ())):
        yield from _list_limits(inner)
