"""The launcher: a small process beside the trainer that starts sandboxes and takes them down; standard library alone.

The trainer is large and has threads, so it never forks. It sends a request with two descriptors; this process forks.
For the tier ``landlock`` the fork itself becomes the guest agent: the launcher is a fork server with the agent
loaded. For ``namespace`` the fork becomes bubblewrap, with the user id dropped first when the launcher is root:
bubblewrap run by root keeps the kernel's idea of uid 0, and /proc/sys could be written.

Nothing outlives it: sandboxes die with their launcher (PR_SET_PDEATHSIG), and the launcher ends, after clearing up,
when the trainer's end of its socket does. Each sandbox also has a *lease*, a socket whose other end the trainer
holds: closing it ends the sandbox; the launcher closes its own end when everything is gone.
"""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import signal
import socket
import sys
import time
from typing import Any, NamedTuple

from agentrl.sandboxes import guest, landlock, seccomp

FIRST_UID = 1_000_000_000
"""Sandboxes of a root launcher run as FIRST_UID + 1024 * (its pid % 2**21) + slot: nobody else's."""
SLOTS = 1024
READABLE = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
ETC = {
    "/etc/passwd": "root:x:0:0::/:/bin/sh\nsandbox:x:1000:1000::/sandbox:/bin/sh\n",
    "/etc/group": "root:x:0:\nsandbox:x:1000:\n",
    "/etc/hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "/etc/resolv.conf": "",
}
GUEST_PATH = "/run/guest.pyc"


class Child(NamedTuple):
    """A running sandbox."""

    pid: int
    slot: int
    lease: socket.socket
    errors: int
    """Descriptor of a file in memory: what was said before the agent took over."""
    folder: str
    """Work folder on the host, or empty."""


def memory_file(name: str, data: bytes, flags: int = 0) -> int:
    """A descriptor that reads ``data`` from its start; inherited unless ``flags`` say otherwise."""
    fd = os.memfd_create(name, flags)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def compiled_guest() -> bytes:
    """The guest agent as the content of a .pyc file of this interpreter."""
    import importlib.util
    import marshal

    with open(guest.__file__, "rb") as file:
        code = compile(file.read(), "guest.py", "exec", dont_inherit=True)
    return importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code)


def reachable(path: str) -> bool:
    """Whether any user can read ``path``: every folder on the way is open to all."""
    path = os.path.realpath(path)
    while path != "/":
        if os.stat(path).st_mode & 0o5 != 0o5:
            return False
        path = os.path.dirname(path)
    return True


class Launcher:
    """Serves one trainer."""

    def __init__(self, control: socket.socket, setup: dict[str, Any]) -> None:
        self.control = control
        self.root = os.geteuid() == 0
        self.tier: str = setup["tier"]
        self.bwrap: str = setup["bwrap"]
        self.python: str = setup["python"]
        self.folder: str = setup["folder"]
        self.paths: list[str] = setup["paths"]
        """Folders of the interpreter and its packages, readable in the sandbox under the same names."""
        self.children: dict[int, Child] = {}
        self.guest = compiled_guest()
        self.filter = b"" if self.tier == "none" else seccomp.program(strict=self.tier == "landlock")
        guest.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: what loses its agent comes here

    def serve(self) -> None:
        """Start and clear up until the trainer is gone."""
        wake, signal_end = os.pipe()
        for fd in (wake, signal_end):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(signal_end, warn_on_full_buffer=False)
        while True:
            leases = {child.lease.fileno(): child for child in self.children.values()}
            poller = select.poll()
            for fd in (self.control.fileno(), wake, *leases):
                poller.register(fd, select.POLLIN | select.POLLHUP)
            for fd, _ in poller.poll():
                if fd == wake:
                    os.read(wake, 4096)
                    self.reap()
                elif fd == self.control.fileno():
                    if not self.take_request():
                        return
                elif fd in leases:
                    self.stop(leases[fd])

    def take_request(self) -> bool:
        """One request from the trainer; False when it has left."""
        data, fds, _, _ = socket.recv_fds(self.control, 1 << 16, 2)
        if not data:
            return False
        channel, lease = fds[0], socket.socket(fileno=fds[1])
        used = {child.slot for child in self.children.values()}
        slot = next((n for n in range(SLOTS) if n not in used), None)
        if slot is None:
            self.tell(lease, {"error": f"more than {SLOTS} sandboxes of one launcher"})
            lease.close()
        else:
            self.start(json.loads(data), channel, lease, slot)
        os.close(channel)
        return True

    def start(self, request: dict[str, Any], channel: int, lease: socket.socket, slot: int) -> None:
        """Fork a sandbox."""
        errors = memory_file("errors", b"", os.MFD_CLOEXEC)
        uid = FIRST_UID + os.getpid() % (1 << 21) * SLOTS + slot if self.root else os.getuid()
        folder = ""
        if self.tier != "namespace":
            folder = os.path.join(self.folder, f"work-{slot}-{time.monotonic_ns()}")
            os.mkdir(folder, 0o700)
            os.chown(folder, uid, uid if self.root else -1)
        base = 0 if self.root or self.tier == "namespace" else tasks_of(uid)
        pid = os.fork()
        if not pid:
            try:
                self.become(request, channel, errors, uid, folder)
            except BaseException as error:
                os.write(errors, f"{type(error).__name__}: {error}".encode())
            finally:
                os._exit(72)
        self.children[pid] = Child(pid, slot, lease, errors, folder)
        self.tell(lease, {"pid": pid, "work": folder or "/sandbox", "nproc_base": base})

    def become(self, request: dict[str, Any], channel: int, errors: int, uid: int, folder: str) -> None:
        """In the fork: drop what the launcher has, and turn into the sandbox."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        if self.root and self.tier != "none":
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        guest.prctl(1, signal.SIGKILL if self.tier == "namespace" else signal.SIGTERM)  # PR_SET_PDEATHSIG
        os.umask(0o022)
        os.dup2(channel, 0)
        os.dup2(errors, 2)
        if self.tier == "namespace":
            os.dup2(2, 1)
            self.become_bubblewrap(request)
        for child in self.children.values():
            child.lease.close()
            os.close(child.errors)
        if self.tier == "landlock":
            landlock.restrict([*READABLE, *self.paths, "/proc"], [folder], DEVICES)
            seccomp.install(self.filter)
        guest.main(0, landlock.scope if self.tier == "landlock" else None)

    def become_bubblewrap(self, request: dict[str, Any]) -> None:
        """Execute bubblewrap with the agent as PID 1."""
        limits = request["limits"]
        words = ["--unshare-all", "--die-with-parent", "--as-pid-1", "--cap-drop", "ALL", "--uid", "1000"]
        words += ["--gid", "1000", "--hostname", "sandbox", "--seccomp", str(memory_file("filter", self.filter))]
        for path in READABLE:
            if os.path.islink(path):
                words += ["--symlink", os.readlink(path), path]
            elif os.path.exists(path):
                words += ["--ro-bind", path, path]
        for path in self.paths:
            if not path.startswith("/usr/"):
                words += ["--ro-bind", path, path]
        for path, text in ETC.items():
            words += ["--file", str(memory_file("etc", text.encode())), path]
        words += ["--file", str(memory_file("guest", self.guest)), GUEST_PATH]
        words += ["--proc", "/proc", "--dev", "/dev", "--size", str(limits["disk_mb"] << 20), "--tmpfs", "/dev/shm"]
        words += ["--remount-ro", "/dev", "--size", str(limits["disk_mb"] << 20), "--tmpfs", "/sandbox"]
        if not any(path.startswith("/tmp/") for path in self.paths):  # else /tmp holds the installation, read only
            words += ["--symlink", "sandbox/tmp", "/tmp"]
        words += ["--remount-ro", "/", "--chdir", "/sandbox", "--clearenv"]
        words += ["--setenv", "AGENTRL_SANDBOX", os.environ["AGENTRL_SANDBOX"]]
        os.execv(self.bwrap, [self.bwrap, *words, self.python, "-I", "-S", "-B", GUEST_PATH])

    def tell(self, lease: socket.socket, message: dict[str, Any]) -> None:
        """A line for the trainer, if it still listens."""
        try:
            lease.setblocking(False)
            lease.send(json.dumps(message).encode() + b"\n")
        except OSError:
            pass

    def reap(self) -> None:
        """Clear up after the sandboxes that have ended, and end processes that lost theirs."""
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if child := self.children.pop(ended[0], None):
                    self.clear(child, ended[1])
        except ChildProcessError:
            pass
        for pid, parent in guest.processes():
            if parent == os.getpid() and pid not in self.children:
                os.kill(pid, signal.SIGKILL)

    def stop(self, child: Child) -> None:
        """End a sandbox: with a namespace of processes by its PID 1, otherwise its agent ends the others first."""
        first = [(child.pid, signal.SIGTERM, guest.KILL_S)]
        if self.tier == "namespace":
            first = [(pid, signal.SIGKILL, 5.0) for pid, parent in guest.processes() if parent == child.pid]
        for pid, number, patience in (*first, (child.pid, signal.SIGKILL, 5.0)):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
            if wait_gone(child.pid, patience):
                break
        self.reap()

    def clear(self, child: Child, status: int) -> None:
        """Remove what a sandbox left on the host and tell the trainer how it ended."""
        said = os.pread(child.errors, 4000, 0).decode("utf-8", "replace").strip()
        os.close(child.errors)
        if child.folder:
            shutil.rmtree(child.folder, ignore_errors=True)
        self.tell(child.lease, {"exit": os.waitstatus_to_exitcode(status), "said": said})
        child.lease.close()

    def close(self) -> None:
        """End everything and remove the launcher's folder."""
        for child in list(self.children.values()):
            self.stop(child)
        self.reap()
        remove_folder(self.folder)


def wait_gone(pid: int, patience: float) -> bool:
    """Whether a child ends within ``patience`` seconds; it is left to be reaped."""
    deadline = time.monotonic() + patience
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.0005)
    return True


def remove_folder(folder: str) -> None:
    """Remove a launcher's folder: what it names ``work-*`` with its content, and itself if that was all."""
    try:
        for name in os.listdir(folder):
            if name.startswith("work-"):
                shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        os.rmdir(folder)
    except OSError:
        pass


def tasks_of(uid: int) -> int:
    """Threads that a user has now: RLIMIT_NPROC counts them all where there is no user namespace."""
    count = 0
    for pid, _ in guest.processes():
        try:
            if os.stat(f"/proc/{pid}").st_uid == uid:
                count += len(os.listdir(f"/proc/{pid}/task"))
        except OSError:
            continue
    return count


def main() -> None:
    """Run by ``local.py`` with the control socket as descriptor 0."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
    control = socket.socket(fileno=os.dup(0))
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    setup = json.loads(control.recv(1 << 16))
    for number in (signal.SIGINT, signal.SIGHUP):  # Ctrl-C is for the trainer; it closes us
        signal.signal(number, signal.SIG_IGN)
    launcher = None
    try:
        launcher = Launcher(control, setup)
        control.send(json.dumps({"ready": os.getpid()}).encode())
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        launcher.serve()
    except OSError as error:
        control.send(json.dumps({"error": str(error)}).encode())
    finally:
        if launcher:
            launcher.close()
        else:
            remove_folder(setup["folder"])
