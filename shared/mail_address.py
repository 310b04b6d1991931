"""The addresses that mail goes from and to, checked where they enter: not when a mail is due that must go out."""

from typing import Annotated, Final, TypeAlias

from pydantic import StringConstraints

LONGEST: Final = 254
"""Characters: a path of 256 octets (RFC 5321, 4.5.3.1.3) without its angle brackets."""

MailAddress: TypeAlias = Annotated[
    str,
    StringConstraints(
        max_length=LONGEST,
        pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$",
    ),
]
"""What forms take (the HTML standard, 4.10.5.1.5): none that needs quoting, and none beyond ASCII."""
