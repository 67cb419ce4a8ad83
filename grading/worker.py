"""The untrusted side: runs a student's cells and calls their functions, inside the sandbox.

Standard library alone, one file, no secret: it holds no test and no expected value, so that
whatever the student's code does to it can only change the student's own answers. Requests and
answers are frames on one socket: four bytes of length, then JSON (`values.py` says how a value
looks).

Under bubblewrap it begins as a nursery: it imports what the assignment needs (torch takes seconds),
runs no code of any student, and forks a worker for each. A worker starts in namespaces of its own:
own processes, own /tmp, own network with nobody in it. So students share what was read from the
disk before, and nothing else.

Argument: a JSON object, see `Nursery` and `Sandbox` in `sandbox.py`.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import ctypes
import json
import linecache
import os
import re
import resource
import select
import signal
import socket
import struct
import sys
import traceback
import types
from typing import Any

# What the loop below needs, kept from students who patch modules by accident.
_dumps, _loads, _pack, _unpack = json.dumps, json.loads, struct.pack, struct.unpack
_LINE_MAGIC = re.compile(r"\s*(%|!|\?)|.*[^#]\?\s*$")
_PYTHON_MAGICS = ("time", "timeit", "capture", "prun")


class RefusalError(Exception):
    """A value that cannot cross the pipe."""


# --- the nursery ----------------------------------------------------------------------------------

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_NAMESPACES = 0x6C020000  # mounts, host name, IPC, processes, network
_BIND = 0x1000
_PRIVATE, _SAFE, _NO_PROGRAMS = 0x44000, 0x6, 0x8  # MS_REC|MS_PRIVATE, _NOSUID|_NODEV, _NOEXEC


def nursery(setup: dict[str, Any]) -> None:
    """Import what the workers need.

    Then fork one for each message, until the parent closes the socket.
    """
    control = socket.socket(fileno=setup["descriptor"])
    control.send(b"here")
    for name in setup["needs"]:
        __import__(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the forks
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 3)
        if not data:
            os._exit(0)
        if os.fork() == 0:
            try:
                control.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                nest(json.loads(data), *descriptors)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        for descriptor in descriptors:
            os.close(descriptor)


def nest(setup: dict[str, Any], channel: int, out: int, life: int) -> None:
    """Make the worker's own namespaces, and in them a first process that ends with the parent."""
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(out)
    works(_LIBC.unshare(_NEW_NAMESPACES))
    first = os.fork()
    if first:
        for descriptor in (channel, life):
            os.close(descriptor)
        os.waitpid(first, 0)
        os._exit(0)
    works(_LIBC.prctl(1, signal.SIGKILL, 0, 0, 0))
    size, files = setup["tmp_bytes"], setup["tmp_files"]
    works(_LIBC.mount(None, b"/", None, _PRIVATE, None))
    works(_LIBC.mount(b"proc", b"/proc", b"proc", _SAFE | _NO_PROGRAMS, None))
    # Memory that is shared through it would be nobody's (`syscalls.py`).
    works(_LIBC.mount(b"/dev/null", b"/dev/zero", None, _BIND, None))
    for place, options in (
        (b"/tmp", f"size={size},nr_inodes={files},mode=1777"),
        (b"/dev/shm", f"size={size},nr_inodes={files},mode=1777"),
        (b"/dev/pts", "size=4096,nr_inodes=2,mode=555"),  # terminals would be shared
    ):
        works(_LIBC.mount(b"tmpfs", place, b"tmpfs", _SAFE, options.encode()))
    worker = os.fork()
    if worker == 0:
        os.close(life)
        confine(setup)
        serve(setup, channel)
    os.close(channel)
    for descriptor in (1, 2):  # else what is printed would have no end
        os.close(descriptor)
    lifeline = socket.socket(fileno=life)
    lifeline.send(b"born")  # the kernel writes our number on it
    look_after(worker, lifeline)


def look_after(worker: int, lifeline: socket.socket) -> None:
    """Bury orphans; when the worker or the parent ends, end, and so end them all."""
    sources: list[Any] = [lifeline, os.pidfd_open(worker)]
    while True:
        ready = select.select(sources, [], [], 1.0)[0]
        if lifeline in ready:
            os._exit(0)
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                os._exit(0)
            if process == worker:
                lifeline.send(str(os.waitstatus_to_exitcode(status)).encode())
                os._exit(0)
            if process == 0:
                break


def works(result: int) -> None:
    if result:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


# --- limits ---------------------------------------------------------------------------------------


def confine(setup: dict[str, Any]) -> None:
    """Become the user that we are told, and take every limit before any code of a student runs."""
    os.setsid()
    # Whoever runs many processes slows down their own core, not a classmate's clock.
    os.sched_setaffinity(0, {setup["core"]})
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")  # where memory ends, we are the first to go
    except OSError:
        pass  # the limits below hold without it
    if setup["user"] is not None:
        os.setgroups([])
        os.setresgid(setup["user"], setup["user"], setup["user"])
        os.setresuid(setup["user"], setup["user"], setup["user"])
    drop_capabilities()
    for name, value in setup["rlimits"].items():
        which = getattr(resource, name)
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))
    install_filter(bytes.fromhex(setup["seccomp"]))
    os.makedirs(setup["folder"], exist_ok=True)
    os.chdir(setup["folder"])
    sys.path[:0] = [setup["folder"]]


def drop_capabilities() -> None:
    """Every set of them; becoming another user has emptied most already."""
    works(_LIBC.prctl(47, 4, 0, 0, 0))  # ambient
    header = struct.pack("Ii", 0x20080522, 0)
    works(_LIBC.capset(header, bytes(24)))


def install_filter(program: bytes) -> None:
    """No new privileges, and the filter of system calls."""

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    code = ctypes.create_string_buffer(program, len(program))
    filled = Program(len(program) // 8, ctypes.addressof(code))
    works(_LIBC.prctl(38, 1, 0, 0, 0))
    works(_LIBC.prctl(22, 2, ctypes.byref(filled), 0, 0))


# --- values ---------------------------------------------------------------------------------------


class Values:
    """Plain values for the pipe; everything else stays here under a number."""

    def __init__(self, depth: int, digits: int, entries: int) -> None:
        self.depth, self.most, self.entries = depth, 10**digits, entries
        self.objects: list[Any] = []

    def write(self, value: Any, depth: int = 0) -> list[Any]:
        if depth > self.depth:
            raise RefusalError(f"it is nested more than {self.depth} deep")
        if value is None:
            return ["n"]
        if value is ...:
            return ["e"]
        if isinstance(value, bool):
            return ["b", bool(value)]
        if isinstance(value, int):
            number = int.__add__(value, 0)
            if not -self.most < number < self.most:
                raise RefusalError("it is an int with thousands of digits")
            return ["i", int.__repr__(number)]
        if isinstance(value, float):
            return ["f", float.hex(float.__add__(value, 0.0) if value == value else value)]
        if isinstance(value, str):
            return ["s", str.__str__(value)]
        if isinstance(value, (list, tuple)):
            base: Any = list if isinstance(value, list) else tuple
            tag = "l" if base is list else "t"
            return [tag, [self.write(item, depth + 1) for item in base.__iter__(value)]]
        if isinstance(value, dict):
            pairs = list(dict.items(value))
            if len(pairs) > self.entries:
                raise RefusalError(f"it is a dict with more than {self.entries} entries")
            if all(plain_key(key) for key, _ in pairs):
                return [
                    "d",
                    [[self.write(k, depth + 1), self.write(v, depth + 1)] for k, v in pairs],
                ]
        fractions = sys.modules.get("fractions")
        if fractions and type(value) is fractions.Fraction:
            return ["F", int.__repr__(value.numerator), int.__repr__(value.denominator)]
        if is_array(value):
            if value.nbytes > 1 << 23:
                raise RefusalError("it is an array or a tensor of more than 8 MB")
            detached = value.detach() if hasattr(value, "detach") else value
            return self.write(detached.tolist(), depth)
        self.objects.append(value)
        kind = type(value).__name__
        return ["h", len(self.objects) - 1, str(kind)[:80], callable(value)]

    def read(self, wire: list[Any]) -> Any:
        tag, rest = wire[0], wire[1:]
        if tag == "n":
            return None
        if tag == "e":
            return ...
        if tag in ("b", "s"):
            return rest[0]
        if tag == "i":
            return int(rest[0])
        if tag == "f":
            return float.fromhex(rest[0])
        if tag == "l":
            return [self.read(item) for item in rest[0]]
        if tag == "t":
            return tuple(self.read(item) for item in rest[0])
        if tag == "d":
            return {self.read(key): self.read(value) for key, value in rest[0]}
        if tag == "F":
            from fractions import Fraction

            return Fraction(int(rest[0]), int(rest[1]))
        return self.objects[rest[0]]


def plain_key(key: Any) -> bool:
    if isinstance(key, tuple):
        return all(plain_key(part) for part in tuple.__iter__(key))
    return key is None or isinstance(key, (bool, int, float, str))


def is_array(value: Any) -> bool:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if torch and hasattr(torch, "Tensor") and isinstance(value, torch.Tensor):
        return True
    if numpy and hasattr(numpy, "ndarray") and isinstance(value, (numpy.ndarray, numpy.generic)):
        return value.dtype.kind in "biufUS" or value.dtype.hasobject is False
    return False


# --- cells ----------------------------------------------------------------------------------------


def without_magics(source: str) -> tuple[str, list[str]]:
    """The cell's Python, and what was left out.

    IPython's own lines are tried only where Python says no.
    """
    try:
        ast.parse(source)
        return source, []
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    lines = source.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    left_out = []
    if lines[first].startswith("%%"):
        left_out.append(lines[first])
        if lines[first][2:].split(" ")[0].strip() not in _PYTHON_MAGICS:
            return "", left_out
        lines[first] = ""
    for i, line in enumerate(lines):
        if _LINE_MAGIC.match(line):
            left_out.append(line.strip())
            lines[i] = line[: len(line) - len(line.lstrip())] + "pass"
    return "\n".join(lines), left_out


class Silent:
    """Stands for the notebook's checker and its display: takes everything, does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        return None


def new_namespace() -> dict[str, Any]:
    """A module of its own, so that pickle, dataclasses and inspect find what a cell defines."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    namespace = module.__dict__
    namespace.update(__builtins__=builtins, grader=Silent(), display=Silent(), get_ipython=Silent())
    return namespace


def run_cell(source: str, number: int, namespace: dict[str, Any]) -> list[Any]:
    name = f"<cell {number}>"
    code, left_out = without_magics(source)
    linecache.cache[name] = (len(code), None, code.splitlines(True), name)
    exec(compile(code, name, "exec"), namespace)
    return ["l", [["s", line[:200]] for line in left_out]]


# --- the loop -------------------------------------------------------------------------------------


def describe(error: BaseException) -> dict[str, str]:
    """What a student needs to find their mistake.

    The type, the words, the line in their own cell.
    """
    kind = type(error)
    try:
        words = str(error)
    except BaseException as inner:
        words = f"(its message raised {type(inner).__name__})"
    lines = []
    try:
        for frame in traceback.extract_tb(error.__traceback__)[-30:]:
            if frame.filename.startswith("<cell "):
                lines.append(f"{frame.filename[1:-1]}, line {frame.lineno}: {frame.line}")
        if isinstance(error, SyntaxError) and error.lineno:
            lines.append(
                f"{str(error.filename)[1:-1]}, line {error.lineno}: {(error.text or '').strip()}"
            )
    except BaseException:
        lines = []  # a traceback that cannot be read is not worth a lost answer
    return {
        "type": str(kind.__name__)[:80],
        "words": str(words)[:1000],
        "where": "\n".join(lines[-3:])[:1000],
    }


def answer(request: dict[str, Any], namespace: dict[str, Any], values: Values) -> list[Any]:
    if request["do"] == "hello":
        return ["n"]
    if request["do"] == "cell":
        return run_cell(request["source"], request["number"], namespace)
    if request["do"] == "get":
        if request["name"] not in namespace:
            return ["t", []]
        return ["t", [values.write(namespace[request["name"]])]]
    function = namespace[request["name"]]
    args = [values.read(value) for value in request["args"]]
    kwargs = {name: values.read(value) for name, value in request["kwargs"].items()}
    result = function(*args, **kwargs)
    try:
        return values.write(result)
    except RefusalError as error:
        raise RefusalError(f"it returned a value that cannot be read: {error}") from None


def receive(channel: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = channel.recv(min(count - len(data), 1 << 20))
        if not part:
            os._exit(0)  # the parent is done with us
        data += part
    return data


def serve(setup: dict[str, Any], descriptor: int) -> None:
    """Answer requests, one by one, until the parent closes the socket."""
    channel = socket.socket(fileno=descriptor)
    namespace = new_namespace()
    sys.argv[:] = [""]
    values = Values(setup["depth"], setup["digits"], setup["entries"])
    own = os.getpid()
    while True:
        (length,) = _unpack(">I", receive(channel, 4))
        request = _loads(receive(channel, length))
        reply: dict[str, Any] = {"id": request["id"]}
        try:
            reply["ok"] = answer(request, namespace, values)
        except BaseException as error:  # SystemExit and KeyboardInterrupt are a student's as well
            reply["error"] = describe(error)
        if os.getpid() != own:
            os._exit(0)  # a fork that came out of a student's code: it has nothing to answer
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):  # a student's own stream is theirs to lose
                stream.flush()
        frame = _dumps(reply).encode()
        if len(frame) > setup["frame"]:
            reply.pop("ok", None)
            words = "it returned a value that is too large to be read"
            reply["error"] = {"type": "RefusalError", "words": words, "where": ""}
            frame = _dumps(reply).encode()
        channel.sendall(_pack(">I", len(frame)) + frame)


def main() -> None:
    setup = json.loads(sys.argv[1])
    sys.path += setup["path"]
    if "needs" in setup:
        nursery(setup)
    confine(setup)
    serve(setup, setup["descriptor"])


if __name__ == "__main__":
    main()
