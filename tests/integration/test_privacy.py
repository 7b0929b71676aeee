"""What an impact assessment needs is told, and kept apart from what colega cannot know."""

import json
from pathlib import Path

from tests.running import Running

NOTICE = "We recognise faces at the door."


def test_a_collection_says_on_what_basis_it_is_and_the_report_repeats_it(
    service: Running, enrolled: str, tmp_path: Path
) -> None:
    notice = tmp_path / "notice.txt"
    notice.write_text(NOTICE, "utf-8")
    words = [
        "--basis",
        "consent",
        "--purpose",
        "The <b>door</b>",
        "--notice",
        str(notice),
        "--notice-version",
        "2026-1",
    ]
    changed = service.answer("collections", "set", enrolled, *words, "--retention-days", "365")
    client = service.client(enrolled)
    one = next(iter(client.people.list()))
    service.answer("people", "consent", one["name"], "--given-at", "2026-01-31", collection=enrolled)

    report = client.privacy.report()

    assert (changed["basis"]["basis"], changed["retention_days"], changed["without_consent"]) == ("consent", 365, 4)
    assert report["purpose"]["notice"]["text"] == NOTICE
    assert report["purpose"]["ground"]["articles"] == "6(1)(a), 9(2)(a)"
    assert (report["counts"]["people"], report["counts"]["consents"], report["counts"]["without_consent"]) == (4, 1, 3)
    assert {place["place"] for place in report["places"]} >= {
        "catalog",
        "photo store",
        "index",
        "broker",
        "logs",
        "backups",
    }
    assert any("rarely free" in warning for warning in report["warnings"])
    assert report["presentation_attacks"].startswith("Not detected")
    assert report["to_be_added"]


def test_the_report_is_printed_as_text_markdown_and_a_page(service: Running, enrolled: str, tmp_path: Path) -> None:
    client = service.client(enrolled)
    client.collections.change(enrolled, basis={"basis": "legal_claims", "purpose": "The <b>door</b>"})
    page = tmp_path / "report.html"

    text = service.colega("privacy", "report", collection=enrolled)
    document = service.colega("privacy", "report", "--format", "json", collection=enrolled)
    html = service.colega("privacy", "report", "--format", "html", "--out", str(page), collection=enrolled)

    assert (text.returncode, document.returncode, html.returncode) == (0, 0, 0)
    assert "PRESENTATION ATTACKS" in text.stdout
    assert json.loads(document.stdout)["collection"] == enrolled
    assert "<b>door" not in page.read_text("utf-8")
    assert "# Privacy report" in client.privacy.written("md")


def test_withdrawal_on_the_command_line_erases_with_a_receipt(service: Running, enrolled: str) -> None:
    client = service.client(enrolled)
    one = next(iter(client.people.list()))
    client.people.consent(one["id"], text="I agree.")

    erased = service.answer("people", "consent", one["id"], "--withdraw", "--yes", collection=enrolled)

    assert erased["erasure"]["cause"] == "withdrawn"
    assert one["id"] not in {person["id"] for person in client.people.list()}


def test_whose_day_is_over_is_erased_by_maintenance(service: Running, enrolled: str) -> None:
    client = service.client(enrolled)
    client.collections.change(enrolled, retention_days=0.000001)

    service.wait_until(lambda: client.collections.show(enrolled)["people"] == 0, within_s=120.0)

    assert client.collections.show(enrolled)["retention"]["erased"] == 4
    assert client.privacy.report()["erasures"]["by_cause"] == {"expired": 4}
