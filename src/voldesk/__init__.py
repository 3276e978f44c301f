"""voldesk: an options volatility desk. `import voldesk as vd` gives the maths as array functions.

Everything is loaded on first use, so that importing costs nothing: `vd.black.price(...)`, `vd.implied_vol(...)`,
`vd.american(...)`, `vd.heston(...)`, `vd.fit_surface(...)`. `dir(vd)` lists all of it; docs/notebooks.md shows it at work.
The names and where they live are in `__init__.pyi`, one list for this file and for type checkers.
"""

__version__ = "0.1.0"

_names: dict[str, tuple[str, str]] = {}


def __getattr__(name: str) -> object:
    place = _places().get(name)
    if place is None:
        raise AttributeError(f"voldesk has no {name!r}{_nearest(name)}; dir(voldesk) lists what it has")
    module, original = place
    found = getattr(__import__(module, fromlist=[original]), original)  # as `from module import original` does
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(["__version__", *_places()])


def _places() -> dict[str, tuple[str, str]]:
    """Name -> (module, name there), read off the stub when first asked for."""
    if not _names:
        import ast
        from pathlib import Path

        for node in ast.parse(Path(__file__).with_suffix(".pyi").read_bytes()).body:
            if isinstance(node, ast.ImportFrom):
                _names.update((found.asname or found.name, (str(node.module), found.name)) for found in node.names)
    return _names


def _nearest(name: str) -> str:
    """ "(did you mean ...?)": the same words in another order, or nearly the same letters."""
    from difflib import get_close_matches

    words = set(name.lower().split("_"))
    near = [known for known in _places() if set(known.lower().split("_")) == words]
    near += [known for known in get_close_matches(name, _places(), n=3) if known not in near]
    return f" (did you mean {' or '.join(near[:3])}?)" if near else ""
