"""The CDK app: `-c environment=NAME` chooses the environment, `-c overrides=JSON` goes over its settings."""

from __future__ import annotations

import sys

from aws_cdk import App

from infra import nag
from infra.bundles import BundleError, Target, deployed, for_lambda, for_this_host, prepare
from infra.settings import SettingsError, read
from infra.stack import Sendbridge


def build(app: App) -> Sendbridge:
    """Adds the stack of the chosen environment. Raises SettingsError or BundleError."""
    context = app.node.try_get_context
    environment = read(context("environments"), context("environment"), context("overrides"))
    target = _target(environment.name)
    prepare(deployed(), target)
    stack = Sendbridge(app, environment, target)
    nag.check(app)
    return stack


def _target(environment: str) -> Target:
    """The embedded AWS runs functions with the interpreter it runs on."""
    if environment == "local":
        return for_this_host()
    target = for_lambda()
    if target.compiler is None:
        print("No Python 3.13 here to compile with: functions are deployed as source and start slower.", file=sys.stderr)
    return target


def main() -> None:
    """What `cdk.json` calls."""
    app = App()
    try:
        build(app)
    except (SettingsError, BundleError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    app.synth()


if __name__ == "__main__":
    main()
