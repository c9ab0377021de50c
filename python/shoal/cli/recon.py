"""``shoal recon``: Recon texts as structures, in Swim's own form, or as JSON."""

import argparse
import base64
import json
from collections.abc import Callable
from typing import Any

EPILOG = """\
example:
  echo '"@fix(unit:7){speed:3.5}"' | shoal recon --json
  {"@fix": {"unit": 7}, "speed": 3.5}

Each line of standard input is a JSON string that holds one Recon text; each
line of standard output is the answer to it, or {"error": reason, "offset":
byte} where it is no Recon. Selectors and expressions ($a, a + 1) have no JSON.
"""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "recon",
        help="read Recon texts",
        description="Reads Recon, Swim's data language, line by line.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    form = parser.add_mutually_exclusive_group(required=True)
    option = form.add_argument
    option(
        "--tagged", dest="form", action="store_const", const="tagged", help='the structure: {"record":[{"int":"1"}]}'
    )
    option(
        "--canonical",
        dest="form",
        action="store_const",
        const="canonical",
        help="the text that swim-java writes for it, as a JSON string",
    )
    option("--json", dest="form", action="store_const", const="json", help="as JSON; bytes as base64")
    parser.set_defaults(command=command)


def command(chosen: argparse.Namespace) -> int:
    """Answers each line of standard input; gives the exit code."""
    from shoal.cli.filter import run_filter

    return run_filter(_answer(chosen.form))


def _answer(form: str) -> Callable[[str], str]:
    from shoal._core import recon_canonical, recon_tagged
    from shoal.recon import loads

    if form == "tagged":
        return recon_tagged
    if form == "canonical":
        return lambda text: json.dumps(recon_canonical(text))
    encode = json.JSONEncoder(allow_nan=False, default=_base64).encode
    return lambda text: encode(loads(text))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
