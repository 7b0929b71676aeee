"""A report is read as text, Markdown or a page, and nothing that was given makes markup."""

from services.gateway.modelling import reports_written

REPORT = {
    "collection": "default",
    "written_at": "2026-01-31T00:00:00",
    "purpose": {"purpose": "<script>alert(1)</script> *all* [of](it)", "basis": None},
    "recipients": {"keys": [{"name": "reception", "scopes": ["search"]}], "webhooks": []},
    "audit": {"on": True, "days": 365},
    "erasures": {"open": 0, "median_h": 1.23456},
    **{key: ["one", "two"] for key in ("categories", "warnings", "places", "to_be_added")},
    **{name: {} for name in ("counts", "retention", "accuracy")},
    **dict.fromkeys(("transfers", "presentation_attacks", "automated_decisions"), "None."),
}


def test_a_page_escapes_what_it_is_given() -> None:
    page = reports_written.of(REPORT, "html")

    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "keys: name reception; scopes search" in page


def test_markdown_has_headings_and_no_markup_of_others() -> None:
    text = reports_written.of(REPORT, "md")

    assert "## Purpose and basis" in text
    assert "\\*all\\* \\[of\\]" in text


def test_text_says_none_for_what_there_is_not() -> None:
    text = reports_written.of(REPORT, "text")

    assert "basis: none" in text
    assert "webhooks: none" in text
    assert "median h: 1.235" in text
    assert "on: yes" in text
