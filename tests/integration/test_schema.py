"""Every operation of the OpenAPI document, asked what the document allows and what it does not, answers as the document says."""

import itertools
import os
from collections.abc import Iterator
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode, checks
from schemathesis.core.failures import FailureGroup

from tests.running import Running

pytestmark = pytest.mark.slow

IS_LONG = bool(os.environ.get("COLEGA_SOAK"))
EXAMPLES = 60 if IS_LONG else 1
SCOPES = ["admin"] if IS_LONG else ["search", "enrol", "read", "manage"]
"""What is computed for minutes is begun in the long run only."""

BUSY = {429, 503}
"""Not in the document's power; with these there is a Retry-After."""


@pytest.fixture
def key(service: Running, gallery: str) -> str:
    """A key that may do much, in a collection of its own and nowhere else."""
    return str(service.client().keys.create("schema", SCOPES, collections=[gallery])["secret"])


@pytest.fixture
def schema(service: Running) -> Any:
    """The document."""
    url = str(service.instance()["url"])
    document = httpx.get(f"{url}/openapi.json").json()
    schema = schemathesis.openapi.from_dict({**document, "openapi": "3.1.0"})
    schema.config.update(base_url=url)
    return schema


def _operations(schema: Any) -> Iterator[Any]:
    for found in schema.get_all_operations():
        yield found.ok()


def test_every_operation_answers_as_the_document_says(schema: Any, key: str, gallery: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "x-api-key": key}
    broken: dict[str, str] = {}
    count = 0
    for operation, mode in itertools.product(_operations(schema), GenerationMode):

        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        @hypothesis.settings(
            max_examples=EXAMPLES,
            derandomize=not IS_LONG,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.generate],
        )
        def asked(case: Any) -> None:
            if case.query is not None or "/v1/" in case.operation.path:
                case.query = {**(case.query or {}), "collection": gallery}
            answer = case.call(headers=headers, timeout=60)
            if answer.status_code in BUSY:
                assert answer.headers["Retry-After"]
                return
            case.validate_response(
                answer,
                checks=(
                    checks.not_a_server_error,
                    checks.CHECKS.get_one("content_type_conformance"),
                    checks.CHECKS.get_one("response_schema_conformance"),
                ),
            )

        count += 1
        try:
            asked()
        except (FailureGroup, AssertionError) as failure:
            broken[f"{operation.label}, {mode}"] = str(failure)[:500]

    assert broken == {}
    assert count > 200


def test_no_operation_of_the_document_is_open_to_nobody(schema: Any) -> None:
    statuses = {}
    with httpx.Client(timeout=60) as http:
        for operation in _operations(schema):
            path = "/".join("1" if part.startswith("{") else part for part in operation.path.split("/"))
            answer = http.request(operation.method.upper(), f"{operation.base_url}{path}", json={})
            statuses[operation.label] = answer.status_code

    expected = {label: 400 if "/api/v1/" in label else 401 for label in statuses}  # 400 is CompreFace's for no key.
    assert {label: status for label, status in statuses.items() if status not in {expected[label], 429}} == {}
