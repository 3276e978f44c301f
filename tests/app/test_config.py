"""Settings: layers, environment, what is printed reads back to the same."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from voldesk.app.config import dump_config, load_config, parse_config
from voldesk.app.run_notes import RunNotes, read_notes, write_notes
from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR

TEXT = """\
name: ${WHO:-somebody}
market: {source: synthetic, quote_ttl: 1.5h}
synthetic: {start: 2026-01-05T00:00:00Z}
account: {deposit: "0.1"}
books:
  - name: a
    share: 0.3
    strategies:
      - {strategy: pq_trader, underlying: BTC, threshold: 0.04}
"""


def test_later_layers_win_and_the_rest_is_default() -> None:
    config = parse_config(TEXT, "t", ["account.deposit=5", "books.0.strategies.0.threshold=0.03"], {})
    assert config.account.deposit == Decimal(5)
    assert config.books[0].strategies[0].parameters == {"underlying": "BTC", "threshold": 0.03}
    assert config.market.quote_ttl == 3 * NS_PER_HOUR // 2
    assert config.forecast.horizon == 14 * NS_PER_DAY


def test_a_share_written_as_a_number_means_what_it_says() -> None:
    assert parse_config(TEXT, "t", (), {}).books[0].share == Decimal("0.3")


def test_a_time_that_yaml_takes_for_a_date_is_still_a_time() -> None:
    assert parse_config(TEXT, "t", (), {}).synthetic.start == "2026-01-05T00:00:00+00:00"


def test_the_environment_is_read_where_it_is_named() -> None:
    assert parse_config(TEXT, "t", (), {"WHO": "ann"}).name == "ann"
    assert parse_config(TEXT, "t", (), {}).name == "somebody"


def test_an_override_opens_a_section_that_the_file_lacks() -> None:
    assert parse_config(TEXT, "t", ["venue.margin_model=portfolio"], {}).venue.margin_model == "portfolio"


def test_what_is_printed_reads_back_to_the_same() -> None:
    config = parse_config(TEXT, "t", (), {})
    assert parse_config(dump_config(config), "printed") == config


def test_the_nearest_known_key_is_named_in_its_own_section() -> None:
    with pytest.raises(InputError, match=r"unknown key 'books\.0\.shares'; nearest known key is 'share'"):
        parse_config(TEXT.replace("share:", "shares:"), "t", (), {})


def test_strategies_beside_the_settings_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys, "path", [*sys.path])
    example = Path(__file__).resolve().parents[2] / "examples" / "my_strategy.py"
    (tmp_path / "beside_settings.py").write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
    settings = tmp_path / "c.yaml"
    settings.write_text(
        TEXT.replace("pq_trader, underlying: BTC, threshold: 0.04", "'beside_settings:MyStrategy', underlying: BTC")
    )
    assert load_config(settings).books[0].strategies[0].strategy == "beside_settings:MyStrategy"


def test_the_notes_of_a_run_say_where_its_inputs_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setattr(sys, "path", [*sys.path])
    assert read_notes(tmp_path) == RunNotes()
    write_notes(tmp_path, tmp_path / "data", None, tmp_path / "settings" / "c.yaml")
    notes = read_notes(tmp_path)
    assert notes.data_path == (tmp_path / "data").resolve()
    assert notes.seed_path is None
    assert str((tmp_path / "settings").resolve()) in sys.path
