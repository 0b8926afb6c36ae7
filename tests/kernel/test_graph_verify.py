from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any

import pytest
from attrs import define
from routeiq_kernel.graph.verify import Attached, check, hooks, load, verify
from routeiq_sdk import STATE_STORE, Capability, GraphError, Manifest, hookimpl

MANIFEST = Manifest(name="mine", api="1.0", factory="somewhere:Mine")


class Good:
    def __init__(self, config: Any = None) -> None:
        self.config = config

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx) -> AsyncIterator[None]:
        yield

    @hookimpl
    async def on_complete(self, rc, outcome):
        pass

    @hookimpl
    async def authorize(self, request):
        pass

    @hookimpl
    def response_headers(self):
        pass

    def helper(self, anything=1):
        pass


def test_the_attached_hooks_come_in_the_order_of_the_specifications_with_their_arguments():
    assert verify(Good(), MANIFEST) == [
        Attached("lifespan", ("ctx",)),
        Attached("authorize", ("request",)),
        Attached("response_headers", ()),
        Attached("on_complete", ("rc", "outcome")),
    ]
    assert hooks(Good) == ["lifespan", "authorize", "response_headers", "on_complete"]


@define(eq=False)
class Slotted:
    words: tuple[str, ...] = ()

    @hookimpl
    async def authorize(self, request):
        pass


def test_an_attrs_class_without_eq_is_fine():
    assert verify(Slotted(), MANIFEST) == [Attached("authorize", ("request",))]


@define
class Comparable:
    @hookimpl
    async def authorize(self, request):
        pass


class Misspelt:
    @hookimpl
    async def autorize(self, request):
        pass


class WrongArgument:
    @hookimpl
    async def authorize(self, requset, rc):
        pass


class Default:
    @hookimpl
    async def authorize(self, request, rc=None):
        pass


class Star:
    @hookimpl
    async def authorize(self, *args, rc):
        pass


class NotAsync:
    @hookimpl
    def authorize(self, request):
        pass


class Async:
    @hookimpl
    async def on_stream_event(self, event):
        pass


class Generator:
    @hookimpl
    async def lifespan(self, ctx):
        yield


class Wrapper:
    @hookimpl(tryfirst=True)
    async def authorize(self, request):
        pass


class Unmarked:
    async def authorize(self, request):
        pass


class Property:
    @property
    def pool(self):
        raise RuntimeError("runs")


class Cached:
    @cached_property
    def pool(self):
        raise RuntimeError("runs")


class Looks:
    @hookimpl
    async def on_block(self, block):
        pass


@pytest.mark.parametrize(
    ("cls", "fields", "expected"),
    [
        (Comparable, {}, ["class Comparable: it defines __eq__, but plugins are compared by identity. With attrs write eq=False"]),
        (Misspelt, {}, ["hook autorize: no such hook; did you mean authorize?"]),
        (
            WrongArgument,
            {},
            ["hook authorize, argument requset: no such argument; the hook has request, rc; did you mean request?"],
        ),
        (Default, {}, ["hook authorize, argument rc: a default would hide that it is not passed. Remove the default"]),
        (
            Star,
            {},
            [
                "hook authorize, argument *args: only plain arguments are passed. Choose from request, rc",
                "hook authorize, argument rc: only plain arguments are passed. Choose from request, rc",
            ],
        ),
        (NotAsync, {}, ["hook authorize: it must be async. Write async def authorize"]),
        (
            Async,
            {"capabilities": [Capability.STREAM]},
            ["hook on_stream_event: it must not be async. Write def on_stream_event"],
        ),
        (Generator, {}, ["hook lifespan: it is an async generator. Put @asynccontextmanager under @hookimpl"]),
        (
            Wrapper,
            {},
            ["hook authorize: @hookimpl(tryfirst=...) has no effect here. Order plugins with after and before in the manifest"],
        ),
        (Unmarked, {}, ["method authorize: it has the name of a hook but no @hookimpl, so it would never be called. Mark or rename it"]),
        (Property, {}, ["attribute pool: a property runs when the plugin is inspected. Make it a method"]),
        (Cached, {}, ["attribute pool: a property runs when the plugin is inspected. Make it a method"]),
        (Looks, {}, ["hook on_block: it takes Capability.STREAM. Add it to the manifest's capabilities"]),
        (
            Good,
            {"provides": [STATE_STORE]},
            ["manifest: it provides state_store/1, but the plugin has no hook provide_services. Add it"],
        ),
    ],
)
def test_each_problem_names_plugin_and_hook_and_the_way_out(cls, fields, expected):
    manifest = Manifest(name="mine", api="1.0", factory="somewhere:Mine", **fields)
    with pytest.raises(GraphError) as caught:
        verify(cls(), manifest)
    assert caught.value.problems == tuple(f"plugin mine, {problem}" for problem in expected)


def test_a_check_imports_constructs_and_verifies(tmp_path, monkeypatch):
    (tmp_path / "verify_one.py").write_text(
        "from attrs import frozen\n"
        "from routeiq_sdk import hookimpl\n"
        "@frozen\n"
        "class Config:\n"
        "    limit: int = 3\n"
        "class Plugin:\n"
        "    def __init__(self, config):\n"
        "        self.limit = 10 // config.limit\n"
        "    @hookimpl\n"
        "    def on_attempt(self, attempt):\n"
        "        pass\n"
        "class Plain:\n"
        "    limit = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    manifest = Manifest(name="one", api="1.0", factory="verify_one:Plugin", config="verify_one:Config")
    assert check(manifest, lambda cls: cls()) == [Attached("on_attempt", ("attempt",))]
    with pytest.raises(GraphError, match=r"plugin one: constructing verify_one:Plugin failed: ZeroDivisionError: .* Constructors store"):
        check(manifest, lambda cls: cls(limit=0))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"factory": "verify_absent:Plugin"}, "importing its factory verify_absent:Plugin failed: ModuleNotFoundError"),
        ({"factory": "json:Absent"}, "importing its factory json:Absent failed: AttributeError"),
        ({"factory": "json"}, "factory='json': expected \"module:Class\""),
        ({"factory": "json:__name__"}, "factory json:__name__ cannot be called"),
        ({"config": "json:JSONDecoder"}, "config json:JSONDecoder is no attrs class"),
    ],
)
def test_references_that_do_not_lead_anywhere_are_named(fields, expected):
    with pytest.raises(GraphError) as caught:
        load(Manifest(**{"name": "mine", "api": "1.0", "factory": "json:JSONEncoder"} | fields))
    assert caught.value.problems[0].startswith("plugin mine: ")
    assert expected in caught.value.problems[0]
