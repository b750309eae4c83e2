"""Settings of a deployment: what is wrong is said in one sentence."""

from __future__ import annotations

import json

import pytest

from infra.settings import Environment, SettingsError, read
from tests.infra.synthesised import ROOT, cdk

ENVIRONMENTS = json.loads((ROOT / "cdk.json").read_text())["context"]["environments"]


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_what_is_in_cdk_json_is_valid(name: str) -> None:
    assert read(ENVIRONMENTS, name).prefix == f"sendbridge-{name}"


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("log_retention_days", 31, "cdk.json: environments.dev.log_retention_days: Input should be 1, 3, 5"),
        ("alarm_email", "nobody", "cdk.json: environments.dev.alarm_email: String should match pattern"),
        ("destinations", ["Dynamics 365"], "cdk.json: environments.dev.destinations.0: String should match pattern"),
        ("burst", "many", "cdk.json: environments.dev.burst: Input should be a valid integer"),
        ("retain", "yes", "cdk.json: environments.dev.retain: Input should be a valid boolean"),
        ("jwt", {"issuer": "http://login.example"}, "cdk.json: environments.dev.jwt.issuer: String should match"),
        ("colour", "blue", "cdk.json: environments.dev.colour: Extra inputs are not permitted."),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(setting: str, value: object, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read({"dev": {setting: value}}, "dev")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_an_unknown_environment_is_named_with_those_that_exist() -> None:
    with pytest.raises(SettingsError, match=r"^There is no environment 'live' in cdk.json \(there are: dev, prod\)"):
        read({"dev": {}, "prod": {}}, "live")


@pytest.mark.parametrize("overrides", ["{", "[]", "3"])
def test_overrides_must_be_an_object(overrides: str) -> None:
    with pytest.raises(SettingsError, match=r"^-c overrides must be a JSON object"):
        read({"dev": {}}, "dev", overrides)


def test_overrides_go_over_the_environment() -> None:
    assert read({"dev": {"burst": 5}}, "dev", '{"burst": 7}') == Environment(name="dev", burst=7)


@pytest.mark.slow
def test_the_command_line_says_it_in_one_sentence_and_ends() -> None:
    done = cdk("synth", environment="dev", overrides={"burst": -1})
    said = [line for line in done.stderr.splitlines() if "cdk.json:" in line]
    assert done.returncode != 0
    assert said == ["cdk.json: environments.dev.burst: Input should be greater than or equal to 1."]
    assert "Traceback" not in done.stderr
