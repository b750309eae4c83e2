"""What the sandboxes of ESPs share: what was taken, how often they were asked, and the faults that they can be told to show."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tests.sandbox.control import Sandbox, Settings, report
from tests.sandbox.faults import Fault


@dataclass(frozen=True)
class Taken:
    """One message that the vendor will deliver."""

    id: str
    to: str
    ours: str
    """Our message id, as found where the vendor keeps metadata; empty if there is none."""
    content: Mapping[str, object] = field(default_factory=dict)


class Refused(Exception):
    """What a sandbox raises to refuse a request: the answer."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


class VendorSandbox(Sandbox):
    """One ESP's sending endpoint. A subclass has `paths` (its targets are their values), `send` and `refusal`."""

    paths: ClassVar[Mapping[str, str]]
    """Path, as Starlette's routes have it → target. A path's fixed beginning decides."""

    def __init_subclass__(cls) -> None:
        cls.targets = frozenset(cls.paths.values())

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        self.forget()

    @classmethod
    def default_settings(cls) -> Settings:
        return Settings()

    def forget(self) -> None:
        self.taken: list[Taken] = []
        self.requests = 0

    def target_of(self, path: str) -> str | None:
        return next((target for start, target in self.paths.items() if path.startswith(start.partition("{")[0])), None)

    @abstractmethod
    async def send(self, request: Request) -> Response:
        """The vendor's answer to a request to send."""

    @abstractmethod
    def refusal(self, fault: Fault) -> Response: ...

    async def _send(self, request: Request) -> Response:
        self.requests += 1
        try:
            return await self.send(request)
        except Refused as refused:
            return refused.answer

    def routes(self) -> list[BaseRoute]:
        return [
            *(Route(path, self._send, methods=["POST", "PUT"]) for path in self.paths),
            report("taken", lambda _: [asdict(one) for one in self.taken]),
        ]

    def ours(self) -> list[str]:
        """Our ids of the messages taken, in their order."""
        return [one.ours for one in self.taken]
