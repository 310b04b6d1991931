"""A description that is out of date says how to write it."""

from pathlib import Path

import pytest

from tests.support import described


def test_whoever_changed_what_is_described_is_told_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(described, "FOLDER", tmp_path)
    monkeypatch.delenv("RELAIS_WRITE_DESCRIPTIONS", raising=False)
    with pytest.raises(pytest.fail.Exception, match=r"RELAIS_WRITE_DESCRIPTIONS=1 .*pytest"):
        described.assert_current("openapi", "referral", {})
    monkeypatch.setenv("RELAIS_WRITE_DESCRIPTIONS", "1")
    described.assert_current("openapi", "referral", {})
    monkeypatch.delenv("RELAIS_WRITE_DESCRIPTIONS")
    described.assert_current("openapi", "referral", {})
