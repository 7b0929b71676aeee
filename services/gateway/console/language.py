"""Languages: what a page says, and how it writes numbers and times. English is in the templates, the others in ``translations``."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Any

from babel import Locale, dates, numbers
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from flask import g, request

FOLDER = Path(__file__).with_name("translations")
SOURCE = "en"
COOKIE = "colega_language"


class Language:
    """One language: its words, numbers and times."""

    def __init__(self, code: str, translations: NullTranslations) -> None:
        self.code = code
        self.locale = Locale.parse(code)
        self.gettext, self.ngettext = translations.gettext, translations.ngettext

    @property
    def name(self) -> str:
        """Its own name for itself, as in a list to choose from."""
        return str(self.locale.get_display_name() or self.code).capitalize()

    def number(self, value: float) -> str:
        """A count or a measure, with the language's separators and at most three decimals."""
        return str(numbers.format_decimal(value, locale=self.locale))

    def percent(self, share: float, digits: int = 0) -> str:
        """A share of one, in per cent."""
        return str(
            numbers.format_percent(share, format=f"#,##0.{'0' * digits}%" if digits else None, locale=self.locale)
        )

    def time(self, at: float | datetime) -> str:
        """A moment in UTC, as RFC 3339: the page's script shows it in the reader's zone."""
        moment = datetime.fromtimestamp(at, UTC) if isinstance(at, int | float) else at
        return str(dates.format_datetime(moment, "medium", locale=self.locale)) + " UTC"

    def date(self, at: float) -> str:
        """A day, in UTC as :meth:`time`."""
        return str(dates.format_date(datetime.fromtimestamp(at, UTC), "medium", locale=self.locale))

    def duration(self, seconds: float) -> str:
        """About how long."""
        return str(dates.format_timedelta(timedelta(seconds=seconds), locale=self.locale, threshold=1.2))


@cache
def languages() -> Mapping[str, Language]:
    """Every language by its code, read once a process from the text files that translators edit: nothing is built at install.

    A language is a folder, with a file for each page; what several pages say is in ``pages.po``.
    """
    found = {SOURCE: Language(SOURCE, NullTranslations())}
    for folder in sorted(path for path in FOLDER.iterdir() if path.is_dir()):
        whole = Catalog(locale=folder.name)
        for path in sorted(folder.glob("*.po")):
            with path.open("rb") as file:
                page = read_po(file, locale=folder.name)
            whole.mime_headers = page.mime_headers  # How it counts: Babel knows other plurals than the files have.
            for message in page:
                if message.id:
                    whole[message.id] = message
        compiled = io.BytesIO()
        write_mo(compiled, whole)
        compiled.seek(0)
        found[folder.name] = Language(folder.name, GNUTranslations(compiled))
    return found


def language() -> Language:
    """The language of the request: the one that was chosen, else the first of the browser's that is known, else English."""
    chosen: Language | None = g.get("language")
    if chosen is None:
        known = languages()
        wanted = request.cookies.get(COOKIE, "")
        code = wanted if wanted in known else request.accept_languages.best_match(list(known), default=SOURCE)
        chosen = g.language = known[code or SOURCE]
    return chosen


def gettext(message: str) -> str:
    """*message* in the language of the request."""
    return language().gettext(message)


def ngettext(one: str, many: str, count: int) -> str:
    """One of two forms for *count* in the language of the request."""
    return language().ngettext(one, many, count)


def install(environment: Any) -> None:  # noqa: ANN401 - Flask's Jinja environment
    """Give the templates their words: ``{% trans %}``, ``_()``, and filters such as ``number`` and ``time``."""
    environment.add_extension("jinja2.ext.i18n")
    environment.install_gettext_callables(gettext, ngettext, newstyle=True)
    environment.filters["number"] = lambda value: language().number(value)
    environment.filters["percent"] = lambda share, digits=0: language().percent(share, digits)
    environment.filters["time"] = lambda at: language().time(at)
    environment.filters["date"] = lambda at: language().date(at)
    environment.filters["rfc3339"] = lambda at: datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    environment.filters["duration"] = lambda seconds: language().duration(seconds)
