from __future__ import annotations

import os

from routeiq_kernel.runtime.shared import Shared


def test_the_limit_is_exact_over_all_slots() -> None:
    shared = Shared.create(3)
    slots = [shared.slot(index) for index in range(3)]
    assert [slots[number % 3].admit(4) for number in range(6)] == [True] * 4 + [False] * 2
    slots[1].release()
    assert slots[2].admit(4) and not slots[0].admit(4)
    assert shared.in_flight() == 4


def test_without_a_limit_everything_is_admitted_and_counted() -> None:
    shared = Shared.create(1)
    assert all(shared.admit(0) for _ in range(1000))
    assert shared.in_flight() == 1000


def test_one_worker_needs_no_lock_and_keeps_its_limit() -> None:
    shared = Shared.create(1)
    assert [shared.admit(2) for _ in range(3)] == [True, True, False]


def test_clearing_a_dead_workers_slot_frees_its_places_only() -> None:
    shared = Shared.create(2)
    dead, alive = shared.slot(0), shared.slot(1)
    assert dead.admit(3) and dead.admit(3) and alive.admit(3) and not alive.admit(3)
    shared.clear(0)
    assert shared.in_flight() == 1
    assert alive.admit(3) and alive.admit(3) and not alive.admit(3)


def test_processes_that_race_never_pass_the_limit_together() -> None:
    shared, workers, limit = Shared.create(4), 4, 1000
    children = []
    for index in range(workers):
        pid = os.fork()
        if pid == 0:
            slot = shared.slot(index)
            os._exit(sum(slot.admit(limit) for _ in range(limit)) == 0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    assert shared.in_flight() == limit
