"""Words are found at the edge, when somebody reads: inside there are codes.

Catalogues are gettext ``.po`` files, read as they are at the start: nothing has to be compiled, and a translator's
file is the file.
"""

from collections.abc import Sequence
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path

from babel import Locale, negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

FALLBACK = "en"


class Words:
    """The catalogues of some folders: ``<language>.po``, or ``<language>/LC_MESSAGES/messages.po``."""

    def __init__(self, *folders: Path) -> None:
        """Read every catalogue in ``folders``; what one does not say, the next may."""
        self._catalogues: dict[str, GNUTranslations] = {}
        for folder in folders:
            for path in sorted((*folder.glob("*.po"), *folder.glob("*/LC_MESSAGES/*.po"))):
                language = path.stem if path.parent == folder else path.parent.parent.name
                catalogue = _compile(path, language)
                if language in self._catalogues:
                    self._catalogues[language].add_fallback(catalogue)
                else:
                    self._catalogues[language] = catalogue

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages there are, by their ISO 639-1 codes."""
        return tuple(self._catalogues)

    def choose(self, wanted: Sequence[str]) -> str:
        """Return the best language there is for ``wanted``, best first; English where none fits."""
        return negotiate_locale(list(wanted), list(self.languages), sep="-") or FALLBACK

    def for_request(self, accept_language: str) -> str:
        """Return the best language for an ``Accept-Language`` header (RFC 9110, 12.5.4)."""
        return self.choose(preferences(accept_language))

    def say(self, language: str, code: str, **values: object) -> str:
        """Return the words for ``code``, with ``values`` filled in; the code itself where there are none."""
        catalogue = self._catalogues.get(language)
        text = catalogue.gettext(code) if catalogue else code
        return text.format(**values) if values else text

    def say_counted(self, language: str, one: str, many: str, count: int, **values: object) -> str:
        """Return the words for ``count`` things, in the plural form that the language has for it."""
        catalogue = self._catalogues.get(language)
        text = catalogue.ngettext(one, many, count) if catalogue else (one if count == 1 else many)
        return text.format(count=count, **values)


def preferences(accept_language: str) -> list[str]:
    """Return the languages of an ``Accept-Language`` header, best first; what cannot be read is left out."""
    weighted: list[tuple[float, str]] = []
    for part in accept_language[:200].split(","):
        language, _, weight = part.strip().partition(";q=")
        try:
            weighted.append((float(weight or 1), language.strip()))
        except ValueError:
            continue
    return [language for weight, language in sorted(weighted, key=lambda pair: -pair[0]) if weight > 0]


def direction(language: str) -> str:
    """Return ``ltr`` or ``rtl``: which way ``language`` runs."""
    return Locale.parse(language).text_direction


def _compile(path: Path, language: str) -> GNUTranslations:
    with path.open("rb") as source:
        catalogue = read_po(source, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return GNUTranslations(compiled)
