"""Workers in sandboxes, and their end.

bubblewrap makes the nursery's sandbox: a read-only system, no network, no process of the machine,
no environment but what stands in `_ENVIRONMENT`. In it each worker gets namespaces and a small /tmp
of its own (`worker.nest`) and gives up every capability. Limits that the kernel keeps per process
are taken by `worker.confine`; what counts in sum (memory, processes, what was printed) is watched
here, by the parent.

Started by root, no user namespace is made: the worker becomes an ordinary user whose number nobody
else has, because the kernel counts processes of root without a limit. Started by an ordinary user,
bubblewrap makes one.

Without a nursery (`nursery=None`) a worker runs with limits and the filter of system calls only.
That is for containers that are thrown away, and for those who ask for it.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grading import syscalls
from grading.limits import DEPTH, DIGITS, ENTRIES, Limits
from grading.values import WireError, parse

WORKER = Path(__file__).with_name("worker.py")
_ENVIRONMENT_FOLDER = Path("/grading/environment")
# Above every ordinary user's number; that of the examiner's process is added.
_FIRST_USER = 1_000_000
_SMALL_USERS = 30_000  # where containers have numbers below 65,536 only
_NOBODY = 65534
_WATCH_S = 0.1
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
  - install it: make sandbox, or apt install bubblewrap, dnf install bubblewrap,
    pacman -S bubblewrap;
  - where it is installed and refused: an ordinary user needs user namespaces
    (sysctl kernel.unprivileged_userns_clone=1; on Ubuntu 24.04 and newer also
    sysctl kernel.apparmor_restrict_unprivileged_userns=0); in a container, grade outside
    of it, or start it with the right to make namespaces (docker run --cap-add SYS_ADMIN
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined);
  - on macOS and Windows: grade in a Linux virtual machine (WSL 2 is one);
  - where you trust every student with this machine, their classmates' scores and the hidden tests:
    --without-sandbox-i-trust-every-student"""


class SandboxError(Exception):
    """There is no sandbox here; the message says why and what to do."""


class WorkerError(Exception):
    """The worker is gone, or was ended; the message says why."""


def become_subreaper() -> None:
    """Orphans below this process become its children, so that none is lost from sight."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


class Nursery:
    """bubblewrap, and in it the process from which workers are forked."""

    def __init__(
        self, limits: Limits, needs: tuple[str, ...] = (), modules: tuple[Path, ...] = ()
    ) -> None:
        self._limits, self._needs, self._modules = limits, needs, modules
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def ensure(self) -> None:
        """Start it, or start it anew where it has ended."""
        if self._process is None or self._process.poll() is not None:
            self.end()
            self._start()

    def _start(self) -> None:
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise SandboxError(f"There is no bubblewrap (bwrap) on this machine.\n{REMEDY}")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        setup = {
            "descriptor": theirs.fileno(),
            "needs": list(self._needs),
            "path": ["/grading/modules"] if self._modules else [],
        }
        modules = [(str(module), f"/grading/modules/{module.name}") for module in self._modules]
        with theirs, _readable(WORKER.read_bytes()) as worker:
            command = [
                bwrap,
                *_namespaces(root=os.geteuid() == 0),
                *_system(),
                *("--perms", "0444", "--ro-bind-data", str(worker), "/grading/worker.py"),
                *_pairs("--ro-bind", modules),
                *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--remount-ro", "/dev"),
                *("--remount-ro", "/", "--chdir", "/", "--clearenv"),
                *_pairs("--setenv", list(_ENVIRONMENT.items())),
                *("--", str(inside(Path(sys.executable))), "-s", "-P", "/grading/worker.py"),
                json.dumps(setup),
            ]
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by end()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                env={},
                pass_fds=(theirs.fileno(), worker),
            )
        self._control = ours
        # bubblewrap that is killed before it has begun leaves a process behind: so wait for it.
        ready = select.select([ours], [], [], self._limits.start_s)[0]
        if not ready or not ours.recv(16):
            said = self.said()
            self.end()
            raise SandboxError(f"bubblewrap's sandbox did not start: {said}\n{REMEDY}")

    def send(self, setup: dict[str, Any], descriptors: list[int]) -> None:
        """Ask for a worker with these descriptors; whether it comes to life shows on its socket."""
        assert self._control is not None, "ensure() starts it"
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._control, [json.dumps(setup).encode()], descriptors)

    def said(self) -> str:
        """What bubblewrap or Python said on the way down."""
        self._errors.seek(0)
        return self._errors.read(4000).decode("utf-8", "replace").strip() or "it said nothing"

    def end(self) -> None:
        """End it with everything in it."""
        if self._process is not None:
            assert self._control is not None
            self._control.close()
            try:
                self._process.wait(2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._errors.close()
            self._process = self._control = None


class Sandbox:
    """One running worker.

    `ask` sends a request and waits for its answer; `end` leaves nothing behind.
    """

    def __init__(self, limits: Limits, nursery: Nursery | None, slot: int = 0) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self._core = cores[slot % len(cores)]
        self.limits = limits
        self.printed = bytearray()
        self.root: int | None = None  # the process from which all of the student's descend
        self._first: int | None = None
        self._worker: int | None = None
        self._nursery = nursery
        self._printed_bytes = 0
        self._look = time.monotonic() + _WATCH_S
        self._input = bytearray()
        self._next = 0
        self._folder: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._user = _free_user() if os.geteuid() == 0 else None
        self._life, their_life = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket, theirs = socket.socketpair()
        self._out, out = os.pipe()
        self._socket.setblocking(False)
        os.set_blocking(self._out, False)
        with theirs, their_life:
            try:
                if nursery is None:
                    self._start_bare(theirs.fileno(), out)
                else:
                    self._life.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
                    setup = self._setup("/tmp/notebook") | {
                        "tmp_bytes": limits.tmp_bytes,
                        "tmp_files": limits.tmp_files,
                    }
                    nursery.send(setup, [theirs.fileno(), out, their_life.fileno()])
            finally:
                os.close(out)
        if nursery is not None:
            self._await_birth(nursery)

    # --- start -----------------------------------------------------------------------------------

    def _setup(self, folder: str) -> dict[str, Any]:
        limits = self.limits
        rlimits = {
            "RLIMIT_AS": limits.address_space,
            "RLIMIT_CORE": 1,  # a 0 would not keep a crash from the host's own crash handler
            "RLIMIT_CPU": int(limits.student_s) + 30,
            "RLIMIT_FSIZE": limits.file_bytes,
            "RLIMIT_MEMLOCK": 1 << 16,
            "RLIMIT_MSGQUEUE": 0,
            "RLIMIT_NOFILE": limits.descriptors,
            # Without a user of its own the kernel may count what that user runs elsewhere; `_watch`
            # counts exactly.
            "RLIMIT_NPROC": limits.processes + (0 if self._user else _tasks_of(os.getuid())),
        }
        return {
            "core": self._core,
            "depth": DEPTH,
            "digits": DIGITS,
            "entries": ENTRIES,
            "folder": folder,
            "frame": limits.frame_bytes,
            "rlimits": rlimits,
            "seccomp": syscalls.program().hex(),
            "user": self._user,
        }

    def _await_birth(self, nursery: Nursery) -> None:
        """The first process inside says that it lives; the kernel says its number out here."""
        ready, _, _ = select.select([self._life], [], [], self.limits.start_s)
        ancillary: list[Any] = []
        if ready:
            with contextlib.suppress(OSError):
                _, ancillary, _, _ = self._life.recvmsg(64, socket.CMSG_SPACE(12))
        for _, kind, data in ancillary:
            if kind == socket.SCM_CREDENTIALS:
                self.root = struct.unpack("3i", data)[0]
        if self.root:
            # Numbers are used again, descriptors are not: this one stays its own after it has
            # ended.
            with contextlib.suppress(ProcessLookupError):
                self._first = os.pidfd_open(self.root)
        if self._first is None:
            self._drain()
            said = self.printed.decode("utf-8", "replace").strip() or nursery.said()
            self.end()
            raise SandboxError(f"bubblewrap's sandbox did not start: {said}\n{REMEDY}")
        self._worker = next((p for p in self.processes() if p != self.root), None)

    def _start_bare(self, descriptor: int, out: int) -> None:
        self._folder = folder = tempfile.mkdtemp(prefix="grading-")
        if self._user is not None:
            os.chown(folder, self._user, self._user)
        setup = self._setup(folder) | {"descriptor": descriptor, "path": []}
        # The worker by its text: its file may lie where the student's user cannot read.
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-c", WORKER.read_text("utf-8"), json.dumps(setup)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd="/",
            env={**_ENVIRONMENT, "HOME": folder, "TMPDIR": folder, "MPLCONFIGDIR": folder},
            pass_fds=(descriptor,),
        )
        self.root = self._worker = self._process.pid

    # --- talk ------------------------------------------------------------------------------------

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to a request; WorkerError where there is none in time."""
        self._next += 1
        number = f"{self._next}-{os.urandom(8).hex()}"
        body = json.dumps({"id": number, **request}).encode()
        pending = memoryview(struct.pack(">I", len(body)) + body)
        begin = time.monotonic()
        end = begin + seconds
        waited = self._waited()
        while True:
            now = time.monotonic()
            if now >= end:
                # It was ready to run, and the machine was busy: that time is not the student's.
                more = min(self._waited() - waited, 2 * seconds) - (now - begin - seconds)
                if more > 0.05:
                    end = now + more
                    continue
                raise WorkerError(f"it took longer than {seconds:g} seconds")
            if now >= self._look:
                self._watch()
                self._look = now + _WATCH_S
            wanted = min(end, self._look) - now
            sources: list[Any] = [self._socket, self._out]
            sinks: list[Any] = [self._socket] if pending else []
            readable, writable, _ = select.select(sources, sinks, [], max(wanted, 0))
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
                        raise WorkerError("it broke the protocol of the pipe")
                    self._drain()
                    return answer

    def _frame(self) -> dict[str, Any] | None:
        if len(self._input) < 4:
            return None
        (length,) = struct.unpack(">I", self._input[:4])
        if length > self.limits.frame_bytes:
            raise WorkerError("it announced an answer that is too large")
        if len(self._input) < 4 + length:
            return None
        frame = bytes(self._input[4 : 4 + length])
        del self._input[: 4 + length]
        try:
            return parse(frame)
        except WireError as error:
            raise WorkerError(f"it broke the protocol of the pipe: {error}") from error

    def _waited(self) -> float:
        """For how many seconds the worker has waited for a processor since it was born."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(Path(f"/proc/{self._worker}/schedstat").read_text().split()[1]) / 1e9
        return 0.0  # this kernel does not say

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
                raise WorkerError(f"it printed more than {most} MB")

    def take_printed(self) -> str:
        """What was printed since the last time, cut where it is long."""
        text = self.printed.decode("utf-8", "replace")
        self.printed.clear()
        kept = self.limits.printed_kept
        return text if len(text) <= kept else text[:kept] + "\n... (cut)"

    def _ended(self) -> WorkerError:
        """Why a worker that closed its pipe ended."""
        code = self._exit_code()
        if code is None:
            return WorkerError("it closed the pipe to the grader")
        if code < 0:
            with contextlib.suppress(ValueError):
                return WorkerError(f"it was ended by {signal.Signals(-code).name}")
        return WorkerError(f"it ended its process (exit status {code})")

    def _exit_code(self) -> int | None:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._process.wait(1)
        elif select.select([self._life], [], [], 1)[0]:
            with contextlib.suppress(OSError, ValueError):
                return int(self._life.recv(16))
        return None

    # --- watch and end ---------------------------------------------------------------------------

    def processes(self) -> list[int]:
        """The student's processes, seen from here."""
        parents = _parents()
        found = [self.root] if self.root in parents else []
        if self._process is not None:
            # No namespace holds them: orphans have become our own children (become_subreaper).
            found += [
                p for p, parent in parents.items() if parent == os.getpid() and p not in found
            ]
        for process in found:
            found += [p for p, parent in parents.items() if parent == process and p not in found]
        return [process for process in found if process is not None]

    def _watch(self) -> None:
        limits, memory, threads = self.limits, 0, 0
        page = os.sysconf("SC_PAGE_SIZE")
        for process in self.processes():
            with contextlib.suppress(OSError, IndexError, ValueError):  # it may end while we look
                memory += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * page
                threads += int(_stat(process)[17])
        if memory > limits.memory:
            raise WorkerError(f"it used more than {limits.memory >> 20} MB of memory")
        if threads > limits.processes + 1:  # the namespace's first process is ours
            raise WorkerError(f"it ran more than {limits.processes} processes")

    def end(self) -> None:
        """End the worker and every process that came of it, and wait until they are gone."""
        self._socket.close()
        if self._process is not None:
            self._end_bare(self._process)
        elif self._first is not None:
            self._end_namespace(self._first)
        self._life.close()
        os.close(self._out)

    def _end_namespace(self, gone: int) -> None:
        """End the first process of the namespace: when it is gone, all others are."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(gone, signal.SIGKILL)
        select.select([gone], [], [], 10.0)
        os.close(gone)

    def _end_bare(self, worker: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            left = [
                p for p in self.processes() if p != os.getpid() and _state(p) not in (None, "Z")
            ]
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            worker.poll()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if not left:
                break
            time.sleep(0.01)
        worker.poll()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def try_sandbox(nursery: Nursery, limits: Limits) -> None:
    """SandboxError unless a worker starts, answers and ends here."""
    nursery.ensure()
    sandbox = Sandbox(limits, nursery)
    try:
        sandbox.ask({"do": "hello"}, limits.start_s)
    except WorkerError as error:
        said = sandbox.take_printed()
        raise SandboxError(f"The sandbox starts, but no Python in it: {error}\n{said}") from error
    finally:
        sandbox.end()


def _free_user() -> int:
    """The number of a user that nobody is, and that this container can be."""
    wanted = _FIRST_USER + os.getpid()
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = map(int, line.split())
        if first <= wanted < first + count:
            return wanted
    return _SMALL_USERS + os.getpid() % _SMALL_USERS


def _namespaces(root: bool) -> list[str]:
    shared = [
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
    ]
    shared += ["--die-with-parent", "--new-session", "--hostname", "sandbox", "--cap-drop", "ALL"]
    # For the nursery, to make namespaces with; workers have none of them.
    shared += ["--cap-add", "CAP_SYS_ADMIN"]
    if root:
        return [*shared, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return [*shared, "--unshare-user", "--uid", str(_NOBODY), "--gid", str(_NOBODY)]


def shown() -> list[Path]:
    """The folders of this machine that are to be seen inside.

    The system's programs and this Python.
    """
    places = [Path("/usr"), Path(sys.base_prefix), Path(sys.prefix)]
    inside = {p for p in places for q in places if p != q and p.is_relative_to(q)}
    return [place for place in dict.fromkeys(places) if place not in inside]


def inside(path: Path) -> Path:
    """Where a path of this machine is inside.

    The environment has a place of its own, because its folder may be one that the sandbox has
    otherwise: /tmp, or a home.
    """
    if path.is_relative_to(sys.prefix) and sys.prefix != sys.base_prefix:
        return _ENVIRONMENT_FOLDER / path.relative_to(sys.prefix)
    return path


def _system() -> list[str]:
    words: list[str] = []
    places = {place: inside(place) for place in shown()}
    for place, there in places.items():
        if any(there.is_relative_to(taken) for taken in ("/tmp", "/dev", "/proc")):
            raise SandboxError(
                f"Python lies in {place}, and inside the sandbox that folder is the student's own. "
                f"What to do: make the environment with a Python that is installed elsewhere."
            )
    parents = {parent for there in places.values() for parent in there.parents} - {Path("/")}
    for parent in sorted({*parents, Path("/grading"), Path("/grading/modules")}):
        words += ["--perms", "0755", "--dir", str(parent)]  # else shut to the worker's user
    for place, there in places.items():
        words += ["--ro-bind", str(place), str(there)]
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
def _readable(data: bytes) -> Iterator[int]:
    """A descriptor from which a child can read the data."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield file.fileno()


def _stat(process: int) -> list[str]:
    """The fields of /proc/N/stat after the name, which may hold blanks and brackets."""
    return Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()


def _state(process: int) -> str | None:
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


def _get() -> int:
    """`make sandbox`: install bubblewrap where that can be done without asking, and try it."""
    if shutil.which("bwrap") is None and shutil.which("apt-get") and os.geteuid() == 0:
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update", "-q"], ["install", "-q", "-y", "bubblewrap"]):
            print("There is no bubblewrap yet: apt-get", *words, flush=True)
            subprocess.run(["apt-get", *words], env=quiet, stdin=subprocess.DEVNULL, check=False)
    nursery = Nursery(Limits())
    try:
        try_sandbox(nursery, Limits())
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 3
    finally:
        nursery.end()
    print("bubblewrap works: students' code can be confined on this machine.")
    return 0


if __name__ == "__main__":
    sys.exit(_get())
