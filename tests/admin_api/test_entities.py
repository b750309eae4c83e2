from __future__ import annotations

from typing import Any

import pytest

from tests.admin_api.conftest import Ask
from tests.aws import Aws

ROWS = [{"key": f"sku-{number}", "attributes": {"name": f"Shoe {number}", "price": 49.9}} for number in range(60)]


def test_a_row_is_put_and_read_and_deleted(aws: Aws, ask: Ask) -> None:
    assert ask("GET", "/entities/products/sku-1")[0] == 404
    status, put = ask("PUT", "/entities/products/sku-1", {"name": "Shoe", "sizes": [38, {"eu": 39}]})
    assert (status, put["put"]) == (200, 1)
    row = {
        "entity": "products",
        "key": "sku-1",
        "attributes": {"name": "Shoe", "sizes": [38, {"eu": 39}]},
        "changed_at": "2026-11-21T12:00:00.000Z",
    }
    assert ask("GET", "/entities/products/sku-1") == (200, row)
    aws.clock.forward(60)
    assert ask("PUT", "/entities/products/sku-1", {"name": "Sock"})[0] == 200
    again = {"attributes": {"name": "Sock"}, "changed_at": "2026-11-21T12:01:00.000Z"}
    assert ask("GET", "/entities/products/sku-1") == (200, row | again)
    assert ask("GET", "/entities/stores/sku-1")[0] == 404
    assert ask("DELETE", "/entities/products/sku-1") == (200, {"entity": "products", "deleted": "sku-1"})
    assert ask("DELETE", "/entities/products/sku-1")[0] == ask("GET", "/entities/products/sku-1")[0] == 404


@pytest.mark.parametrize("path", ["gid://shopify/Product/1#a", "gid%3A%2F%2Fshopify%2FProduct%2F1%23a"])
def test_a_key_may_be_a_path(ask: Ask, path: str) -> None:
    ask("POST", "/entities/products", [{"key": "gid://shopify/Product/1#a", "attributes": {}}])
    assert ask("GET", f"/entities/products/{path}")[1]["key"] == "gid://shopify/Product/1#a"


def test_a_row_is_kept_until_it_is_deleted(aws: Aws, ask: Ask) -> None:
    ask("PUT", "/entities/products/sku-1", {"name": "Shoe"})
    (row,) = aws.dynamodb.scan(TableName=aws.table("profiles"))["Items"]
    assert row.keys() == {"pk", "attributes", "changed_at"}


def test_many_rows_are_put_at_once(aws: Aws, ask: Ask) -> None:
    assert ask("POST", "/entities/products", ROWS)[1] == {
        "entity": "products",
        "put": 60,
        "changed_at": "2026-11-21T12:00:00.000Z",
    }
    assert ask("GET", "/entities/products/sku-59")[1]["attributes"] == ROWS[59]["attributes"]
    assert aws.dynamodb.scan(TableName=aws.table("profiles"), Select="COUNT")["Count"] == 60


@pytest.mark.parametrize(
    ("row", "field", "expected"),
    [
        ({"attributes": {}}, "1.key", "a value: the field is required"),
        ({"key": "", "attributes": {}}, "1.key", "1 to 200 characters"),
        ({"key": "/a", "attributes": {}}, "1.key", "1 to 200 characters"),
        ({"key": "50%", "attributes": {}}, "1.key", "1 to 200 characters"),
        ({"key": "a?b", "attributes": {}}, "1.key", "1 to 200 characters"),
        ({"key": "a\nb", "attributes": {}}, "1.key", "1 to 200 characters"),
        ({"key": "x" * 201, "attributes": {}}, "1.key", "1 to 200 characters"),
        ({"key": 7, "attributes": {}}, "1.key", "a text"),
        ({"key": "a"}, "1.attributes", "a value: the field is required"),
        ({"key": "a", "attributes": []}, "1.attributes", "an object"),
        ({"key": "a", "attributes": {"a": "x" * 16_000}}, "1.attributes", "no more than 16000 bytes"),
        ({"key": "a", "attributes": {}, "price": 1}, "1.price", "no such field"),
        ({"key": "sku-0", "attributes": {}}, "1.key", "another key than of a row before"),
        ("sku-1", "1.body", "an object"),
    ],
)
def test_a_wrong_row_is_named_and_then_none_is_written(aws: Aws, ask: Ask, row: Any, field: str, expected: str) -> None:
    status, problem = ask("POST", "/entities/products", [ROWS[0], row, ROWS[2]])
    assert status == 422
    assert [fault["field"] for fault in problem["errors"]] == [field]
    assert expected in problem["errors"][0]["expected"]
    assert aws.dynamodb.scan(TableName=aws.table("profiles"), Select="COUNT")["Count"] == 0


def test_all_wrong_rows_are_named(ask: Ask) -> None:
    _, problem = ask("POST", "/entities/products", [{"key": ""}, *ROWS, {"key": ""}])
    assert [fault["field"].partition(".")[0] for fault in problem["errors"]] == ["0", "61"]


@pytest.mark.parametrize("body", [[], {}, ROWS * 20, "[", "x"])
def test_a_body_that_is_no_list_of_rows(ask: Ask, body: Any) -> None:
    status, problem = ask("POST", "/entities/products", body)
    assert status in (400, 422)
    assert problem["field"] == "body"


def test_a_body_of_more_than_a_megabyte(ask: Ask) -> None:
    rows = [{"key": str(number), "attributes": {"a": "x" * 15_000}} for number in range(70)]
    assert ask("POST", "/entities/products", rows)[0] == 413


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/entities/products/a", [], 422),
        ("PUT", "/entities/Products/a", {}, 400),
        ("PUT", "/entities/products/50%25", {}, 404),
        ("PUT", "/entities/products", {}, 405),
        ("POST", "/entities/products/a", {}, 405),
        ("GET", "/entities", None, 404),
    ],
)
def test_what_can_be_no_row(ask: Ask, method: str, path: str, body: Any, status: int) -> None:
    assert ask(method, path, body)[0] == status


def test_while_dynamodb_is_too_busy_nothing_is_lost_silently(aws: Aws, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.client import BaseClient

    call = BaseClient._make_api_call  # type: ignore[attr-defined]  # what every call goes through
    refusals = iter(range(10_000))

    def busy(self: Any, operation: str, parameters: Any) -> Any:
        if operation == "BatchWriteItem" and next(refusals) < allowed:
            return {"UnprocessedItems": parameters["RequestItems"]}
        return call(self, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", busy)
    allowed = 5
    assert ask("POST", "/entities/products", ROWS)[0] == 200
    assert aws.dynamodb.scan(TableName=aws.table("profiles"), Select="COUNT")["Count"] == 60
    allowed = 10_000
    assert ask("POST", "/entities/products", ROWS)[0] == 503
    assert ask("DELETE", "/entities/products/sku-1")[0] == 503
