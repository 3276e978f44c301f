"""`voldesk warm` knows every room's kernels, and which of them a desk needs."""

from __future__ import annotations

from voldesk.app.commands.warm import DESK_MATHS, DESK_ROOMS, kernels


def test_the_desk_needs_some_of_them_and_each_name_is_one_that_exists() -> None:
    every, desk = kernels(desk_only=False), kernels(desk_only=True)
    names = {name for _, _, name in desk}
    assert names < {name for _, _, name in every}
    assert {name.split(": ")[1] for name in names} >= DESK_MATHS
    assert {name.split(": ")[0] for name in names} == {*DESK_ROOMS, "pricing", "surface"}
