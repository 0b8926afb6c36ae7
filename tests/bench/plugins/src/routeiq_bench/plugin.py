"""Hooks that return None."""

from __future__ import annotations

from routeiq_sdk import Deny, Outcome, Request, RequestContext, hookimpl
from routeiq_sdk.stream import Event


class EventObserver:
    @hookimpl
    def on_stream_event(self, event: Event, rc: RequestContext) -> None:
        return None


class Bystander:
    @hookimpl
    async def authorize(self, request: Request, rc: RequestContext) -> Deny | None:
        return None

    @hookimpl
    async def on_complete(self, outcome: Outcome, rc: RequestContext) -> None:
        return None
