"""The sandbox's promises, seen from inside and from outside, as root and as an ordinary user."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from grading_kit import FAST, ROOT, readable_python

from grading.sandbox import Nursery, Sandbox, SandboxError, WorkerError, shown
from grading.values import decode

pytestmark = pytest.mark.slow  # each starts sandboxes of its own

REPORT = """\
import os, socket, stat
def report():
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
    mounts = [line.split() for line in open("/proc/mounts")]
    sockets = 0
    for fd in range(256):
        try:
            sockets += stat.S_ISSOCK(os.fstat(fd).st_mode)
        except OSError:
            pass
    return {
        "root": sorted(os.listdir("/")),
        "writable": sorted({m[1] for m in mounts if os.path.isdir(m[1]) and os.access(m[1], 2)}),
        "sizes": [os.statvfs(p).f_blocks * os.statvfs(p).f_frsize for p in ("/tmp", "/dev/shm")],
        "processes": sorted(int(p) for p in os.listdir("/proc") if p.isdigit()),
        "network": [line.split(":")[0].strip() for line in open("/proc/net/dev")][2:],
        "capabilities": [status[k].strip() for k in ("CapInh", "CapPrm", "CapEff", "CapAmb")],
        "privileges": status["NoNewPrivs"].strip() + status["Seccomp"].strip(),
        "user": os.getuid(),
        "groups": os.getgroups(),
        "environment": sorted(os.environ),
        "descriptors": [fd for fd in range(256) if exists(fd)],
        "sockets": sockets,
        "folder": os.getcwd(),
        "left": os.listdir("."),
        "host": socket.gethostname(),
        "project": [p for p in PLACES if os.path.exists(p)],
    }
def exists(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
"""


@pytest.fixture
def sandbox(nursery: Nursery) -> Iterator[Sandbox]:
    found = Sandbox(FAST, nursery)
    yield found
    found.end()


def run(sandbox: Sandbox, source: str, seconds: float = 10) -> None:
    answer = sandbox.ask({"do": "cell", "number": 1, "source": source}, seconds)
    assert "ok" in answer, answer


def call(sandbox: Sandbox, name: str) -> object:
    answer = sandbox.ask({"do": "call", "name": name, "args": [], "kwargs": {}}, 10)
    assert "ok" in answer, answer
    return decode(answer["ok"], 1)


def test_what_is_seen_from_inside(sandbox: Sandbox) -> None:
    places = [
        str(ROOT / "grading"),
        str(ROOT / "tests"),
        "/home",
        "/etc/passwd",
        "/etc/shadow",
        "/var",
        "/run",
    ]
    run(sandbox, f"PLACES = {places!r}\n{REPORT}")
    seen = call(sandbox, "report")
    assert isinstance(seen, dict)
    assert not {"home", "var", "run", "srv", "opt", "mnt", "sys", "boot"} & set(seen["root"])
    assert seen["project"] == []
    assert seen["writable"] == ["/dev/shm", "/tmp"]
    assert seen["sizes"] == [FAST.tmp_bytes, FAST.tmp_bytes]
    assert len(seen["processes"]) == 2  # the namespace's first and itself
    assert set(seen["network"]) <= {"lo"}
    assert set(seen["capabilities"]) == {"0000000000000000"}
    assert seen["privileges"] == "12"
    assert seen["user"] != 0
    assert 0 not in seen["groups"]
    assert not {"SECRET", "PYTHONPATH", "PYTEST_CURRENT_TEST"} & set(seen["environment"])
    assert len(seen["environment"]) < 20
    assert seen["descriptors"] == [0, 1, 2, 3]
    assert seen["sockets"] == 1
    assert (seen["folder"], seen["left"]) == ("/tmp/notebook", [])
    assert seen["host"] == "sandbox"


def test_the_system_is_bound_read_only() -> None:
    for place in shown():
        assert place.is_dir()
        assert not ROOT.is_relative_to(place), "the project must not be seen"


def test_workers_share_nothing(nursery: Nursery) -> None:
    one, other = Sandbox(FAST, nursery), Sandbox(FAST, nursery)
    try:
        run(
            one,
            "import json, sys\nopen('/tmp/mine', 'w').write('x')\n"
            "open('/dev/shm/mine', 'w').close()\n"
            "json.mine = sys.mine = 1\nimport socket\ns = socket.socket(socket.AF_UNIX)\n"
            "s.bind('\\0mine')\ns.listen()\n",
        )
        run(
            other,
            "import json, os, socket, sys\n"
            "assert not os.path.exists('/tmp/mine') and os.listdir('/dev/shm') == []\n"
            "assert not hasattr(json, 'mine') and not hasattr(sys, 'mine')\n"
            "assert len([p for p in os.listdir('/proc') if p.isdigit()]) == 2\n"
            "try:\n    socket.socket(socket.AF_UNIX).connect('\\0mine')\n"
            "except ConnectionRefusedError:\n    pass\nelse:\n    raise AssertionError\n",
        )
    finally:
        one.end()
        other.end()


def test_nothing_is_left_at_the_end(nursery: Nursery) -> None:
    """Neither forks of forks in sessions of their own nor programs outlive `end`."""
    sandbox = Sandbox(FAST, nursery)
    run(
        sandbox,
        "import os, subprocess, time\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0:\n        os.setsid()\n        if os.fork():\n"
        "            os._exit(0)\n"
        "        time.sleep(1000)\n"
        "subprocess.Popen(['/bin/sleep', '1000'], start_new_session=True)\ntime.sleep(0.2)\n",
    )
    there = sandbox.processes()
    assert len(there) >= 5
    sandbox.end()
    assert [p for p in there if running(p)] == []


def running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_nothing_is_left_when_the_grader_is_killed() -> None:
    """Not even when it has no chance to do anything about it."""
    script = (
        "from grading_kit import FAST\nfrom grading.sandbox import Nursery, Sandbox\nimport time\n"
        "n = Nursery(FAST)\nn.ensure()\ns = Sandbox(FAST, n)\n"
        "s.ask({'do': 'cell', 'number': 1, 'source': 'import os, time\\nif os.fork() == 0:\\n    "
        "time.sleep(1000)'}, 9)\n"
        "print(*s.processes(), n._process.pid, flush=True)\ntime.sleep(1000)\n"
    )
    grader = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert grader.stdout is not None
    there = [int(word) for word in grader.stdout.readline().split()]
    assert len(there) >= 4
    assert all(running(p) for p in there)
    grader.kill()
    grader.wait()
    grader.stdout.close()
    end = time.monotonic() + 20
    while any(running(p) for p in there) and time.monotonic() < end:
        time.sleep(0.02)
    assert [p for p in there if running(p)] == []


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("while True:\n    pass", "longer than 1.5 seconds"),
        ("import os\nos._exit(7)", "exit status 7"),
        ("import ctypes\nctypes.string_at(0)", "SIGSEGV"),
        ("while True:\n    print('x' * 9999)", "printed more than 1 MB"),
        ("import os\nos.closerange(3, 9)", "exit status 1"),
        (
            "import os, time\nfor _ in range(9):\n    if os.fork() == 0:\n"
            "        x = bytearray(99 << 20)\n"
            "        time.sleep(9)\ntime.sleep(9)",
            "400 MB of memory",
        ),
    ],
)
def test_why_a_worker_ended(sandbox: Sandbox, source: str, reason: str) -> None:
    with pytest.raises(WorkerError, match=reason):
        sandbox.ask({"do": "cell", "number": 1, "source": source}, FAST.call_s)


def test_limits_of_a_process(sandbox: Sandbox) -> None:
    run(
        sandbox,
        "import os, resource, threading, time\n"
        "for act in (lambda: bytearray(2 << 30), lambda: open('/tmp/x', 'wb').truncate(1 << 30)):\n"
        "    try:\n        act()\n    except (MemoryError, OSError):\n        continue\n"
        "    raise AssertionError\n"
        "for name in ('NPROC', 'AS', 'FSIZE', 'NOFILE', 'CPU', 'CORE'):\n"
        "    which = getattr(resource, 'RLIMIT_' + name)\n"
        "    soft, hard = resource.getrlimit(which)\n    assert soft == hard >= 0, name\n"
        "    try:\n        resource.setrlimit(which, (hard, hard + 1))\n"
        "    except (ValueError, OSError):\n        continue\n    raise AssertionError(name)\n",
    )


def test_the_number_of_processes(sandbox: Sandbox) -> None:
    """Root's worker meets the kernel's limit.

    An ordinary user's, which counts otherwise, the watch.
    """
    source = (
        "import threading, time\nstarted = 0\ntry:\n    while True:\n"
        "        threading.Thread(target=time.sleep, args=(99,), daemon=True).start()\n"
        "        started += 1\n"
        "except RuntimeError:\n    pass\n"
    )
    try:
        run(sandbox, source)
        answer = sandbox.ask({"do": "get", "name": "started"}, 5)
        (started,) = decode(answer["ok"], 1)  # type: ignore[misc]
        assert 5 < started < FAST.processes
    except WorkerError as death:
        if os.geteuid() == 0 or "processes" not in str(death):
            raise


def test_a_worker_that_does_not_come_to_life(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Nursery(FAST, ("no_such_module",))
    found.ensure()
    with pytest.raises(SandboxError, match="no_such_module"):
        Sandbox(FAST, found)
    found.end()


def test_a_dead_nursery_is_started_anew(nursery: Nursery) -> None:
    assert nursery._process is not None
    nursery._process.send_signal(signal.SIGKILL)
    nursery._process.wait()
    nursery.ensure()
    sandbox = Sandbox(FAST, nursery)
    assert sandbox.ask({"do": "hello"}, 10)["ok"] == ["n"]
    sandbox.end()


def test_as_an_ordinary_user(tmp_path: Path) -> None:
    """The same promises where bubblewrap makes a user namespace.

    This very file, told to another user.
    """
    script = f"""\
import sys
sys.path[:0] = [{str(tmp_path)!r}]
from grading.limits import Limits, MIB
from grading.sandbox import Nursery, Sandbox, WorkerError
from grading.values import decode
limits = Limits(call_s=2, memory=400 * MIB, processes=24, tmp_bytes=8 * MIB)
n = Nursery(limits)
n.ensure()
def running(process):
    try:
        return open(f"/proc/{{process}}/stat").read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
def fresh():
    return Sandbox(limits, n)
s = fresh()
source = {REPORT!r}
source = "PLACES = [{str(tmp_path)!r}, '/etc/passwd']\\n" + source
assert "ok" in s.ask({{"do": "cell", "number": 1, "source": source}}, 9)
seen = decode(s.ask({{"do": "call", "name": "report", "args": [], "kwargs": {{}}}}, 9)["ok"], 1)
assert seen["project"] == [], seen
assert seen["writable"] == ["/dev/shm", "/tmp"], seen
assert len(seen["processes"]) == 2, seen
assert set(seen["network"]) <= {{"lo"}}, seen
assert set(seen["capabilities"]) == {{"0000000000000000"}} and seen["privileges"] == "12", seen
assert seen["descriptors"] == [0, 1, 2, 3], seen
attack = '''
import ctypes, os
libc = ctypes.CDLL(None)
assert libc.unshare(0x10000000) and libc.mount(b"x", b"/tmp", b"tmpfs", 0, None)
assert libc.ptrace(16, 1, 0, 0)
for name in ("mem", "environ"):
    try:
        assert not open(f"/proc/1/{{name}}", "rb").read(1)
    except OSError:
        pass
try:
    os.kill(1, 9)
except OSError:
    pass
'''
answer = s.ask({{"do": "cell", "number": 2, "source": attack}}, 9)
assert "ok" in answer, answer
there = s.processes()
s.end()
import os
assert not [p for p in there if running(p)]
for source, reason in (
    ("import os\\nwhile True:\\n    os.fork()", ""),
    (
        "import os, time\\nfor _ in range(60):\\n    if os.fork() == 0:\\n        time.sleep(99)\\n"
        "time.sleep(99)",
        "processes",
    ),
    ("while True:\\n    pass", "longer"),
):
    s = fresh()
    try:
        answer = s.ask({{"do": "cell", "number": 1, "source": source}}, 2)
        # Whether the kernel stops the forks first or the watch sees them hangs on the kernel's age.
        assert not reason or "BlockingIOError" in repr(answer), answer
    except WorkerError as death:
        assert reason in str(death), death
    there = s.processes()
    s.end()
    assert not [p for p in there if running(p)]
n.end()
print("all of it")
"""
    shutil.copytree(
        ROOT / "grading", tmp_path / "grading", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "script.py").write_text(script)
    for path in (tmp_path, *tmp_path.parents):
        if path != Path("/tmp") and path.is_relative_to("/tmp"):
            path.chmod(0o755)
    done = subprocess.run(
        [readable_python(), str(tmp_path / "script.py")],
        **({"user": 64321, "group": 64321, "extra_groups": []} if os.geteuid() == 0 else {}),
        env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "all of it\n", done.stderr
