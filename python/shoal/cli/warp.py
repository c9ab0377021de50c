"""``shoal warp``: the fields of WARP frames."""

import argparse
from typing import Any

EPILOG = """\
example:
  echo '"@sync(node:\\"/bus/7\\",lane:speed)"' | shoal warp
  {"kind":"sync","node":"/bus/7","lane":"speed","prio":0,"rate":0,…}

Each line of standard input is a JSON string that holds one frame; each line of
standard output has its fields, or {"error": reason, "offset": byte} where it is
no envelope. Addresses are in their normal form, body and canonical as swim-java
writes them, body_json is the body's structure as shoal recon --tagged has it.
"""


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "warp",
        help="read WARP frames",
        description="Reads frames of WARP, Swim's protocol of links, line by line.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=command)


def command(chosen: argparse.Namespace) -> int:
    """Answers each line of standard input; gives the exit code."""
    from shoal._core import warp_fields
    from shoal.cli.filter import run_filter

    return run_filter(warp_fields)
