"""`import voldesk as vd`: every name is there, nothing else is shown, and importing it costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import voldesk as vd

STUB = Path(vd.__file__).with_suffix(".pyi")
NAMES = [name for name in dir(vd) if name != "__version__"]
HEAVY = ("numpy", "numba", "scipy", "pyarrow", "msgspec", "importlib.resources", "ast")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_leads_to_something_that_says_what_it_is(name: str) -> None:
    assert getattr(vd, name).__doc__, f"vd.{name} has no docstring"


def test_type_checkers_are_told_the_same_names() -> None:
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    told = next(n.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__")
    assert sorted(ast.literal_eval(told)) == NAMES


def test_only_public_names_are_listed_and_none_hides_a_room() -> None:
    assert [name for name in NAMES if name.startswith("_")] == []
    assert not {"Any", "annotations", "importlib", "TYPE_CHECKING"} & set(dir(vd))
    rooms = {path.stem for path in STUB.parent.iterdir()}
    assert rooms & set(NAMES) == set(), "a room of that name would replace it once imported"


def test_importing_and_listing_load_nothing_heavy() -> None:
    code = (
        "import sys, voldesk as vd; before = set(sys.modules); dir(vd); "
        f"print([name for name in {HEAVY[:-2]} if name in sys.modules], [n for n in {HEAVY} if n in before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"


def test_a_name_is_found_once_and_then_remembered() -> None:
    first = vd.black
    assert first is sys.modules["voldesk.pricing.black"]
    assert vars(vd)["black"] is first


@pytest.mark.parametrize(
    ("wrong", "meant"), [("impliedvol", "implied_vol"), ("calibrate_heston", "heston_calibrate"), ("greek", "greeks")]
)
def test_an_unknown_name_is_told_its_nearest(wrong: str, meant: str) -> None:
    with pytest.raises(AttributeError, match=rf"voldesk has no '{wrong}' \(did you mean {meant}"):
        getattr(vd, wrong)


def test_a_name_like_no_other_gets_no_guess() -> None:
    with pytest.raises(AttributeError, match=r"voldesk has no 'zzzzqq'; dir\(voldesk\) lists"):
        vd.zzzzqq  # noqa: B018
