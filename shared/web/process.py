"""How a process of services begins: what it is told, and one clear line when it cannot begin.

What must never happen: a value that was set (a password, an address) in that line, an exit code that says that all is
well, or the memory of a service, with its keys, in a file.
"""

import re
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import asyncpg
from pydantic import ValidationError
from pydantic_settings import SettingsError

from shared.contracts.problem import FieldCode, field_problems
from shared.remedies import remedy
from shared.staff import StaffError
from shared.telemetry import logs
from shared.web.frame import LOCALE
from shared.web.server import NotServedError, PortTakenError, Served, serve
from shared.words import FALLBACK, Words

SETTINGS_WRONG: Final = 2
NOT_SERVED: Final = 1

_PREFIX: Final = "RELAIS_"
_PAGE: Final = "docs/operate/settings.md says what each setting is"


def start(*services: Callable[[], Served]) -> None:
    """Serve until told to stop, then end the process: 0 when it was told, 1 or 2 when it could not begin.

    Each of ``services`` reads its settings and returns its application. A process that crashes leaves no core file.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logs.configure()
    sys.exit(_run(services))


def _run(services: Sequence[Callable[[], Served]]) -> int:
    served: list[Served] = []
    wrong: dict[str, None] = {}
    for service in services:
        try:
            served.append(service())
        except (ValidationError, SettingsError) as error:
            wrong |= dict.fromkeys(wrong_settings(error))
    if wrong:
        _say(*wrong)
        return SETTINGS_WRONG
    try:
        serve(served)
    except PortTakenError as error:
        _say(reason(error.name, error))
        return NOT_SERVED
    except NotServedError as error:
        _say(reason(error.name, error.failure))
        return NOT_SERVED
    return 0


def wrong_settings(error: ValidationError | SettingsError) -> Iterator[str]:
    """Yield a line for what is missing, and one for each setting that is wrong; never a value."""
    if isinstance(error, SettingsError):
        named = re.search(r'field "(\w+)"', str(error))
        yield f"setting-wrong: {_variable(named[1] if named else '…')} is not JSON; {_PAGE}"
        return
    problems = field_problems(error.errors(include_input=False, include_url=False))
    missing = [_variable(each.pointer) for each in problems if each.code == FieldCode.MISSING]
    if missing:
        yield f"setting-missing: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set; {_PAGE}"
    words = Words(LOCALE)
    for each in problems:
        if each.code != FieldCode.MISSING:
            yield f"setting-wrong: {_variable(each.pointer)}: {each.code}: {words.say(FALLBACK, each.code)}"


def _variable(pointer: str) -> str:
    return _PREFIX + pointer.strip("/").partition("/")[0].upper()


def reason(name: str, error: Exception | None) -> str:
    """Return the line that says why the service ``name`` is not served."""
    code = code_of(error)
    where = f" ({error.where})" if isinstance(error, StaffError) and error.where else ""
    return f"{code}: {name}: {remedy(code, name) or 'see the log above'}{where}"


def code_of(error: Exception | None) -> str:
    """Return the stable code of what keeps a service from starting."""
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            return "database-refused-login"
        case asyncpg.InvalidCatalogNameError():
            return "database-missing"
    code = getattr(error, "code", None)
    return str(code) if isinstance(code, str) else "service-failed"


def _say(*lines: str) -> None:
    for line in lines:
        sys.stderr.write(f"{line}\n")
