"""A worker in a sandbox, and its end.

Under bubblewrap the worker sees a read-only system, a small /tmp of its own, no network, no process but its own, no
environment but what stands in `_ENVIRONMENT`, and no capability. Limits that the kernel keeps per process are taken by
`worker.confine`; what counts in sum (memory, processes, what was printed) is watched here, by the parent.

Started by root, bubblewrap makes no user namespace: the worker becomes an ordinary user whose number nobody else has,
because the kernel counts processes of root without a limit. Started by an ordinary user, it makes one.

`Bare` runs the worker without bubblewrap. It is for containers that are thrown away, and for those who ask for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from grading import syscalls
from grading.limits import DEPTH, DIGITS, Limits
from grading.values import BadValue, parse

WORKER = Path(__file__).with_name("worker.py")
_FIRST_USER = 1_000_000  # above every ordinary user's number; the examiner's process number is added
_NOBODY = 65534
_ENVIRONMENT = {
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "LOGNAME": "student",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "MPLCONFIGDIR": "/tmp",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PATH": "/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "TMPDIR": "/tmp",
    "USER": "student",
}

REMEDY = """\
Students' code is run by the grader only inside a sandbox, and for that bubblewrap must work.
What to do:
  - install it: make sandbox (as root), or apt install bubblewrap, dnf install bubblewrap, pacman -S bubblewrap;
  - where it is installed and refused: an ordinary user needs user namespaces (sysctl kernel.unprivileged_userns_clone=1;
    on Ubuntu 24.04 and newer also sysctl kernel.apparmor_restrict_unprivileged_userns=0);
    in a container, grade outside of it, or start it with the right to make namespaces
    (docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined --cap-add SYS_ADMIN);
  - on macOS and Windows: grade in a Linux virtual machine (WSL 2 is one);
  - where you trust every student with this machine, their classmates' scores and the hidden tests:
    --without-sandbox-i-trust-every-student"""


class SandboxError(Exception):
    """There is no sandbox here; the message says why and what to do."""


class WorkerDied(Exception):
    """The worker is gone, or was ended; the message says why, `suspicious` whether a person should look."""

    def __init__(self, reason: str, *, hung: bool = False, suspicious: bool = False) -> None:
        super().__init__(reason)
        self.hung, self.suspicious = hung, suspicious


def become_subreaper() -> None:
    """Orphans below this process become its children, so that none is lost from sight."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


class Sandbox:
    """One running worker. `ask` sends a request and waits for its answer; `end` leaves nothing behind."""

    def __init__(self, limits: Limits, modules: tuple[Path, ...] = (), bare: bool = False) -> None:
        self.limits = limits
        self.printed = bytearray()
        self._printed_bytes = 0
        self._input = bytearray()
        self._next = 0
        self._folder: str | None = None
        self.root: int | None = None  # the process from which all of the student's descend
        self._user = _FIRST_USER + os.getpid() if os.geteuid() == 0 else None
        ours, theirs = socket.socketpair()
        out_read, out_write = os.pipe()
        self._socket, self._out = ours, out_read
        ours.setblocking(False)
        os.set_blocking(out_read, False)
        try:
            start = self._start_bare if bare else self._start_bubblewrap
            self._process = start(theirs.fileno(), out_write, modules)
        finally:
            theirs.close()
            os.close(out_write)

    # --- start -----------------------------------------------------------------------------------

    def _setup(self, descriptor: int, folder: str, path: list[str], user: int | None, seccomp: bytes) -> str:
        limits = self.limits
        rlimits = {
            "RLIMIT_AS": limits.address_space,
            "RLIMIT_CORE": 0,
            "RLIMIT_CPU": int(limits.student_s) + 30,
            "RLIMIT_FSIZE": limits.file_bytes,
            "RLIMIT_MEMLOCK": 1 << 16,
            "RLIMIT_MSGQUEUE": 0,
            "RLIMIT_NOFILE": limits.descriptors,
            # Without a user of its own the kernel counts what that user runs elsewhere, too; `_watch` counts exactly.
            "RLIMIT_NPROC": limits.processes + (0 if self._user else _tasks_of(os.getuid())),
        }
        return json.dumps(
            {
                "depth": DEPTH,
                "descriptor": descriptor,
                "digits": DIGITS,
                "folder": folder,
                "frame": limits.frame_bytes,
                "path": path,
                "rlimits": rlimits,
                "seccomp": seccomp.hex(),
                "user": user,
            }
        )

    def _start_bubblewrap(
        self, descriptor: int, out: int, modules: tuple[Path, ...]
    ) -> subprocess.Popen[bytes]:
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise SandboxError(f"There is no bubblewrap (bwrap) on this machine.\n{REMEDY}")
        with contextlib.ExitStack() as stack:
            worker = stack.enter_context(_readable(WORKER.read_bytes()))
            filter_ = stack.enter_context(_readable(syscalls.program(internet=True)))
            info, info_write = os.pipe()
            stack.callback(os.close, info)
            with contextlib.ExitStack() as writing:
                writing.callback(os.close, info_write)
                names = [f"/grading/modules/{module.name}" for module in modules]
                command = [
                    bwrap,
                    *_namespaces(root=self._user is not None),
                    *_system(),
                    *("--perms", "0444", "--ro-bind-data", str(worker), "/grading/worker.py"),
                    *_pairs("--ro-bind", [(str(m), n) for m, n in zip(modules, names, strict=True)]),
                    *("--proc", "/proc", "--dev", "/dev"),
                    *("--perms", "1777", "--size", str(self.limits.tmp_bytes), "--tmpfs", "/dev/shm"),
                    *("--remount-ro", "/dev"),
                    *("--perms", "1777", "--size", str(self.limits.tmp_bytes), "--tmpfs", "/tmp"),
                    *("--remount-ro", "/", "--chdir", "/tmp", "--clearenv"),
                    *_pairs("--setenv", list(_ENVIRONMENT.items())),
                    *("--seccomp", str(filter_), "--info-fd", str(info_write)),
                    *("--", sys.executable, "-s", "-P", "/grading/worker.py"),
                    self._setup(
                        descriptor,
                        "/tmp/notebook",
                        ["/tmp/notebook", *(["/grading/modules"] if modules else [])],
                        self._user,
                        b"",
                    ),
                ]
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    env={},
                    pass_fds=(descriptor, worker, filter_, info_write),
                )
            self._process = process
            self.root = self._child(info)
        return process

    def _child(self, info: int) -> int:
        """The number of the first process inside, which ends all others when it ends."""
        text = b""
        end = time.monotonic() + self.limits.start_s
        while time.monotonic() < end and select.select([info], [], [], 0.5)[0]:
            part = os.read(info, 4096)
            if not part:
                break
            text += part
            with contextlib.suppress(ValueError):
                return int(json.loads(text)["child-pid"])
        self._drain()
        self.end()
        said = self.printed.decode("utf-8", "replace").strip() or "it said nothing"
        raise SandboxError(f"bubblewrap did not start: {said}\n{REMEDY}")

    def _start_bare(
        self, descriptor: int, out: int, modules: tuple[Path, ...]
    ) -> subprocess.Popen[bytes]:
        self._folder = folder = tempfile.mkdtemp(prefix="grading-")
        if self._user is not None:
            os.chown(folder, self._user, self._user)
        environment = {**_ENVIRONMENT, "HOME": folder, "TMPDIR": folder, "MPLCONFIGDIR": folder}
        paths = [folder, *sorted({str(module.parent) for module in modules})]
        setup = self._setup(
            descriptor, folder, paths, self._user, syscalls.program(internet=False)
        )
        # The worker by its text: its file may lie where the student's user cannot read.
        process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-c", WORKER.read_text("utf-8"), setup],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment,
            pass_fds=(descriptor,),
            start_new_session=True,
        )
        self.root = process.pid
        return process

    # --- talk ------------------------------------------------------------------------------------

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to a request; WorkerDied where there is none in time."""
        self._next += 1
        number = f"{self._next}-{os.urandom(8).hex()}"
        body = json.dumps({"id": number, **request}).encode()
        pending = memoryview(struct.pack(">I", len(body)) + body)
        end = time.monotonic() + seconds
        watch = 0.0
        while True:
            now = time.monotonic()
            if now >= end:
                raise WorkerDied(f"it took longer than {seconds:g} seconds", hung=True)
            if now >= watch:
                self._watch()
                watch = now + 0.1
            wanted = min(end, watch) - now
            readable, writable, _ = select.select(
                [self._socket, self._out], [self._socket] if pending else [], [], max(wanted, 0)
            )
            if self._out in readable:
                self._drain()
            if writable:
                try:
                    pending = pending[self._socket.send(pending) :]
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise self._ended() from error
            if self._socket in readable:
                try:
                    part = self._socket.recv(1 << 18)
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise self._ended() from error
                if not part:
                    raise self._ended()
                self._input += part
                answer = self._frame()
                if answer is not None:
                    if pending or answer.get("id") != number or self._input:
                        raise WorkerDied("it broke the protocol of the pipe", suspicious=True)
                    self._drain()
                    return answer

    def _frame(self) -> dict[str, Any] | None:
        if len(self._input) < 4:
            return None
        (length,) = struct.unpack(">I", self._input[:4])
        if length > self.limits.frame_bytes:
            raise WorkerDied("it announced an answer that is too large", suspicious=True)
        if len(self._input) < 4 + length:
            return None
        frame = bytes(self._input[4 : 4 + length])
        del self._input[: 4 + length]
        try:
            return parse(frame)
        except BadValue as error:
            raise WorkerDied(f"it broke the protocol of the pipe: {error}", suspicious=True) from error

    def _drain(self) -> None:
        """Take what was printed, keep its beginning, and end those who print without end."""
        while True:
            try:
                part = os.read(self._out, 1 << 16)
            except BlockingIOError:
                return
            if not part:
                return
            self._printed_bytes += len(part)
            if len(self.printed) < 4 * self.limits.printed_kept:
                self.printed += part[: 4 * self.limits.printed_kept]
            if self._printed_bytes > self.limits.printed_bytes:
                most = self.limits.printed_bytes >> 20
                raise WorkerDied(f"it printed more than {most} MB", suspicious=True)

    def take_printed(self) -> str:
        """What was printed since the last time, cut where it is long."""
        text = self.printed.decode("utf-8", "replace")
        self.printed.clear()
        kept = self.limits.printed_kept
        return text if len(text) <= kept else text[:kept] + "\n... (cut)"

    def _ended(self) -> WorkerDied:
        """Why a worker that closed its pipe ended."""
        try:
            code = self._process.wait(2)
        except subprocess.TimeoutExpired:
            return WorkerDied("it closed the pipe to the grader", suspicious=True)
        if code > 128 or code < 0:
            number = code - 128 if code > 0 else -code
            with contextlib.suppress(ValueError):
                return WorkerDied(f"it was ended by {signal.Signals(number).name}", suspicious=True)
        return WorkerDied(f"it ended its process (exit status {code})", suspicious=True)

    # --- watch and end ---------------------------------------------------------------------------

    def processes(self) -> list[int]:
        """The student's processes, seen from here."""
        if self.root is None:
            return []
        parents = _parents()
        found = [self.root] if self.root in parents else []
        if self._folder is not None:  # no namespace holds them: orphans have become our own children
            found += [p for p, q in parents.items() if q == os.getpid() and p != self._process.pid]
        for process in found:
            found += [p for p, q in parents.items() if q == process and p not in found]
        return [p for p in found if p != self._process.pid or self._folder is not None]

    def _watch(self) -> None:
        limits, memory, threads = self.limits, 0, 0
        page = os.sysconf("SC_PAGE_SIZE")
        for process in self.processes():
            with contextlib.suppress(OSError, IndexError, ValueError):  # it may end while we look
                memory += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * page
                threads += int(_stat(process)[17])
        if memory > limits.memory:
            raise WorkerDied(f"it used more than {limits.memory >> 20} MB of memory", suspicious=True)
        # The sandbox's own first process counts, hence 2 more.
        if threads > limits.processes + 2:
            raise WorkerDied(f"it ran more than {limits.processes} processes", suspicious=True)
        if self._folder is None and self._next > 1:  # before the first answer these may be the host's
            for place in ("tmp", "dev/shm"):
                with contextlib.suppress(OSError):  # it may end while we look
                    files = os.statvfs(f"/proc/{self.root}/root/{place}")
                    if files.f_files - files.f_ffree > limits.tmp_files:
                        raise WorkerDied(f"it made more than {limits.tmp_files} files", suspicious=True)

    def end(self) -> None:
        """End the worker and every process that came of it, and wait until they are gone."""
        self._socket.close()
        if self._folder is None:
            self._end_namespace()
        else:
            self._end_bare(self._folder)
        os.close(self._out)

    def _end_namespace(self) -> None:
        if self.root is not None:
            # The first process of a process namespace takes all others with it; bubblewrap then reaps it and ends.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.root, signal.SIGKILL)
        else:
            self._process.kill()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _end_bare(self, folder: str) -> None:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            left = [p for p in self.processes() if _stat_or_none(p) not in (None, "Z")]
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            self._process.poll()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if not left:
                break
            time.sleep(0.01)
        self._process.poll()
        shutil.rmtree(folder, ignore_errors=True)


def _namespaces(root: bool) -> list[str]:
    shared = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    shared += ["--die-with-parent", "--new-session", "--hostname", "sandbox", "--cap-drop", "ALL"]
    if root:
        return [*shared, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return [*shared, "--unshare-user", "--uid", str(_NOBODY), "--gid", str(_NOBODY)]


def shown() -> list[Path]:
    """The folders of this machine that are to be seen inside: the system's programs and this Python."""
    places = [Path("/usr"), Path(sys.base_prefix), Path(sys.prefix)]
    inside = {p for p in places for q in places if p != q and p.is_relative_to(q)}
    return [place for place in dict.fromkeys(places) if place not in inside]


def _system() -> list[str]:
    words: list[str] = []
    parents = {parent for place in shown() for parent in place.parents} - {Path("/")}
    for parent in sorted({*parents, Path("/grading"), Path("/grading/modules")}):
        words += ["--perms", "0755", "--dir", str(parent)]  # else they are shut to the worker's user
    for place in shown():
        words += ["--ro-bind", str(place), str(place)]
    for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        path = Path(name)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), name]
        elif path.is_dir():
            words += ["--ro-bind", name, name]
    return [*words, "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]


def _pairs(option: str, pairs: list[tuple[str, str]]) -> list[str]:
    return [word for pair in pairs for word in (option, *pair)]


@contextlib.contextmanager
def _readable(data: bytes) -> Any:
    """A descriptor from which a child can read the data."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield file.fileno()


def _stat(process: int) -> list[str]:
    """The fields of /proc/N/stat after the name, which may hold blanks and brackets."""
    return Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()


def _stat_or_none(process: int) -> str | None:
    try:
        return _stat(process)[0]
    except (OSError, IndexError):
        return None


def _parents() -> dict[int, int]:
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parents[int(name)] = int(_stat(int(name))[1])
    return parents


def _tasks_of(user: int) -> int:
    """How many threads a user runs now."""
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                if os.stat(f"/proc/{name}").st_uid == user:
                    count += int(_stat(int(name))[17])
    return count
