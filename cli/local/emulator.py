"""The process of the embedded AWS: MiniStack, and everything it gets wrong put right in this one place.

Started by `cli.local.aws`, with a directory of its own as the argument. It ends with whoever started it: its standard
input is a pipe that nobody writes to, and when that closes the whole process group goes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Enforce = Callable[..., object]

_POLL_SECONDS = 0.05

_STATEMENT = re.compile(r'(INSERT|UPDATE|DELETE|SELECT)\b[^"]*"([^"]+)"')
"""A PartiQL statement as ours are written: what it does, and to which table."""

# MiniStack asks for the permission of the operation's name; IAM knows these operations under another one.
_IAM_NAMES = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}


def main(directory: Path) -> None:
    """Serves until told to stop."""
    threading.Thread(target=_end_with_our_starter, daemon=True).start()
    isolate_functions(directory)
    from ministack import app  # noqa: PLC0415  # reads its settings while it is imported

    count_loopback_as_tls(app)
    record_calls(directory / "calls.jsonl")
    check_statements()
    refer_to_secrets_by_arn()
    contain_failures()
    route_options()
    threading.Thread(target=poll_promptly, daemon=True).start()
    app.main()


def _end_with_our_starter() -> None:
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)


def isolate_functions(directory: Path) -> None:
    """MiniStack runs handlers with its own interpreter, so they could import whatever is installed for MiniStack.

    On AWS there is the standard library and the zip. The interpreter that handlers get sees no more than that.
    """
    interpreter = directory / "python"
    interpreter.write_text(f'#!/bin/sh\nexec "{_base_interpreter()}" -I -S "$@"\n')
    interpreter.chmod(interpreter.stat().st_mode | stat.S_IXUSR)
    sys.executable = str(interpreter)


def _base_interpreter() -> str:
    """The interpreter behind the virtual environment."""
    return getattr(sys, "_base_executable", None) or sys.executable


def count_loopback_as_tls(app: Any) -> None:
    """MiniStack serves plain HTTP, which queues and buckets that insist on TLS refuse. Loopback is as private as TLS."""
    from ministack.core import iam_evaluator  # noqa: PLC0415

    app.pin_request_origin = lambda address, _secure: iam_evaluator.pin_request_origin(address, True)


def poll_promptly() -> None:
    """MiniStack looks for messages whose delay is over once a second; AWS's pollers are there within milliseconds."""
    from ministack.services import lambda_svc  # noqa: PLC0415

    while True:
        time.sleep(_POLL_SECONDS)
        lambda_svc.esm_wake.set()


def check_statements() -> None:
    """MiniStack asks for the right to `BatchExecuteStatement`, which IAM does not know; on AWS each statement needs its own."""
    from ministack.core import iam_actions  # noqa: PLC0415

    in_transactions = iam_actions.dynamodb_transaction_checks

    def checks(iam_action: str, body: bytes, region: str, account: str) -> list[tuple[str, str]]:
        """In place of MiniStack's own, which knows transactions only: the action and the table of each statement."""
        if iam_action != "dynamodb:BatchExecuteStatement":
            found: list[tuple[str, str]] = in_transactions(iam_action, body, region, account)
            return found
        texts = [str(statement.get("Statement", "")) for statement in json.loads(body)["Statements"]]
        read = [match for text in texts if (match := _STATEMENT.match(text))]
        return [
            (f"dynamodb:PartiQL{match[1].capitalize()}", f"arn:aws:dynamodb:{region}:{account}:table/{match[2]}")
            for match in read
        ]

    iam_actions.dynamodb_transaction_checks = checks


def contain_failures() -> None:
    """A process that dies while it starts makes MiniStack end all other processes of its function, busy or starting.

    Those that were starting then do the same to whoever starts after them, and so on for as long as starts overlap. On AWS
    an execution environment that dies is alone in it.
    """
    from ministack.core.lambda_runtime import Worker  # noqa: PLC0415

    invoke = Worker.invoke

    def contained(worker: Any, *arguments: Any, **named: Any) -> dict[str, Any]:
        """In place of MiniStack's `invoke`, which reports a death later on as a failed invocation too."""
        try:
            result: dict[str, Any] = invoke(worker, *arguments, **named)
        except Exception as error:
            return {"status": "error", "error": str(error)}
        return result

    Worker.invoke = contained


def route_options() -> None:
    """MiniStack answers each OPTIONS to an HTTP API by itself, and refuses it where the API has no CORS configuration.

    On AWS, OPTIONS is then a method like any other ("Configure CORS for HTTP APIs", read 2026-11-22). So until it is at its
    function, MiniStack sees another word.
    """
    from ministack.services import apigateway as api  # noqa: PLC0415

    handle, match, invoke = api._handle_execute_in_scope, api._match_route, api._invoke_lambda_proxy

    async def handled(name: str, stage: str, path: str, method: str, *more: Any) -> Any:
        return await handle(name, stage, path, method.lower() if method == "OPTIONS" else method, *more)

    async def invoked(integration: Any, name: str, stage: str, path: str, method: str, *more: Any, **named: Any) -> Any:
        return await invoke(integration, name, stage, path, method.upper(), *more, **named)

    api._handle_execute_in_scope = handled
    api._match_route = lambda name, method, path: match(name, method.upper(), path)
    api._invoke_lambda_proxy = invoked


def refer_to_secrets_by_arn() -> None:
    """In MiniStack's CloudFormation a reference to a secret is its name; on AWS it is its ARN, as a policy needs it."""
    from ministack.services.cloudformation import provisioners  # noqa: PLC0415

    handlers = provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::Secret"]
    create, update, delete = handlers["create"], handlers["update"], handlers["delete"]

    handlers["create"] = lambda *rest: _by_arn(create(*rest))
    handlers["update"] = lambda arn, *rest: _by_arn(update(_secret_name(arn), *rest))
    handlers["delete"] = lambda arn, *rest: delete(_secret_name(arn), *rest)


def _by_arn(made: tuple[str, dict[str, str]]) -> tuple[str, dict[str, str]]:
    return made[1]["Arn"], made[1]


def _secret_name(arn: str) -> str:
    """AWS puts a dash and six characters behind the name."""
    return arn.split(":", 6)[6].rsplit("-", 1)[0]


def record_calls(into: Path) -> None:
    """Writes down each call that a role makes, with the verdict, as MiniStack checks it against the role's policies."""
    from ministack.core import iam_evaluator  # noqa: PLC0415
    from ministack.services import sts  # noqa: PLC0415

    enforce: Enforce = iam_evaluator.enforce
    log = into.open("a", buffering=1, encoding="utf-8")

    def recorded(access_key: str, action: str, service: str, region: str, resource_arn: str = "*", **rest: Any) -> object:
        """In place of MiniStack's `enforce`: None if the call is allowed."""
        action = _IAM_NAMES.get(action, action)
        denied = enforce(access_key, action, service, region, resource_arn, **rest)
        session = sts._sessions.get(access_key)
        if session:
            role = session["Arn"].split("/")[1]
            call = {"at": time.time(), "role": role, "action": action, "resource": resource_arn, "allowed": denied is None}
            log.write(json.dumps(call) + "\n")
        return denied

    iam_evaluator.enforce = recorded


if __name__ == "__main__":
    main(Path(sys.argv.pop()))
