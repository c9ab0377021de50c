from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from shoal.config import beside, load
from shoal.errors import ConfigError


class Limits(msgspec.Struct, frozen=True):
    low: float = 0.5
    high: float = 9.5


class Settings(msgspec.Struct, frozen=True):
    feeder_limit_kw: float = 400.0
    tries: Annotated[int, msgspec.Meta(ge=0)] = 3
    name: str | None = None
    strict: bool = False
    zones: tuple[str, ...] = ()
    limits: Limits = Limits()


class Needed(msgspec.Struct):
    url: str


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "meters.toml"
    path.write_text("[config]\ntries = 5\nfeeder_limit_kw = 350\nlimits = {low = 0.25}\n[other]\nx = 1\n")
    return path


def test_defaults_stand_where_nothing_is_given() -> None:
    assert load(Settings, "meters") == Settings()


def test_set_goes_before_environment_before_toml_before_default(toml: Path) -> None:
    environ = {"METERS_FEEDER_LIMIT_KW": "360.5", "METERS_TRIES": "7", "TRIES": "99", "OTHER_TRIES": "98"}
    assert load(Settings, "meters", environ=environ, toml=toml, sets=["tries=9"]) == Settings(
        feeder_limit_kw=360.5, tries=9, limits=Limits(low=0.25)
    )


def test_texts_are_converted_and_json_is_taken_for_structures() -> None:
    sets = ["strict=true", "name=null and void", 'zones=["a", "b=c"]', 'limits={"high": 1}']
    config = load(Settings, "meters", sets=sets)
    assert config == Settings(strict=True, name="null and void", zones=("a", "b=c"), limits=Limits(high=1.0))


def test_the_environment_names_an_app_with_dashes_by_underscores() -> None:
    assert load(Settings, "my-meters 2", environ={"MY_METERS_2_TRIES": "4"}) == Settings(tries=4)


@pytest.mark.parametrize(
    ("sets", "environ", "parts"),
    [
        (["tries=many"], {}, ["`tries`", "--set tries=many", "Expected `int`"]),
        (["tries=-1"], {}, ["`tries`", "--set tries=-1", ">= 0"]),
        ([], {"METERS_FEEDER_LIMIT_KW": "much"}, ["`feeder_limit_kw`", "METERS_FEEDER_LIMIT_KW", "float", "'much'"]),
        (["tris=3"], {}, ["--set tris=3", "no config field `tris`", "did you mean `tries`?"]),
        (["tries"], {}, ["--set tries", "FIELD=VALUE"]),
        (["=3"], {}, ["FIELD=VALUE"]),
        (['limits={"high": "x"}'], {}, ["`limits`", "--set"]),
    ],
)
def test_an_error_names_field_place_and_type(sets: list[str], environ: dict[str, str], parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(Settings, "meters", sets=sets, environ=environ)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('[config]\ntries = "5"\n', ["`tries`", "[config] of", "meters.toml", "Expected `int`"]),
        ("[config]\ntrys = 5\n", ["meters.toml", "did you mean `tries`?"]),
        ("[config\n", ["meters.toml", "line 1"]),
        ("config = 3\n", ["meters.toml", "must be a table"]),
    ],
)
def test_toml_is_strict(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = tmp_path / "meters.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(Settings, "meters", toml=path)
    for part in parts:
        assert part in str(caught.value)


def test_a_missing_value_names_all_ways_to_give_it(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"`url` \(str\).*--set url=….*PLANT_URL=….*url = … under \[config\] in plant.toml"
    ):
        load(Needed, "plant", toml=tmp_path / "plant.toml")


def test_a_struct_that_refuses_its_values_is_a_config_error() -> None:
    class Picky(msgspec.Struct):
        low: int = 0
        high: int = 1

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is over high")

    with pytest.raises(ConfigError, match="Picky refuses the config: low is over high"):
        load(Picky, "app", sets=["low=5"])


def test_set_without_a_config_class_says_so() -> None:
    assert load(None, "app") is None
    with pytest.raises(ConfigError, match="declares no config"):
        load(None, "app", sets=["x=1"])


def test_the_toml_file_has_the_apps_name_or_is_app_toml(tmp_path: Path) -> None:
    assert beside(tmp_path / "transit.py") == tmp_path / "app.toml"
    (tmp_path / "transit.toml").touch()
    assert beside(tmp_path / "transit.py") == tmp_path / "transit.toml"
