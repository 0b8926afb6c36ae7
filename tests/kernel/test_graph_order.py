from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routeiq_kernel.graph.order import Edge, missing, order
from routeiq_sdk import CLOCK, HTTP_CLIENTS, STATE_STORE, GraphError, Manifest, ServiceKey

MISSING = "service state_store/1, required by a: no enabled plugin provides it. Enable one that does: "
CYCLE_FIX = "Drop one of these, or disable one of the plugins"


def plugin(name: str, **fields: Any) -> Manifest:
    return Manifest(**{"name": name, "api": "1.0", "factory": f"{name}:Plugin"} | fields)


def problems(*manifests: Manifest, **options: Any) -> Sequence[str]:
    with pytest.raises(GraphError) as caught:
        order(manifests, **options)
    return caught.value.problems


@pytest.mark.parametrize(
    ("manifests", "names"),
    [
        ([], ()),
        ([plugin("b"), plugin("a")], ("a", "b")),
        ([plugin("a", requires=[STATE_STORE]), plugin("z", provides=[STATE_STORE])], ("z", "a")),
        ([plugin("a", optional=[STATE_STORE]), plugin("z", provides=[STATE_STORE])], ("z", "a")),
        ([plugin("a", optional=[STATE_STORE])], ("a",)),
        ([plugin("a", requires=[CLOCK])], ("a",)),
        ([plugin("a", after=["z"]), plugin("z")], ("z", "a")),
        ([plugin("z", before=["a"]), plugin("a")], ("z", "a")),
        ([plugin("a", after=["absent"], before=["unknown"]), plugin("b")], ("a", "b")),
        ([plugin("a", after=["a"], provides=[STATE_STORE], requires=[STATE_STORE])], ("a",)),
        ([plugin("a", after=["y"]), plugin("b"), plugin("y"), plugin("z", before=["b"])], ("y", "a", "z", "b")),
    ],
)
def test_order_follows_services_then_after_and_before_then_names(manifests, names):
    assert order(manifests).names == names


def test_each_edge_has_its_reason():
    found = order(
        [plugin("provider_http", requires=[HTTP_CLIENTS], after=["x"]), plugin("http_client", provides=[HTTP_CLIENTS]), plugin("x")]
    )
    assert found.edges == (
        Edge("http_client", "provider_http", "http_client provides http_clients/1 to provider_http"),
        Edge("x", "provider_http", "provider_http says after x"),
    )


@pytest.mark.parametrize(
    ("manifests", "known", "disabled", "expected"),
    [
        (
            [plugin("a", requires=[STATE_STORE]), plugin("b", requires=[STATE_STORE])],
            [],
            (),
            "service state_store/1, required by a, b: no installed plugin provides it. Install one that does, or disable a, b",
        ),
        (
            [plugin("a", requires=[STATE_STORE])],
            [plugin("redis", provides=[STATE_STORE]), plugin("memory", provides=[STATE_STORE])],
            (),
            MISSING + "--plugins +memory or --plugins +redis",
        ),
        (
            [plugin("a", requires=[STATE_STORE])],
            [plugin("memory", provides=[STATE_STORE])],
            ("memory",),
            MISSING + "take memory out of ROUTEIQ_DISABLE",
        ),
        (
            [plugin("a", requires=[ServiceKey("state_store", 2)]), plugin("b", provides=[STATE_STORE])],
            [],
            (),
            "service state_store/2, required by a: b provides state_store/1, another major version. Upgrade the older of the two",
        ),
        (
            [plugin("a", provides=[STATE_STORE]), plugin("b", provides=[STATE_STORE])],
            [],
            (),
            "service state_store/1: a and b provide it, but a service has one provider. Disable b",
        ),
        (
            [plugin("a", provides=[CLOCK])],
            [],
            (),
            "service clock/1: the kernel and a provide it, but a service has one provider. Disable a",
        ),
        ([plugin("a", conflicts=["b"]), plugin("b", conflicts=["a"])], [], (), "a and b cannot run together, says b. Disable one of them"),
        (
            [plugin("a", api="2.0")],
            [],
            (),
            "plugin a is written for plugin API 2.0; this kernel has 1.0. Upgrade the kernel or disable the plugin",
        ),
        (
            [plugin("a", api="1.1")],
            [],
            (),
            "plugin a is written for plugin API 1.1; this kernel has 1.0. Upgrade the kernel or disable the plugin",
        ),
        (
            [plugin("a", api="0.9")],
            [],
            (),
            "plugin a is written for plugin API 0.9; this kernel has 1.0. Upgrade the plugin or disable the plugin",
        ),
        ([plugin("a", api="one")], [], (), "plugin a: api='one' is no version; write major.minor, such as api=\"1.0\""),
        ([plugin("a"), plugin("a")], [], (), "plugin a: enabled twice"),
        (
            [plugin("b", after=["a"], provides=[STATE_STORE]), plugin("c", requires=[STATE_STORE]), plugin("a", after=["c"])],
            [],
            (),
            "cycle a → b → c → a: b says after a; b provides state_store/1 to c; a says after c. " + CYCLE_FIX,
        ),
    ],
)
def test_each_problem_says_what_and_the_way_out(manifests, known, disabled, expected):
    assert problems(*manifests, known=known, disabled=disabled) == (expected,)


def test_all_problems_are_reported_together():
    found = problems(
        plugin("a", after=["b"]),
        plugin("b", after=["a"]),
        plugin("c", before=["d"], requires=[STATE_STORE]),
        plugin("d", before=["c"], api="9.0", conflicts=["a"]),
    )
    assert [line.partition(":")[0].partition(" is ")[0] for line in found] == [
        "plugin d",
        "service state_store/1, required by c",
        "a and d cannot run together, says d. Disable one of them",
        "cycle a → b → a",
        "cycle c → d → c",
    ]


def test_missing_names_the_first_plugin_that_needs_a_service():
    enabled = [plugin("b", requires=[STATE_STORE, CLOCK]), plugin("c", requires=[STATE_STORE, HTTP_CLIENTS])]
    assert missing(enabled) == {HTTP_CLIENTS: "c", STATE_STORE: "b"}


@st.composite
def dags(draw: st.DrawFn) -> list[Manifest]:
    """Plugins whose relations all point from a lower to a higher place in a hidden order."""
    names = draw(st.permutations([f"p{number}" for number in range(draw(st.integers(1, 9)))]))
    fields: dict[str, dict[str, list[Any]]] = {name: {"after": [], "before": [], "requires": [], "optional": []} for name in names}
    for high, name in enumerate(names):
        for low in names[:high]:
            kind = draw(st.sampled_from(["", "", "after", "before", "requires", "optional"]))
            if kind == "before":
                fields[low]["before"].append(name)
            elif kind:
                fields[name][kind].append(low if kind == "after" else ServiceKey(low))
    return [plugin(name, provides=[ServiceKey(name)], **fields[name]) for name in names]


@given(dags(), st.randoms())
def test_any_acyclic_set_is_ordered_along_its_edges_however_it_is_listed(manifests, random):
    found = order(manifests)
    assert sorted(found.names) == sorted(manifest.name for manifest in manifests)
    for edge in found.edges:
        assert found.names.index(edge.before) < found.names.index(edge.after)
    shuffled = list(manifests)
    random.shuffle(shuffled)
    assert order(shuffled) == found
