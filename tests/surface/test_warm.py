from __future__ import annotations

from voldesk.pricing.warm import warm as warm_pricing
from voldesk.surface.warm import warm as warm_surface


def test_every_entry_of_the_warm_up_runs_and_is_named_once() -> None:
    entries = warm_pricing() + warm_surface()
    assert len({name for name, _ in entries}) == len(entries)
    for _, call in entries:
        assert call() is not None
