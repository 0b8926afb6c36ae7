from attrs import frozen
from routeiq_sdk import Deny, hookimpl


@frozen
class Config:
    words: tuple[str, ...] = ()


class BadWords:
    def __init__(self, config: Config) -> None:
        self.words = config.words

    @hookimpl
    async def authorize(self, request):
        if any(word in request.text() for word in self.words):
            return Deny("badwords", "Request contains a blocked word.")
