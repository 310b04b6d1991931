"""An exception carries a code, never a payload."""

from typing import Final, Generic, TypeVar

Code = TypeVar("Code", bound=str)


class Coded(Exception, Generic[Code]):  # noqa: N818 - a base: each kind has a name of its own
    """Something cannot be done; the ``code`` says why, is stable, and is compared by programs."""

    def __init__(self, code: Code, name: str = "") -> None:
        """Take the ``code``, and the ``name`` of what it is about, if that has one; never a value that came in."""
        super().__init__(f"{code}: {name}" if name else str(code))
        self.code: Final = code


class Told(Coded[Code]):
    """Something cannot be done that a person asked for."""

    def __init__(self, code: Code, sentence: str) -> None:
        """Take the ``code``, and a ``sentence`` that says what is wrong and what helps."""
        super().__init__(code, sentence)
        self.sentence: Final = sentence
