"""The locks: everything is pinned by version and hash, and no registry is named."""

from __future__ import annotations

import json
import re
import tomllib

from tests.infra.synthesised import ROOT

LOCK = (ROOT / "requirements.lock").read_text()
CDK = (ROOT / "infra" / "cdk_cli" / "package-lock.json").read_text()


def test_no_registry_is_named() -> None:
    assert "://" not in LOCK
    assert "://" not in CDK


def test_every_requirement_is_pinned_with_a_hash() -> None:
    pinned = dict(re.findall(r"^([a-z0-9._-]+)==(\S+).*\\\n    --hash=sha256:", LOCK, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *(one for group in project["dependency-groups"].values() for one in group)]
    names = {re.split(r"[\[<>=;]", one)[0].lower() for one in wanted if isinstance(one, str)}
    assert names - set(pinned) == set()


def test_the_cdk_command_line_is_pinned_with_a_hash() -> None:
    package = json.loads(CDK)["packages"]["node_modules/aws-cdk"]
    assert package["version"] == json.loads((ROOT / "infra/cdk_cli/package.json").read_text())["dependencies"]["aws-cdk"]
    assert package["integrity"].startswith("sha512-")
