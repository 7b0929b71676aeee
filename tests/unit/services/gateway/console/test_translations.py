"""Every sentence of the console is there in every language, once, with the same values to be filled in."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from services.gateway.console.language import FOLDER, SOURCE, languages

CONSOLE = FOLDER.parent
OTHERS = sorted(code for code in languages() if code != SOURCE)
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2)}
VALUES = re.compile(r"%\(\w+\)[sd]|\{\w+\}|%%")


class Message(NamedTuple):
    """A sentence as a translator has it."""

    file: str
    id: str | tuple[str, ...]
    said: tuple[str, ...]
    is_fuzzy: bool

    @property
    def name(self) -> str:
        """What it is looked up by."""
        return self.id if isinstance(self.id, str) else self.id[0]


def written() -> dict[str, tuple[str, ...]]:
    """Every sentence of views and templates, by its first form; with all of its forms."""
    methods = [("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")]
    options = {"templates/**.html": {"trimmed": "false", "newstyle_gettext": "true", "silent": "false"}}
    found = {}
    for _file, _line, message, _comments, _context in extract_from_dir(
        str(CONSOLE), methods, options, keywords=KEYWORDS, directory_filter=lambda _: True
    ):
        forms = (message,) if isinstance(message, str) else tuple(message)
        found[forms[0]] = forms
    return found


def translated(code: str) -> list[Message]:
    """Every sentence of a language's files, those that stand there twice included."""
    return [message for path in sorted((FOLDER / code).glob("*.po")) for message in _of(path)]


def _of(path: Path) -> Iterator[Message]:
    ids = Counter(re.findall(r'(?m)^msgid (?:""\n)?"(.+)"$', path.read_text("utf-8")))
    with path.open("rb") as file:
        for message in read_po(file):
            if message.id:
                said = (message.string,) if isinstance(message.string, str) else tuple(message.string or ())
                forms = message.id if isinstance(message.id, str) else tuple(message.id)
                yield Message(path.name, forms, said, message.fuzzy)
    assert not [name for name, times in ids.items() if times > 1], f"{path.name} says these twice"


@pytest.mark.parametrize("code", OTHERS)
def test_every_sentence_is_translated(code: str) -> None:
    there = {message.name for message in translated(code) if all(message.said) and not message.is_fuzzy}

    assert sorted(set(written()) - there) == []


@pytest.mark.parametrize("code", OTHERS)
def test_no_sentence_stands_twice_or_is_said_by_nobody(code: str) -> None:
    names = Counter(message.name for message in translated(code))

    assert [name for name, times in names.items() if times > 1] == []
    assert sorted(set(names) - set(written())) == []


@pytest.mark.parametrize("code", OTHERS)
def test_a_translation_fills_in_what_the_sentence_does(code: str) -> None:
    for message in translated(code):
        forms = (message.id,) if isinstance(message.id, str) else message.id
        wanted = {value for form in forms for value in VALUES.findall(form)}
        for said in message.said:
            assert set(VALUES.findall(said)) <= wanted, message
            if isinstance(message.id, str):
                assert sorted(VALUES.findall(said)) == sorted(VALUES.findall(message.id)), message


def test_there_is_spanish() -> None:
    assert "es" in OTHERS
