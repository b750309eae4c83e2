"""Asks the admin API: signed with AWS credentials, or with a bearer token where the deployment wants a JWT."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies
from pydantic import JsonValue

from cli.errors import BadInput, CommandError, Refused

Answer = dict[str, JsonValue]

_TIMEOUT = 35
"""Seconds: API Gateway gives up after 30."""

_BUSY_TRIES = 40


@dataclass(frozen=True)
class Deployment:
    """Where a deployment is. Without a URL it is found in the outputs of the CloudFormation stack."""

    session: boto3.Session = field(repr=False)
    stack: str
    url: str | None = None
    token: str | None = field(default=None, repr=False)

    def find_url(self) -> str:
        """The URL of the API, without a slash at its end. Raises CommandError if the stack cannot be read or has none."""
        if self.url:
            return self.url.rstrip("/")
        try:
            answer = self.session.client("cloudformation").describe_stacks(StackName=self.stack)
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"The stack {self.stack} cannot be read: {error}; name it with --stack, or use --url.") from None
        outputs = {output["OutputKey"]: output["OutputValue"] for output in answer["Stacks"][0].get("Outputs", [])}
        if "ApiUrl" not in outputs:
            raise CommandError(f"The stack {self.stack} has no output ApiUrl: is it a Sendbridge deployment?")
        return outputs["ApiUrl"].rstrip("/")


class Api:
    """The admin API of one deployment."""

    def __init__(self, deployment: Deployment, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._deployment, self._sleep = deployment, sleep
        self._base = deployment.find_url() + "/v1/admin"
        self._http = URLLib3Session(timeout=_TIMEOUT, proxies=get_environ_proxies(self._base))

    def get(self, *path: str, **query: str) -> Answer:
        """Reads. Raises Refused for a 4xx, CommandError for anything else that is no success."""
        return self._ask("GET", path, query)

    def post(self, *path: str, body: JsonValue) -> Answer:
        """Has something done; waits its turn like `put`."""
        return self._in_turn("POST", path, {}, body)

    def put(self, *path: str, body: JsonValue, **query: str) -> Answer:
        """Writes; waits its turn while somebody else is writing."""
        return self._in_turn("PUT", path, query, body)

    def delete(self, *path: str) -> Answer:
        """Deletes; waits its turn like `put`."""
        return self._in_turn("DELETE", path, {}, None)

    def _in_turn(self, method: str, path: tuple[str, ...], query: Mapping[str, str], body: JsonValue) -> Answer:
        for _ in range(_BUSY_TRIES):
            try:
                return self._ask(method, path, query, body)
            except Refused as error:
                if not error.busy:
                    raise
                busy = error
            self._sleep(1)
        raise busy

    def _ask(self, method: str, path: tuple[str, ...], query: Mapping[str, str], body: JsonValue = None) -> Answer:
        url = f"{self._base}/{'/'.join(quote(part, safe='') for part in path)}"
        if query:
            # As SigV4 wants it: sorted, and a space is %20.
            url += "?" + urlencode(sorted(query.items()), quote_via=quote)
        data = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        request = AWSRequest(method, url, {"content-type": "application/json"} if data else {}, data)
        self._authorise(request)
        try:
            answer = self._http.send(request.prepare())
        except BotoCoreError as error:
            raise CommandError(f"No answer from {self._base}: {error}") from None
        return _read(answer.status_code, answer.content, busy="retry-after" in answer.headers)

    def _authorise(self, request: AWSRequest) -> None:
        if self._deployment.token:
            request.headers["authorization"] = f"Bearer {self._deployment.token}"
            return
        session = self._deployment.session
        try:
            credentials = session.get_credentials()
        except BotoCoreError as error:
            raise CommandError(f"There are no AWS credentials: {error}") from None
        if credentials is None:
            raise CommandError("There are no AWS credentials: log in to AWS, or give a --token.")
        if not session.region_name:
            raise BadInput("Name the AWS region with --region or AWS_REGION.")
        SigV4Auth(credentials.get_frozen_credentials(), "execute-api", session.region_name).add_auth(request)


def _read(status: int, content: bytes, *, busy: bool = False) -> Answer:
    try:
        document = json.loads(content)
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    if 200 <= status < 300:
        return document
    said = str(document.get("detail") or document.get("message") or "no reason given")
    if status in (401, 403):
        raise CommandError(f"The deployment does not let you in (HTTP {status}): {said}")
    if 400 <= status < 500:
        faults = tuple((str(fault["field"]), str(fault["expected"])) for fault in document.get("errors", []))
        raise Refused(said, status, faults, busy=status == 409 and busy)
    raise CommandError(f"The deployment failed (HTTP {status}): {said}")
