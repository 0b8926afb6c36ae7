"""What a provider's own usage object says that changes the price: the tier that served, the place, the speed, searches; and
the cost itself, where the provider gives it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

LEAST, MOST = -30, 9
"""Powers of ten of a cost that can be: a number of a billion digits must not be written out."""
TELLING = (b"tier", b"_geo", b'"speed"', b"server_tool_use", b'"cost"', b"trafficType")


class Native(Struct, frozen=True):
    service_tier: Any = None
    inference_geo: Any = None
    speed: Any = None
    server_tool_use: Any = None
    cost: Any = None
    trafficType: Any = None

    @property
    def tier(self) -> str | None:
        found = self.service_tier if self.service_tier is not None else self.trafficType
        return found if isinstance(found, str) else None

    @property
    def words(self) -> list[str]:
        """What may multiply the price."""
        return [word for word in (self.inference_geo, self.speed) if isinstance(word, str)]

    @property
    def calls(self) -> dict[str, int]:
        searches = self.server_tool_use.get("web_search_requests") if isinstance(self.server_tool_use, dict) else None
        return {"web_search": searches} if isinstance(searches, int) and 0 < searches < 10**6 else {}

    @property
    def usd(self) -> Decimal | None:
        if not isinstance(self.cost, Decimal | int) or isinstance(self.cost, bool):
            return None
        usd = Decimal(self.cost)
        return usd if usd.is_finite() and usd >= 0 and LEAST <= usd.adjusted() <= MOST else None


NOTHING = Native()
_decoder = msgspec.json.Decoder(Native, float_hook=Decimal)


def read(native: bytes) -> Native:
    for word in TELLING:
        if word in native:
            break
    else:
        return NOTHING
    try:
        return _decoder.decode(native)
    except (msgspec.DecodeError, ArithmeticError, RecursionError):
        return NOTHING
