"""What docs/webhooks.md shows works as it stands."""

import re
import time
from pathlib import Path
from typing import Any

from workers import posting

PAGE = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def _verified() -> Any:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1], names)
    return names["verified"]


def _headers(body: bytes, moment: int) -> dict[str, str]:
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(moment),
        "webhook-signature": "v1a,elsewhere " + posting.signature(SECRET, "evt_1", moment, body),
    }


def test_the_example_takes_what_we_sign_and_nothing_else() -> None:
    verified, body, moment = _verified(), posting.serialised({"name": "Ñandú"}), int(time.time())
    headers = _headers(body, moment)

    assert verified(headers, body, SECRET)
    assert not verified(headers, body + b" ", SECRET)
    assert not verified(headers | {"webhook-id": "evt_2"}, body, SECRET)
    assert not verified(headers | {"webhook-timestamp": str(moment + 1)}, body, SECRET)
    assert not verified(headers, body, SECRET.replace("M", "N"))
    assert not verified(_headers(body, moment - 301), body, SECRET)
