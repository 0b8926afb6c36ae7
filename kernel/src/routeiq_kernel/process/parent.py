"""The parent: owns the listening socket, the configuration and control; starts, replaces and drains the workers.

Workers are forked, so they have the configuration and what it took to read it already. The fork happens between two runs of
the parent's event loop, never inside one: `supervise` runs the loop until a worker is wanted, forks, and runs it again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import NoReturn

from attrs import define, field
from routeiq_sdk import ConfigError

from ..config.kernel import Settings
from ..config.load import Document
from ..runtime.shared import Shared
from .control import open_control, socket_path
from .link import Link, Message
from .operations import operate, to_others
from .worker import EXIT_CONFIG, Seat, Work

log = logging.getLogger("routeiq.process")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
Report = Callable[[Message], None]
SHORT_LIFE_S = 5.0
MAX_BACKOFF_S = 30.0
KILL_AFTER_S = 20.0
"""Past the drain limit: last words of the streams, then the plugins' lifespans."""
LAST_WORDS_S = 1.0


@define(eq=False)
class Member:
    """One worker. `theirs` is its end of the link, until the fork."""

    index: int
    link: Link
    theirs: socket.socket
    reading: asyncio.Task[None]
    started_s: float = field(factory=monotonic)
    pid: int = 0
    ready: bool = False
    errors: tuple[str, ...] = ()

    def send_signal(self, number: signal.Signals) -> None:
        if self.pid:
            os.kill(self.pid, number)


class Parent:
    """`load` reads the configuration again; `report` is told, once, what the first ready worker says of itself."""

    def __init__(
        self, load: Callable[[], Document], document: Document, settings: Settings, listener: socket.socket, report: Report
    ) -> None:
        self.load, self.document, self.settings, self.listener = load, document, settings, listener
        self.port: int = listener.getsockname()[1]
        self.shared = Shared.create(settings.workers)
        self.members: dict[int, Member] = {}
        self.reloading, self.tasks = asyncio.Lock(), asyncio.TaskGroup()
        self.stopping = False
        self.started_s = monotonic()
        self._report, self._reported, self._accepted = report, False, False
        self._vacant: asyncio.Queue[int | None] = asyncio.Queue()
        self._ended = asyncio.Event()
        self._short_lives = 0
        self._quarantines: dict[tuple[str, str], Message] = {}
        """The last of each plugin and hook, for workers that start later."""
        self._code = 0
        self._control: asyncio.Server | None = None

    async def live(self) -> int:
        """From the first worker to the end of the last; the exit code."""
        actions = (self.stop, self.stop, lambda: self.tasks.create_task(self._hang_up()), self._reap)
        for number, action in zip(SIGNALS, actions, strict=True):
            asyncio.get_running_loop().add_signal_handler(number, action)
        path = socket_path(self.settings.state_dir, self.port)
        try:
            async with self.tasks:
                await self._open_control(path)
                if not self.stopping:
                    self._vacant.put_nowait(0)
                    await self._ended.wait()
        finally:
            if self._control is not None:
                self._control.close()
                path.unlink(missing_ok=True)
            self._vacant.put_nowait(None)
        return self._code

    async def _open_control(self, path: Path) -> None:
        try:
            self._control = await open_control(path, partial(operate, self))
        except ConfigError as error:
            self._give_up(error.problems, 1)
        except OSError as error:
            log.warning("no control socket at %s (%s): kernel reload, status and stop do not work, signals do", path, error)

    # workers

    async def vacancy(self) -> Member | None:
        """The next worker to fork, or None at the end. A reload sees all workers or none of a new one."""
        while (index := await self._vacant.get()) is not None:
            async with self.reloading:
                if not self.stopping:
                    return await self._seat(index)
        return None

    async def _seat(self, index: int) -> Member:
        ours, theirs = socket.socketpair()

        async def handle(message: Message) -> Message:
            return await self._told(member, message)

        link = await Link.open(ours, handle, self.tasks)
        member = Member(index, link, theirs, self.tasks.create_task(link.run()))
        self.members[index] = member
        return member

    def fork(self, member: Member, work: Work) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            pid = os.fork()
        except OSError as error:
            log.error("no worker could be started: %s", error.strerror)
            self._after_loss(member, 0.0)
        else:
            if pid == 0:
                self._become(member, work)
            member.pid = pid
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            member.theirs.close()
        if self.stopping:
            member.send_signal(signal.SIGTERM)

    def _become(self, member: Member, work: Work) -> NoReturn:
        """In the child: shed what is the parent's, serve, and never return into the parent's stack."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number, action in zip(SIGNALS, (signal.SIG_DFL, signal.SIG_IGN, signal.SIG_IGN, signal.SIG_DFL), strict=True):
                signal.signal(number, action)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            for fd in self._private():
                os.close(fd)
            code = work(Seat(member.index, self.document, self.settings, self.listener, self.shared.slot(member.index), member.theirs))
        finally:
            if sys.exc_info()[0] is not None:
                traceback.print_exc()
            with suppress(OSError, ValueError):
                sys.stdout.flush()
            logging.shutdown()
            os._exit(code)

    def _private(self) -> list[int]:
        """Descriptors that no worker may keep: a copy of another worker's link would hide the parent's death from that worker."""
        control = [sock.fileno() for sock in self._control.sockets] if self._control else []
        return [fd for fd in (*control, *(member.link.fileno() for member in self.members.values())) if fd >= 0]

    def _reap(self) -> None:
        """Whatever ended: as process 1 of a container the parent inherits strangers' children too."""
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                for member in self.members.values():
                    if member.pid == found[0]:
                        member.pid = 0
                        self.tasks.create_task(self._bury(member, found[0], os.waitstatus_to_exitcode(found[1])))

    async def _bury(self, member: Member, pid: int, code: int) -> None:
        await asyncio.wait((member.reading,), timeout=LAST_WORDS_S)
        member.reading.cancel()
        lived_s = monotonic() - member.started_s
        self.shared.clear(member.index)
        if self._reported and not self.stopping:
            facts = {"worker": pid, "exit_code": code, "lived_s": round(lived_s, 3), "errors": member.errors}
            log.error("worker ended, another takes its place", extra=facts)
        elif not self.stopping:
            unexplained = (f"the worker ended before it was ready (exit code {code})",)
            self._give_up(member.errors or unexplained, EXIT_CONFIG if member.errors else 1)
        self._after_loss(member, lived_s)

    def _after_loss(self, member: Member, lived_s: float) -> None:
        del self.members[member.index]
        if self.stopping:
            if not self.members:
                self._ended.set()
            return
        self._short_lives = self._short_lives + 1 if lived_s < SHORT_LIFE_S else 0
        delay_s = min(MAX_BACKOFF_S, 2.0**self._short_lives / 4) if self._short_lives else 0.0
        member.reading.get_loop().call_later(delay_s, self._vacant.put_nowait, member.index)

    # what workers, the control socket and signals say

    async def _told(self, member: Member, message: Message) -> Message:
        op = message["op"]
        if op == "failed":
            member.errors = tuple(message["errors"])
        elif op == "built":
            if not self._accepted:  # the others follow once one has shown that the configuration is good
                self._accepted = True
                for index in range(1, self.settings.workers):
                    self._vacant.put_nowait(index)
        elif op == "ready":
            self._welcome(member, message)
        elif op == "quarantine":
            self._quarantines[message["plugin"], message["hook"]] = message
            await to_others(self, member, message)
        elif op == "peers":
            return await to_others(self, member, message)
        else:
            return await operate(self, message)
        return {}

    def _welcome(self, member: Member, message: Message) -> None:
        member.ready = True
        for quarantine in self._quarantines.values():
            if quarantine["until"] > monotonic():
                member.link.tell(quarantine)
        if not self._reported:
            self._reported = True
            self._report(message)
        log.info("worker ready", extra={"worker": member.pid, "hash": message["hash"]})

    async def _hang_up(self) -> None:
        answer = await operate(self, {"op": "reload"})
        if answer["ok"]:
            log.info("reloaded", extra={"hash": answer["hash"], "notes": answer["notes"]})
        else:
            log.error("not reloaded: nothing has changed", extra={"errors": answer["errors"]})

    def stop(self) -> None:
        """Drain; the second time, end at once."""
        if self.stopping:
            self._code = 1
            self._kill()
            return
        self.stopping = True
        drain = self.settings.drain
        log.info("draining", extra={"limit_s": drain.timeout_s})
        for member in self.members.values():
            if member.ready:
                member.link.tell({"op": "drain"})
            else:
                member.send_signal(signal.SIGTERM)
        asyncio.get_running_loop().call_later(drain.delay_s + drain.timeout_s + KILL_AFTER_S, self._kill)
        if not self.members:
            self._ended.set()

    def _give_up(self, problems: tuple[str, ...], code: int) -> None:
        """The start has failed."""
        for problem in problems:
            print(f"error: {problem}", file=sys.stderr, flush=True)
        self._code, self.stopping = code, True
        self._kill()

    def _kill(self) -> None:
        for member in self.members.values():
            member.send_signal(signal.SIGKILL)


def supervise(parent: Parent, work: Work) -> int:
    """Runs the gateway in this process and its children; the exit code."""
    with asyncio.Runner() as runner:
        life = runner.get_loop().create_task(parent.live())
        while (member := runner.run(parent.vacancy())) is not None:
            parent.fork(member, work)
        return runner.get_loop().run_until_complete(life)
