"""A command ends in one sentence with a code, whatever it met, and never in what a library has to say."""

import pytest

from deploy.cli import main
from deploy.cli.console import answering

CANARY = "kanarienvogel"


@pytest.mark.parametrize("error", [RuntimeError(CANARY), ValueError(CANARY), ExceptionGroup(CANARY, [OSError(CANARY)])])
def test_of_what_nobody_foresaw_the_class_alone_is_said(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, answering(as_json=True):
        raise error
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert said.err == f"failed: it could not be done ({type(error).__name__})\n"
    assert '"code": "failed"' in said.out
    assert CANARY not in said.out + said.err


def test_so_does_a_command_that_does_not_answer_by_itself(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(main, "app", broken)
    with pytest.raises(SystemExit):
        main.main()
    assert capsys.readouterr().err == "failed: it could not be done (RuntimeError)\n"
