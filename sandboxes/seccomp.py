"""A filter of system calls for sandboxes, as a classic BPF program; standard library alone.

What code that computes, writes files and starts processes never needs, and what was a door into the kernel before:
tracing, new namespaces, mounts, bpf, io_uring, key rings, performance counters, module loading. ``clone3`` answers
ENOSYS, so that the C library falls back to ``clone``, whose flags can be seen. Sockets are an allow-list of
families: a network namespace does not cover AF_VSOCK, which on a virtual machine leads to its host.

``strict`` is for a sandbox without namespaces: no ``socket`` at all (``socketpair`` stays), no System V objects, and
what changes a file's attributes by its path does nothing and says it did, because Landlock does not cover it.

Numbers: asm/unistd_64.h (x86_64) and asm-generic/unistd.h (aarch64).
"""

from __future__ import annotations

import platform
import struct

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
EPERM, ENOSYS = 1, 38
LOAD, JUMP_EQ, JUMP_GE, JUMP_SET, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""Audit number of each architecture, and its column in the tables below."""
NEW_NAMESPACES = 0x7E020080
"""CLONE_NEW{TIME,NS,CGROUP,UTS,IPC,USER,PID,NET}."""
FAMILIES = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: all that is left of them is in the sandbox's own network namespace."""

DENIED = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "bpf": (321, 280), "perf_event_open": (298, 241), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "userfaultfd": (323, 282), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "init_module": (175, 105), "delete_module": (176, 106),
    "finit_module": (313, 273), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262), "quotactl": (179, 60), "quotactl_fd": (443, 443), "swapon": (167, 224),
    "swapoff": (168, 225), "reboot": (169, 142), "acct": (163, 89), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "pidfd_getfd": (438, 438), "sethostname": (170, 161),
    "setdomainname": (171, 162), "personality": (135, 92), "syslog": (103, 116), "move_pages": (279, 239),
    "migrate_pages": (256, 238), "mbind": (237, 235), "set_mempolicy": (238, 237), "vhangup": (153, 58),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None), "lookup_dcookie": (212, 18),
    "process_madvise": (440, 440), "shmget": (29, 194), "shmat": (30, 196), "semget": (64, 190),
    "msgget": (68, 186), "mq_open": (240, 180),  # what these make outlives the processes that made it
}  # fmt: skip
STRICT_DENIED = {
    "socket": (41, 198),
}  # fmt: skip
STRICT_IGNORED = {
    "chmod": (90, None), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None), "lchown": (94, None),
    "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "utime": (132, None), "utimes": (235, None), "futimesat": (261, None),
}  # fmt: skip
CLONE, CLONE3, SOCKET, SOCKETPAIR, IOCTL = (56, 220), (435, 435), (41, 198), (53, 199), (16, 29)
PUSH_INPUT = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX: typing into the terminal of somebody else."""


def op(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """One instruction."""
    return struct.pack("=HBBI", code, yes, no, value)


def answer(number: int | None, action: int) -> list[bytes]:
    """Return ``action`` for one system call."""
    return [] if number is None else [op(JUMP_EQ, number, 0, 1), op(RETURN, action)]


def families(number: int, allowed: tuple[int, ...]) -> list[bytes]:
    """Refuse a socket call whose family is not in the list."""
    checks = [op(JUMP_EQ, family, len(allowed) - i, 0) for i, family in enumerate(allowed)]
    body = [op(LOAD, 16), *checks, op(RETURN, ERRNO | EPERM), op(RETURN, ALLOW)]
    return [op(JUMP_EQ, number, 0, len(body)), *body]


def program(strict: bool = False, machine: str | None = None) -> bytes:
    """The filter for this machine, as ``bwrap --seccomp`` and ``PR_SET_SECCOMP`` take it.

    Raises:
        OSError: this architecture has no table here.
    """
    machine = machine or platform.machine()
    if machine not in MACHINES:
        raise OSError(f"no table of system calls for {machine}; known: {', '.join(MACHINES)}")
    audit, column = MACHINES[machine]
    code = [op(LOAD, 4), op(JUMP_EQ, audit, 1, 0), op(RETURN, KILL), op(LOAD, 0)]
    if machine == "x86_64":  # the x32 numbers would pass every comparison below
        code += [op(JUMP_GE, 0x40000000, 0, 1), op(RETURN, ERRNO | ENOSYS)]
    code += answer(CLONE3[column], ERRNO | ENOSYS)
    for table in (DENIED, STRICT_DENIED if strict else {}):
        for numbers in table.values():
            code += answer(numbers[column], ERRNO | EPERM)
    for numbers in STRICT_IGNORED.values() if strict else ():
        code += answer(numbers[column], ERRNO)
    code += families(SOCKETPAIR[column], (1,))
    if not strict:
        code += families(SOCKET[column], FAMILIES)
    code += [op(JUMP_EQ, CLONE[column], 0, 4), op(LOAD, 16), op(JUMP_SET, NEW_NAMESPACES, 0, 1)]
    code += [op(RETURN, ERRNO | EPERM), op(RETURN, ALLOW)]
    code += [op(JUMP_EQ, IOCTL[column], 0, 5), op(LOAD, 24), op(JUMP_EQ, PUSH_INPUT[0], 2, 0)]
    code += [op(JUMP_EQ, PUSH_INPUT[1], 1, 0), op(RETURN, ALLOW), op(RETURN, ERRNO | EPERM)]
    return b"".join([*code, op(RETURN, ALLOW)])


def install(filter_: bytes) -> None:
    """Put the calling process under a filter, for good. Needs no_new_privs, which it sets.

    Raises:
        OSError: the kernel refused.
    """
    import ctypes

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    argument = Program(len(filter_) // 8, filter_)
    if libc.prctl(22, 2, ctypes.byref(argument), 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        raise OSError(ctypes.get_errno(), "seccomp filter refused")
