from routeiq_sdk import Deny
from routeiq_sdk.testing import FakeProvider, PluginContract, request

from acme_badwords.plugin import BadWords, Config


async def test_a_blocked_word_anywhere_in_the_text_is_denied():
    denial = await BadWords(Config(words=("fudge",))).authorize(request(text="Oh fudge!"))
    assert denial == Deny("badwords", "Request contains a blocked word.")


async def test_without_words_it_has_no_opinion():
    assert await BadWords(Config()).authorize(request(text="Oh fudge!")) is None


async def test_a_gateway_refuses_before_any_provider_is_called(gateway):
    fake = FakeProvider()
    config = {
        "model_list": [{"model_name": "m", "litellm_params": {"model": "fake/m"}}],
        "plugins": {"badwords": {"words": ["fudge"]}},
    }
    async with gateway(config, plugins=[(fake.manifest, fake)], selection="+badwords") as gw:
        refused = await gw.chat("Oh fudge!")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "badwords")
        assert fake.requests == []
        assert (await gw.chat("Oh dear!")).status_code == 200


class TestContract(PluginContract):
    plugin = "badwords"
    config = {"words": ["fudge"]}
