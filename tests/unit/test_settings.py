"""Settings: bounds that would let nothing pass are refused where the app is made."""

import re
from typing import Any

import pytest

from shoal import App, Settings
from shoal.errors import DeclarationError
from shoal.settings import settings_from


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ({"max_connections": 0}, "max_connections=0; a bound is above 0"),
        ({"idle_seconds": float("inf")}, "idle_seconds=inf; a bound is above 0"),
        ({"compression": 10}, "compression=10; it is a level of 1 to 9, or 0 for none"),
        ({"compression": True}, "compression=True"),
        ({"origins": ["https://a.example"]}, "it is a text"),
        ({"remote_ca": 5}, "remote_ca=5; it is the path of a PEM file"),
        ({"remote_absent": -1}, "remote_absent=-1; a bound is above 0"),
        ({"remote_queue": 0}, "remote_queue=0; a bound is above 0"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(setting: dict[str, Any], part: str) -> None:
    with pytest.raises(DeclarationError, match=re.escape(part)):
        App("refused", settings=Settings(**setting))


def test_settings_of_a_table_are_by_name() -> None:
    found = settings_from({"compression": 6, "origins": "*", "max_page": "50"}, "app.toml")
    assert (found.compression, found.origins, found.max_page) == (6, "*", 50)
    with pytest.raises(DeclarationError, match="did you mean `max_connections`"):
        settings_from({"max_conections": 1}, "app.toml")
