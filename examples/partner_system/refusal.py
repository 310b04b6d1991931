"""Why something was refused: a stable code of docs/protocol/, and never a byte of what was refused."""


class Refused(Exception):  # noqa: N818 -- a refusal is an ordinary outcome, and the documents call it so
    """Something does not hold; ``code`` is one of the codes that docs/protocol/ lists."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
