"""The guest agent: runs a model's code, and is the only thing inside a sandbox that the host believes.

One file of the standard library alone, so that it can be sent into any sandbox. It is PID 1 of its sandbox, or,
where there is no namespace of processes, the sub-reaper of everything started in it. It speaks over one stream
socket: frames of a 4-byte big-endian length and JSON. The host asks, the agent answers::

    {"op": "init", ...}                                        -> {"ready": true}
    {"op": "exec"|"shell"|"put"|"get"|"list"|"reset", "nonce"} -> {"nonce": the same, ...}

Python cells run in a *worker*, a fork that keeps the state of the session and is replaced when it dies. Worker and
agent speak over two pipes, every cell with the host's nonce. Code in the worker can reach those pipes, so "ok" and
"error" are what the cell says of itself; everything else (timeout, oom, crashed, output_limit, disk_limit,
protocol_error, byte counts, exit codes) the agent has seen.

A deadline is met in steps: SIGINT, which keeps the state; after ``GRACE_S`` SIGKILL for everything but the agent;
and the host kills the sandbox itself when no answer comes. The agent ends when the host's end of the socket does.
"""

from __future__ import annotations

import _ast
import base64
import gc
import json
import os
import resource
import select
import signal
import stat
import sys
import time
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NoReturn

Frame = dict[str, Any]

GRACE_S = 0.3
"""Seconds between the interrupt and the kill."""
KILL_S = 10.0
"""Seconds within which everything in a sandbox must be gone once that is wanted."""
SAMPLE_S = 0.05
"""Seconds between two looks at the memory, processes and files of a sandbox."""
RESULT_BYTES = 1 << 20
"""The longest frame that a worker may send."""
COMMAND_FD, RESULT_FD, HOST_FD, STAGING = 100, 101, 120, 130
"""Fixed descriptors: the worker's two, the agent's own, and where children sort theirs."""
MIB = 1 << 20


def prctl(option: int, value: int) -> None:
    """Linux's prctl; imported late because ctypes is slow to import."""
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def read_exactly(fd: int, size: int) -> bytes:
    """Read ``size`` bytes from a blocking descriptor; shorter at its end."""
    parts = bytearray()
    while len(parts) < size:
        piece = os.read(fd, min(size - len(parts), MIB))
        if not piece:
            break
        parts += piece
    return bytes(parts)


def read_frame(fd: int) -> Frame | None:
    """The next frame of a blocking descriptor, or None at its end."""
    head = read_exactly(fd, 4)
    body = read_exactly(fd, int.from_bytes(head, "big")) if len(head) == 4 else b""
    return json.loads(body) if body else None


def pack_frame(frame: Frame, dumps: Callable[[Frame], str] = json.dumps) -> bytes:
    """A frame as bytes."""
    body = dumps(frame).encode()
    return len(body).to_bytes(4, "big") + body


def write_all(fd: int, data: bytes, write: Callable[[int, bytes], int] = os.write) -> None:
    """Write everything to a blocking descriptor."""
    while data:
        data = data[write(fd, data[: 1 << 16]) :]


# ---------------------------------------------------------------- the worker: hostile from its first cell on


def run_cell(source: str, name: str, space: dict[str, Any]) -> None:
    """Run a cell; the value of its last line, if that is an expression, is printed as at a prompt."""
    tree: Any = compile(source, name, "exec", 0x400, True)  # 0x400: ast.PyCF_ONLY_AST
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], _ast.Expr) else None
    exec(compile(tree, name, "exec", dont_inherit=True), space)
    if last is not None:
        value = eval(compile(_ast.Expression(last.value), name, "eval", dont_inherit=True), space)
        if value is not None:
            space["_"] = value
            print(repr(value))


def clip(text: str, limit: int) -> str:
    """The start and the end of a text."""
    return text if len(text) <= limit else f"{text[: limit // 2]}\n... cut ...\n{text[-limit // 2 :]}"


def describe(error: BaseException, source: str, name: str) -> Frame:
    """Name, message and traceback of an exception, each bounded; survives exceptions that cannot be shown."""
    try:
        message = clip(str(error), 4000)
    except BaseException:
        message = "<the exception's text could not be made>"
    try:
        import linecache
        import traceback

        lines = source[: 1 << 20].splitlines(keepends=True)
        linecache.cache[name] = (len(source), None, lines, name)
        trail = error.__traceback__
        while trail and trail.tb_frame.f_code.co_filename != name:  # leave out the frames of this file
            trail = trail.tb_next
        if len(message) < 4000:
            text = "".join(traceback.format_exception(type(error), error, trail, limit=-30))
        else:
            text = "".join(traceback.format_tb(trail, limit=-30)) + f"{type(error).__name__}: {message}"
    except BaseException:
        text = f"{type(error).__name__}: {message}"
    return {"status": "error", "error": [type(error).__name__[:200], message, clip(text, 12000)]}


def attempt(source: str, name: str, space: dict[str, Any]) -> Frame:
    """Run a cell and say how it ended."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run_cell(source, name, space)
        outcome: Frame = {"status": "ok"}
    except SystemExit as error:
        code = error.code
        outcome = {"status": "exit", "exit_code": code if isinstance(code, int) else int(code is not None)}
    except BaseException as error:
        sys.settrace(None)
        outcome = describe(error, source, name)
    finally:
        sys.settrace(None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return outcome


def worker_loop() -> None:
    """Cells in, outcomes out, until the pipe ends. Keeps its own references: a cell may rebind anything."""
    dumps, getpid, leave, me = json.JSONEncoder().encode, os.getpid, os._exit, os.getpid()
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    count = 0
    while (frame := read_frame(COMMAND_FD)) is not None:
        count += 1
        outcome = attempt(frame["code"], f"<cell {count}>", main.__dict__)
        for stream in (sys.stdout, sys.stderr):
            with suppress(BaseException):
                stream.flush()
        if getpid() != me:  # the cell forked: only the worker itself may answer
            leave(0)
        write_all(RESULT_FD, pack_frame({"nonce": frame["nonce"], **outcome}, dumps))


def limit(which: int, value: int) -> None:
    """Lower a resource limit, soft and hard."""
    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def become_child(keep: dict[int, int], limits: Frame, confine: Callable[[], None] | None) -> None:
    """In a fresh fork: descriptors, session, limits. ``keep`` maps what is to be kept to its new number."""
    os.setsid()
    high = {os.dup2(old, STAGING + new, False): new for old, new in keep.items()}
    for source, target in high.items():
        os.dup2(source, target, target < 3)
    os.closerange(3, COMMAND_FD)
    os.closerange(RESULT_FD + 1, 4096)
    if COMMAND_FD not in keep.values():
        os.closerange(COMMAND_FD, RESULT_FD + 1)
    for number in range(1, signal.NSIG):
        if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
            signal.signal(number, signal.SIG_DFL)
    prctl(4, 1)  # PR_SET_DUMPABLE, which the agent switched off for itself
    prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
    prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    os.nice(limits["nice"])
    if confine:
        confine()
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_DATA, limits["memory_mb"] * MIB)
    limit(resource.RLIMIT_FSIZE, limits["max_file_mb"] * MIB)
    limit(resource.RLIMIT_NOFILE, 512)
    limit(resource.RLIMIT_NPROC, limits["nproc"])
    limit(resource.RLIMIT_MEMLOCK, 65536)


def worker_main(keep: dict[int, int], limits: Frame, confine: Callable[[], None] | None) -> NoReturn:
    """The life of a worker."""
    try:
        become_child(keep, limits, confine)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file over the limit is an OSError, not the end
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stdin = open(0, closefd=False)
        sys.stdout = open(1, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
        sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
        gc.unfreeze()
        worker_loop()
    finally:
        os._exit(70)


def shell_main(command: str, cwd: str, keep: dict[int, int], limits: Frame, confine: Any) -> NoReturn:
    """Become ``sh -c command``."""
    try:
        become_child(keep, limits, confine)
        os.chdir(cwd)
        os.execv("/bin/sh", ["sh", "-c", command])
    except OSError as error:
        os.write(2, f"{error}\n".encode())
    finally:
        os._exit(127)


# ---------------------------------------------------------------- the agent


def pidfd(pid: int) -> int:
    """A descriptor that is ready when a child has ended; -1 where the kernel (gVisor) has none."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return -1


def ended(pid: int) -> bool:
    """Whether a child has ended and waits to be collected."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


class Output:
    """What a stream said: its first and its last bytes, and how many there were."""

    def __init__(self, cap: int) -> None:
        self.cap, self.total = cap, 0
        self.head, self.tail = bytearray(), bytearray()

    def add(self, data: bytes) -> None:
        """Count and keep."""
        self.total += len(data)
        room = max(self.cap // 2 - len(self.head), 0)
        self.head += data[:room]
        self.tail += data[room:]
        if len(self.tail) > 2 * self.cap:
            del self.tail[: -self.cap]

    def text(self) -> str:
        """At most ``cap`` bytes of it, with a line where bytes were left out."""
        keep = self.cap - self.cap // 2
        lost = self.total - len(self.head) - min(len(self.tail), keep)
        tail = self.tail[-keep:] if keep else b""
        if not lost:
            return (self.head + tail).decode("utf-8", "replace")
        gap = f"\n... {lost} bytes left out ...\n"
        return self.head.decode("utf-8", "replace") + gap + tail.decode("utf-8", "replace")


def processes() -> Iterator[tuple[int, int]]:
    """Every process that can be seen, with its parent."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    yield int(name), int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue


def resident(pid: int) -> int:
    """Bytes of anonymous and shared memory of a process; what forks share counts for each of them."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith((b"RssAnon:", b"RssShmem:")))
    except OSError:
        return 0


def proportional(pid: int) -> int:
    """The same with what is shared divided among those who share it; waits while the process forks."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith((b"Pss_Anon:", b"Pss_Shmem:")))
    except OSError:  # gone, or it hides itself: then the plain count stands
        return resident(pid)


def together(pids: list[int], patience: float = 0.25) -> int:
    """Memory of processes together, exactly where it can be known within ``patience`` seconds.

    A process that forks without end can hold up who asks for its proportional size, so that another one asks.
    """
    plain = sum(map(resident, pids))
    back, forth = os.pipe()
    try:
        child = os.fork()
    except OSError:
        child = -1
    if not child:
        os.write(forth, sum(map(proportional, pids)).to_bytes(8, "big"))
        os._exit(0)
    os.close(forth)
    try:
        if child < 0 or not select.select([back], [], [], patience)[0]:
            return plain
        answer = os.read(back, 8)
        return int.from_bytes(answer, "big") if len(answer) == 8 else plain
    finally:
        os.close(back)
        if child > 0:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


class Run:
    """One cell or command under way: what is read from it, and how it ended."""

    def __init__(self, pid: int, timeout: float, cap: int) -> None:
        self.pid = pid
        self.start = time.monotonic()
        self.deadline = self.start + timeout
        self.out, self.err = Output(cap), Output(cap)
        self.result = bytearray()
        self.verdict = ""
        """Why the agent ended it: a status, or empty."""
        self.interrupted = False


class Agent:
    """Serves one host over a descriptor to read from and one to write to, which may be the same."""

    def __init__(self, fd: int, out: int, confine: Callable[[], None] | None = None) -> None:
        self.fd = fd
        self.out = out
        self.confine = confine
        """Run in every child before the model's code."""
        self.is_init = os.getpid() == 1
        self.worker = 0
        self.pipes: dict[str, int] = {}
        self.dead: dict[int, int] = {}
        """Exit status of the children that were reaped."""
        self.limits: Frame = {}
        self.work = ""

    def serve(self) -> None:
        """Answer until the host leaves."""
        while (frame := self.next_frame()) is not None:
            try:
                answer: Frame = getattr(self, f"op_{frame['op']}")(frame)
            except OSError as error:
                answer = {"refused": f"{error.strerror or error}"}
            except UnicodeError:  # half of a surrogate pair
                answer = {"refused": "it cannot be written in UTF-8"}
            write_all(self.out, pack_frame({"nonce": frame.get("nonce"), **answer}))

    def next_frame(self) -> Frame | None:
        """Wait for the host; meanwhile the limits hold for what earlier cells left running."""
        poller = select.poll()
        poller.register(self.fd, select.POLLIN)
        pause = 200
        while not poller.poll(pause):
            self.reap()
            busy = bool(self.limits) and any(True for _ in self.others(self.worker))
            if busy and self.over_limit():
                self.kill_everything()
            pause = 200 if busy else 5000
        return read_frame(self.fd)

    def op_init(self, frame: Frame) -> Frame:
        """Take the limits, the environment and the folder; import what is to be ready; start the worker."""
        self.limits, self.work = frame["limits"], frame["work"]
        os.environ.clear()
        os.environ.update(frame["env"])
        os.makedirs(os.path.join(self.work, "tmp"), exist_ok=True)
        os.chdir(self.work)
        sys.path[:] = [self.work, *[p for p in sys.path if p.startswith(sys.base_prefix)], *frame["paths"]]
        for name in frame["preload"]:
            __import__(name)
        import tokenize  # noqa: F401 - what a first traceback would import, while nobody waits
        import traceback  # noqa: F401

        gc.freeze()
        self.limits["nproc"] += frame["nproc_base"]  # what the limit of this user counts besides
        self.start_worker()
        return {"ready": True}

    def start_worker(self) -> None:
        """Fork a worker with four fresh pipes."""
        for fd in self.pipes.values():
            os.close(fd)
        ends = {name: os.pipe() for name in ("command", "result", "out", "err")}
        mine = {name: end[1 if name == "command" else 0] for name, end in ends.items()}
        theirs = {name: end[0 if name == "command" else 1] for name, end in ends.items()}
        keep = {self.null(): 0, theirs["out"]: 1, theirs["err"]: 2}
        keep |= {theirs["command"]: COMMAND_FD, theirs["result"]: RESULT_FD}
        self.worker = os.fork()
        if not self.worker:
            worker_main(keep, self.limits, self.confine)
        for fd in theirs.values():
            os.close(fd)
        for fd in mine.values():
            os.set_blocking(fd, False)
        self.pipes = mine

    def null(self) -> int:
        """A descriptor of /dev/null, opened once."""
        if "null" not in self.__dict__:
            self.__dict__["null_fd"] = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
            self.null = lambda: self.__dict__["null_fd"]  # type: ignore[method-assign]
        return int(self.__dict__["null_fd"])

    # -- running

    def op_exec(self, frame: Frame) -> Frame:
        """Run a Python cell in the worker."""
        self.reap()
        if self.worker in self.dead:
            self.start_worker()
        for name in ("out", "err"):
            self.drain(self.pipes[name], None)  # what a thread of an earlier cell printed
        run = Run(self.worker, frame["timeout"], frame["max_output"])
        feed = pack_frame({"nonce": frame["nonce"], "code": frame["code"]})
        self.supervise(run, self.pipes, feed, soft=True)
        return self.finish(run, frame["nonce"], python=True)

    def op_shell(self, frame: Frame) -> Frame:
        """Run a command of the shell, in a process of its own."""
        ends = {name: os.pipe() for name in ("command", "out", "err")}
        keep = {ends["command"][0]: 0, ends["out"][1]: 1, ends["err"][1]: 2}
        cwd = os.path.join(self.work, frame["cwd"])
        pid = os.fork()
        if not pid:
            shell_main(frame["command"], cwd, keep, self.limits, self.confine)
        for fd in keep:
            os.close(fd)
        pipes = {"command": ends["command"][1], "out": ends["out"][0], "err": ends["err"][0]}
        for fd in pipes.values():
            os.set_blocking(fd, False)
        run = Run(pid, frame["timeout"], frame["max_output"])
        self.supervise(run, pipes, base64.b64decode(frame["stdin"]), soft=False)
        for fd in pipes.values():
            os.close(fd)
        return self.finish(run, frame["nonce"], python=False)

    def supervise(self, run: Run, pipes: dict[str, int], feed: bytes, soft: bool) -> None:
        """Read what a run says until it answers, ends, or breaks a limit."""
        watch = pidfd(run.pid)
        poller = select.poll()
        poller.register(self.fd, select.POLLRDHUP)
        if watch >= 0:
            poller.register(watch, select.POLLIN)
        for name, fd in pipes.items():
            poller.register(fd, select.POLLOUT if name == "command" else select.POLLIN)
        sample = run.start + SAMPLE_S
        try:
            while not run.verdict:
                now = time.monotonic()
                if now >= run.deadline and self.out_of_time(run, soft):
                    break
                if now >= sample:
                    run.verdict = self.over_limit()
                    sample = time.monotonic() + SAMPLE_S
                pause = max(min(run.deadline, sample) - time.monotonic(), 0) if watch >= 0 else 0.005
                ready = dict(poller.poll(pause * 1000 + 1))
                if self.fd in ready:
                    self.end()
                feed = self.feed(poller, pipes, ready, feed, keep_open=soft)
                if self.listen(run, pipes, ready) or watch in ready or (watch < 0 and ended(run.pid)):
                    break
        finally:
            if watch >= 0:
                os.close(watch)
        for name, sink in (("out", run.out), ("err", run.err)):
            self.drain(pipes[name], sink)
        if run.verdict in ("oom", "disk_limit", "output_limit", "timeout", "protocol_error"):
            self.kill_everything()

    def feed(self, poller: Any, pipes: dict[str, int], ready: dict[int, int], feed: bytes, keep_open: bool) -> bytes:
        """Write the next piece of the input; an input that ends is closed for a command."""
        fd = pipes.get("command", -1)
        if fd not in ready:
            return feed
        try:
            feed = feed[os.write(fd, feed[: 1 << 16]) :] if feed else b""
        except BlockingIOError:
            return feed
        except OSError:
            feed = b""
        if not feed:
            poller.unregister(fd)
            if not keep_open:
                os.close(fd)
                del pipes["command"]
        return feed

    def listen(self, run: Run, pipes: dict[str, int], ready: dict[int, int]) -> bool:
        """Read what is there; True once the worker's answer is whole."""
        for name, sink in (("out", run.out), ("err", run.err)):
            if pipes[name] in ready:
                data = self.read_some(pipes[name])
                sink.add(data)
                if not data and ready[pipes[name]] & select.POLLHUP:
                    time.sleep(0.001)  # a closed stream is always ready; do not spin on it
        if run.out.total + run.err.total > self.limits["output_mb"] * MIB:
            run.verdict = "output_limit"
        if "result" not in pipes or pipes["result"] not in ready:
            return False
        data = self.read_some(pipes["result"])
        run.result += data
        size = int.from_bytes(run.result[:4], "big") if len(run.result) >= 4 else 0
        if size > RESULT_BYTES or len(run.result) > size + 4 > 4:
            run.verdict = "protocol_error"
        return len(run.result) == size + 4 > 4 or not data

    def out_of_time(self, run: Run, soft: bool) -> bool:
        """First interrupt, then (True) give up."""
        if soft and not run.interrupted:
            run.interrupted = True
            run.deadline = time.monotonic() + GRACE_S
            os.kill(run.pid, signal.SIGINT)
            return False
        run.verdict = "timeout"
        return True

    def finish(self, run: Run, nonce: str, python: bool) -> Frame:
        """The answer to the host."""
        wall = time.monotonic() - run.start
        answer: Frame = {"status": "crashed", "exit_code": None, "signal": None, "error": None}
        ended = self.wait_for(run.pid, 0.2 if not run.result else 0) if not run.verdict or not python else None
        if run.verdict:
            answer["status"] = run.verdict
        elif ended is None:
            answer |= self.parse(run, nonce)
        else:
            self.explain(answer, ended, python)
        if run.interrupted:
            answer |= {"status": "timeout", "error": None}
            self.kill(*self.others(self.worker))
        if answer["status"] == "protocol_error":
            self.kill_everything()
        self.reap()
        answer["reset"] = python and self.worker in self.dead
        totals = [run.out.total, run.err.total]
        cut = run.out.total > run.out.cap or run.err.total > run.err.cap
        answer |= {"stdout": run.out.text(), "stderr": run.err.text(), "bytes": totals, "truncated": cut}
        return answer | {"wall_s": wall}

    def explain(self, answer: Frame, ended: int, python: bool) -> None:
        """Fill in how a process ended."""
        if os.WIFSIGNALED(ended):
            answer["signal"] = os.WTERMSIG(ended)
        else:
            answer["exit_code"] = os.WEXITSTATUS(ended)
        if not python and not os.WIFSIGNALED(ended):
            answer["status"] = "exit" if answer["exit_code"] else "ok"

    def parse(self, run: Run, nonce: str) -> Frame:
        """The worker's own word, if it is well formed and about this cell."""
        try:
            said = json.loads(bytes(run.result[4:]))
            if said["nonce"] != nonce or self.read_some(self.pipes["result"]):
                return {"status": "protocol_error"}
            error = [str(part) for part in said["error"]][:3] if said["status"] == "error" else None
            code = int(said["exit_code"]) if said["status"] == "exit" else None
            status = said["status"] if said["status"] in ("ok", "error", "exit") else "protocol_error"
            return {"status": status, "error": error, "exit_code": code}
        except (ValueError, TypeError, KeyError, RecursionError):
            return {"status": "protocol_error"}

    def read_some(self, fd: int) -> bytes:
        """What a non-blocking descriptor has, at most 1 MiB."""
        try:
            return os.read(fd, MIB)
        except BlockingIOError:
            return b""

    def drain(self, fd: int, sink: Output | None) -> None:
        """Take what is there now, and no more than 64 MiB of it."""
        for _ in range(64):
            data = self.read_some(fd)
            if sink:
                sink.add(data)
            if len(data) < 65536:
                return

    # -- limits and processes

    def others(self, *spared: int) -> Iterator[int]:
        """The sandbox's processes without the agent and the spared."""
        me = os.getpid()
        table = dict(processes())
        for pid in table:
            parent = pid
            while not self.is_init and parent not in (0, 1, me):
                parent = table.get(parent, 0)
            if pid != me and pid not in spared and (self.is_init or parent == me):
                yield pid

    def over_limit(self) -> str:
        """The status that says which limit is broken, or nothing."""
        pids = list(self.others())
        allowed = self.limits["memory_mb"] * MIB
        if sum(map(resident, pids)) > allowed and together(pids) > allowed:
            return "oom"
        if len(pids) > self.limits["pids"] + 1:
            return "oom"
        used, files = self.disk()
        full = used > self.limits["disk_mb"] * MIB or files > self.limits["inodes"]
        return "disk_limit" if full else ""

    def disk(self) -> tuple[int, int]:
        """Bytes and entries in the work folder, which is its own file system where the agent is PID 1."""
        if self.is_init:
            state = os.statvfs(self.work)
            return 0, state.f_files - state.f_ffree
        used = files = 0
        for _, _, names, folder in os.fwalk(self.work):
            files += 1 + len(names)
            for name in names:
                try:
                    used += os.stat(name, dir_fd=folder, follow_symlinks=False).st_blocks * 512
                except OSError:
                    continue
            if files > self.limits["inodes"]:
                break
        return used, files

    def kill(self, *pids: int) -> None:
        """SIGKILL, for those that are still there."""
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue

    def kill_everything(self) -> None:
        """Leave no process of the sandbox but the agent. Repeats: a process may fork while it is looked for."""
        deadline = time.monotonic() + KILL_S
        if not self.is_init:
            self.stop_everything(deadline)
        while time.monotonic() < deadline:
            if self.is_init:
                self.kill(-1)  # at once: a look around takes long where many others run
            left = list(self.others())
            self.kill(*left)
            self.reap()
            if not left:
                return
            time.sleep(0.001)

    def stop_everything(self, deadline: float) -> None:
        """Stop before killing: the stopped still count for the limit, so that a fork bomb runs out of room."""
        stopped: set[int] = set()
        while time.monotonic() < deadline and (new := set(self.others()) - stopped):
            for pid in new:
                with suppress(OSError):
                    os.kill(pid, signal.SIGSTOP)
            stopped |= new

    def reap(self) -> None:
        """Collect the children that have ended; orphans are ours too."""
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self.dead[ended[0]] = ended[1]
        except ChildProcessError:
            pass
        if len(self.dead) > 1000:
            self.dead = {pid: status for pid, status in self.dead.items() if pid == self.worker}

    def wait_for(self, pid: int, patience: float) -> int | None:
        """Exit status of a child; None if it lives on."""
        deadline = time.monotonic() + patience
        self.reap()
        while pid not in self.dead and time.monotonic() < deadline:
            time.sleep(0.002)
            self.reap()
        return self.dead.get(pid)

    def end(self, *_: Any) -> NoReturn:
        """The host is gone: take everything along."""
        self.kill_everything()
        os._exit(0)

    # -- files: opened part by part, no link followed, nothing but regular files

    def open_below(self, path: str, flags: int, make: bool = False) -> int:
        """Open ``path`` inside the work folder. Raises PermissionError for paths that would leave it."""
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if path.startswith("/") or ".." in parts or "\0" in path or not parts:
            raise PermissionError(0, "a path must be relative, inside the work folder, and without '..'")
        folder = os.open(self.work, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in parts[:-1]:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=folder)
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = inner
            extra = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            fd = os.open(parts[-1], flags | extra, 0o644, dir_fd=folder)
        finally:
            os.close(folder)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise PermissionError(0, "not a regular file")
        return fd

    def op_put(self, frame: Frame) -> Frame:
        """Write a file whole."""
        data = base64.b64decode(frame["data"])
        if len(data) > self.limits["max_file_mb"] * MIB:
            raise OSError(0, f"longer than max_file_mb={self.limits['max_file_mb']}")
        fd = self.open_below(frame["path"], os.O_WRONLY | os.O_CREAT, make=True)
        try:
            os.ftruncate(fd, 0)
            write_all(fd, data)
        finally:
            os.close(fd)
        return {}

    def op_get(self, frame: Frame) -> Frame:
        """Read a file, refused when it is longer than ``max_bytes``."""
        fd = self.open_below(frame["path"], os.O_RDONLY)
        try:
            size = os.fstat(fd).st_size
            if size > frame["max_bytes"]:
                raise OSError(0, f"{size} bytes, more than max_bytes={frame['max_bytes']}")
            data = read_exactly(fd, frame["max_bytes"])
        finally:
            os.close(fd)
        return {"data": base64.b64encode(data).decode()}

    def op_list(self, frame: Frame) -> Frame:
        """Regular files below the work folder with their sizes, at most ``inodes`` of them."""
        found: dict[str, int] = {}
        for base, _, names, folder in os.fwalk(self.work):
            for name in names:
                path = os.path.relpath(os.path.join(base, name), self.work)
                try:
                    state = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    path.encode()
                except (OSError, UnicodeEncodeError):
                    continue
                if stat.S_ISREG(state.st_mode) and len(found) < self.limits["inodes"]:
                    found[path] = state.st_size
        return {"files": found}

    def op_reset(self, frame: Frame) -> Frame:
        """End all processes, empty the work folder, start a new worker."""
        self.kill_everything()
        self.empty()
        os.makedirs(os.path.join(self.work, "tmp"), exist_ok=True)
        self.start_worker()
        return {}

    def empty(self) -> None:
        """Remove what is in every folder that can be written; nothing else runs at this moment."""
        shared = ("/tmp", "/dev/shm") if self.is_init else ()  # elsewhere these are the host's, and closed
        places = [place for place in shared if os.access(place, os.W_OK) and not os.path.islink(place)]
        for place in (self.work, *places):
            for _, folders, _, folder in os.fwalk(place):
                for name in folders:
                    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
                        os.chmod(name, 0o700, dir_fd=folder)
            for _, folders, names, folder in os.fwalk(place, topdown=False):
                for name in (*names, *folders):
                    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    if found.st_uid == os.geteuid():
                        (os.rmdir if stat.S_ISDIR(found.st_mode) else os.unlink)(name, dir_fd=folder)


def main(fd: int, confine: Callable[[], None] | None = None, out: int | None = None) -> NoReturn:
    """Serve the host that speaks on ``fd`` and listens on ``out`` (the same, if not given); never returns."""
    try:
        prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
        prctl(4, 0)  # PR_SET_DUMPABLE: closes /proc/PID/{mem,fd,environ} and ptrace to the worker
        ends = os.dup2(fd, HOST_FD, False), os.dup2(fd if out is None else out, HOST_FD + 1, False)
        null = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.closerange(3, HOST_FD)
        os.closerange(HOST_FD + 2, 4096)
        agent = Agent(*ends, confine)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # PID 1 takes none from inside
            signal.signal(number, signal.SIG_IGN if agent.is_init else agent.end)
        agent.serve()
        agent.end()
    finally:
        os._exit(71)


if __name__ == "__main__":
    main(0)
