"""The filter of system calls that a student's processes run under: a small seccomp program, written
out by hand.

Namespaces and limits do not reach everything. Refused here is what would get around them: memory
that no limit counts (memfd, System V, nameless shared memory, large buffers of sockets), sockets
but local ones (a network namespace does not hold vsock, which reaches a virtual machine's host),
new namespaces, looking into other processes, and the kernel's rarely used doors.
"""

from __future__ import annotations

import platform
import struct

# name: number on x86_64, on aarch64
_REFUSED = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "fsopen": (430, 430),
    "finit_module": (313, 273),
    "fsmount": (432, 432),
    "init_module": (175, 105),
    "io_uring_setup": (425, 425),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "request_key": (249, 218),
    "sched_setaffinity": (203, 122),  # each student keeps to one core
    "semget": (64, 190),
    "setns": (308, 268),
    "shmget": (29, 194),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
_CLONE, _CLONE3, _SOCKET, _MMAP = (56, 220), (435, 435), (41, 198), (9, 222)
_SETSOCKOPT, _SEND_BUFFER = (54, 208), 7  # what lies in it is the kernel's memory
_SHARED_ANONYMOUS = 0x21  # it stays in use when no process has it resident any more
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, -CGROUP, -UTS, -IPC, -USER, -PID, -NET
_UNIX = 1

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97


def program() -> bytes:
    """The filter for this processor."""
    machine = platform.machine()
    if machine not in _ARCHITECTURE:
        raise RuntimeError(
            f"the grader's filter of system calls is written for {' and '.join(_ARCHITECTURE)}, "
            f"this is {machine!r}"
        )
    column = list(_ARCHITECTURE).index(machine)
    lines: list[tuple[int, int, int, int]] = []

    def check(code: int, value: int, action: int) -> None:
        """Where the loaded word passes the comparison, end with the action; go on otherwise."""
        lines.append((code, 0, 1, value))
        lines.append((_RETURN, 0, 0, action))

    lines.append((_LOAD, 0, 0, 4))  # the architecture
    lines.append((_EQUAL, 1, 0, _ARCHITECTURE[machine]))
    lines.append((_RETURN, 0, 0, _KILL))
    lines.append((_LOAD, 0, 0, 0))  # the call's number
    if machine == "x86_64":
        check(_AT_LEAST, 0x40000000, _KILL)  # the x32 calls
    for numbers in _REFUSED.values():
        check(_EQUAL, numbers[column], _ERRNO | _EPERM)
    # Its flags are in memory, out of a filter's sight: libc falls back to clone.
    check(_EQUAL, _CLONE3[column], _ERRNO | _ENOSYS)

    lines.append((_EQUAL, 0, 4, _CLONE[column]))
    lines.append((_LOAD, 0, 0, 16))  # the first argument's lower half
    check(_ANY_BIT, _NEW_NAMESPACES, _ERRNO | _EPERM)
    lines.append((_RETURN, 0, 0, _ALLOW))

    lines.append((_EQUAL, 0, 4, _SETSOCKOPT[column]))
    lines.append((_LOAD, 0, 0, 32))  # the third argument's lower half: the option
    check(_EQUAL, _SEND_BUFFER, _ERRNO | _EPERM)
    lines.append((_RETURN, 0, 0, _ALLOW))

    lines.append((_EQUAL, 0, 5, _MMAP[column]))
    lines.append((_LOAD, 0, 0, 40))  # the fourth argument's lower half: the flags
    lines.append((_AND, 0, 0, _SHARED_ANONYMOUS))
    check(_EQUAL, _SHARED_ANONYMOUS, _ERRNO | _EPERM)
    lines.append((_RETURN, 0, 0, _ALLOW))

    lines.append((_EQUAL, 0, 4, _SOCKET[column]))
    lines.append((_LOAD, 0, 0, 16))
    check(_EQUAL, _UNIX, _ALLOW)
    lines.append((_RETURN, 0, 0, _ERRNO | _EAFNOSUPPORT))
    lines.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *line) for line in lines)
