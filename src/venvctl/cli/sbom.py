"""`venvctl sbom`: what an environment is made of, as CycloneDX JSON."""

import json as json_text
from typing import Annotated

import typer

from venvctl import disk
from venvctl.cli import options
from venvctl.cli.answer import Answer, Line, Tone
from venvctl.cli.naming import resolve
from venvctl.cli.sentences import count
from venvctl.project import ComposeOptions

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(epilog="Example: `venvctl sbom shop_venv --output shop.cdx.json`.")
def sbom_command(
    name: options.Name,
    generation: Annotated[
        int | None,
        typer.Option(
            "--generation",
            metavar="N",
            min=1,
            help="Another than the current one.",
            autocompletion=options.complete_generation,
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="A file instead of stdout.")
    ] = "",
    *,
    json: options.Json = False,
) -> Answer:
    """Print what an environment is made of: packages, hashes, licences, and what needs what.

    The format is CycloneDX JSON. The same generation gives the same text whenever it is asked.
    """
    from venvctl.sbom import bill  # noqa: PLC0415 - help does without

    root = options.own_root()
    name = resolve(name, root.registry.names(), ComposeOptions(), options.current_directory())
    result = bill(name, root, generation=generation)
    if not output:
        document = json_text.loads(result.text)
        return Answer(data=document, lines=tuple(map(Line, result.text.splitlines())))
    disk.write_file(options.output_file(output), f"{result.text}\n".encode())
    what = f"generation {result.generation}, {count(result.packages, 'package')}"
    lines = [Line(f"{name}: written to {output} ({what})", Tone.GOOD)]
    if result.unlicensed:
        lines.append(Line(f"without a licence: {', '.join(result.unlicensed)}", indent=1))
    return Answer(data=json_text.loads(result.text), lines=tuple(lines))
