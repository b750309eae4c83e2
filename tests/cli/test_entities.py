from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Bridge, Sendbridge


def lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_rows_of_json_lines_are_put_shown_and_deleted(sendbridge: Sendbridge, tmp_path: Path) -> None:
    file = lines(tmp_path / "products.jsonl", {"key": "sku-1", "name": "Schuh", "sizes": [38]}, "", {"key": 7, "name": "Sock"})
    done = sendbridge("entities", "put", "products", "-f", file)
    assert (done.code, done.out) == (0, "products: 2 rows are put.\n")
    shown = sendbridge("entities", "get", "products", "sku-1", "--json")
    assert shown.json["attributes"] == {"name": "Schuh", "sizes": [38]}
    assert '"name": "Sock"' in sendbridge("entities", "get", "products", "7").out
    gone = sendbridge("entities", "delete", "products", "sku-1")
    assert (gone.code, gone.out) == (0, "products: sku-1 is deleted.\n")
    missing = sendbridge("entities", "get", "products", "sku-1")
    assert (missing.code, missing.err) == (2, "there is no row with this key in products\n")


def test_rows_of_csv_by_any_column(sendbridge: Sendbridge, tmp_path: Path) -> None:
    file = lines(tmp_path / "stores.csv", "\ufeffcity,id,zip", 'Köln,gid://shop/1,"50667"', "Bonn,2,")
    assert sendbridge("entities", "put", "stores", "-f", file, "--key", "id", "--json").json == {"entity": "stores", "put": 2}
    assert sendbridge("entities", "get", "stores", "gid://shop/1", "--json").json["attributes"] == {
        "city": "Köln",
        "zip": "50667",
    }
    assert sendbridge("entities", "get", "stores", "2", "--json").json["attributes"] == {"city": "Bonn"}


def test_what_was_shown_can_be_put(sendbridge: Sendbridge, tmp_path: Path) -> None:
    rows = [{"entity": "products", "key": "a", "attributes": {"name": "A", "key": "inner"}}, {"key": "b", "attributes": {}}]
    assert sendbridge("entities", "put", "products", "-f", lines(tmp_path / "p.jsonl", *rows)).code == 0
    shown = sendbridge("entities", "get", "products", "a", "--json")
    assert shown.json["attributes"] == {"name": "A", "key": "inner"}
    again = lines(tmp_path / "again.jsonl", shown.json)
    assert sendbridge("entities", "put", "products", "-f", again, "--key", "id").code == 0
    other = sendbridge("entities", "put", "stores", "-f", again)
    assert (other.code, "line 1: entity: expected stores, or none" in other.err) == (2, True)


def test_wrong_lines_are_named_and_nothing_is_put(bridge: Bridge, sendbridge: Sendbridge, tmp_path: Path) -> None:
    good = {"key": "a", "name": "A"}
    wrong = ["{", [], {"name": "no key"}, {"key": ""}, {"key": None}, {"key": True}, {"key": "b", "x": "x" * 16_000}, good]
    done = sendbridge("entities", "put", "products", "-f", lines(tmp_path / "p.jsonl", good, *wrong))
    assert done.code == 2
    said = done.err.splitlines()
    assert said[0].endswith("nothing was put, as these lines are wrong:")
    assert [line.split(":")[0] for line in said[1:]] == [f"line {number}" for number in range(2, 10)]
    assert "expected a JSON object" in said[2]
    assert "key: a value, as it is the row's key" in said[3]
    assert "another one than in a line before" in said[8]
    assert bridge.seen == []


def test_no_more_lines_are_named_than_anybody_reads(sendbridge: Sendbridge, tmp_path: Path) -> None:
    done = sendbridge("entities", "put", "products", "-f", lines(tmp_path / "p.jsonl", *["x"] * 30))
    assert len(done.err.splitlines()) == 22
    assert done.err.endswith("and 10 more\n")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b'a,key\n"'])
def test_a_file_that_cannot_be_used(sendbridge: Sendbridge, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "p.csv"
    file.write_bytes(content)
    done = sendbridge("entities", "put", "products", "-f", file)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert sendbridge("entities", "put", "products", "-f", tmp_path / "none.jsonl").code == 2


def test_many_rows_are_put_in_parts(bridge: Bridge, sendbridge: Sendbridge, tmp_path: Path) -> None:
    large = [{"key": f"l{number}", "text": "ä" * 7_000} for number in range(100)]
    small = [{"key": f"s{number}"} for number in range(1_100)]
    file = lines(tmp_path / "p.jsonl", *large, *small)
    assert sendbridge("entities", "put", "products", "-f", file).out == "products: 1200 rows are put.\n"
    assert bridge.seen == [("POST", "/v1/admin/entities/products")] * 4
    assert sendbridge("entities", "get", "products", "s1099").code == 0


def test_what_the_deployment_refuses_is_said(sendbridge: Sendbridge, tmp_path: Path) -> None:
    done = sendbridge("entities", "put", "Products", "-f", lines(tmp_path / "p.jsonl", {"key": "a"}))
    assert done.code == 2
    assert "a name is 1 to 64 of a-z" in done.err
