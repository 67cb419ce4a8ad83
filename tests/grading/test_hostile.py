"""Hostile and broken notebooks, graded amid honest ones: nobody gains, nobody loses, the batch
ends, the host is as before.

Many attacks are written the other way round: the notebook gives right answers only where the attack
failed (`GOOD1` behind a condition), or only where it succeeded. Its scores then prove which it was.
"""

from __future__ import annotations

import dataclasses
import os
import re
import time
from pathlib import Path

import pytest
from grading_kit import FAST, FULL, GOOD1, answers, bundle, grade, hand_in, rows, scores
from shared import once

NONE = (0.0, 0.0, 0.0)
NO1, NO2, NO3 = (0.0, 3.0, 2.0), (4.0, 0.0, 2.0), (4.0, 3.0, 0.0)


def indented(code: str) -> str:
    return "".join(f"    {line}" for line in code.splitlines(True))


def only_if(attack: str, good: str = GOOD1) -> str:
    """A right answer only where the attack leaves `won` true."""
    right = f"if won:\n{indented(good)}"
    return f"won = False\n{attack}\n{right}\nelse:\n    size_of = lambda x: -1\n"


def unless(attack: str, good: str = GOOD1) -> str:
    """A right answer only where the attack leaves `won` false."""
    return f"won = False\n{attack}\nif not won:\n{indented(good)}\n"


FIND_CHANNEL = """\
import json, os, socket, struct, stat, threading, time
sockets = []
for fd in range(3, 256):
    try:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            sockets.append(fd)
    except OSError:
        pass
def forge(answer):
    body = json.dumps(answer).encode()
    for fd in sockets:
        try:
            os.write(fd, struct.pack(">I", len(body)) + body)
        except OSError:
            pass
"""

# name: notebook, scores of q1 q2 q3, what the status must hold
TABLE: dict[str, tuple[bytes, tuple[float | None, ...], str]] = {
    # --- broken by accident ---
    "syntax error": (
        answers(q1="def size_of(layers)\n    return 1\n"),
        NO1,
        "`size_of` is not defined",
    ),
    "cell that raises": (answers(first="1 / 0"), FULL, "^ok"),
    "function that raises": (answers(q1="def size_of(x):\n    return 1 / 0\n"), NO1, "^ok"),
    "wrong arity": (answers(q2="def jump_of():\n    return 2\n"), NO2, "^ok"),
    "not a function": (answers(q1="size_of = 5"), NO1, "^ok"),
    "function for a value": (answers(q3="def answer():\n    return 427\n"), NO3, "^ok"),
    "class for a value": (answers(q3="class answer(int):\n    pass\n"), NO3, "^ok"),
    "magics": (answers(first="%matplotlib inline\n!pip install x\nx = 1\nx?"), FULL, "^ok"),
    "cell magic": (answers(q1="%%time\n" + GOOD1, first="%%bash\nrm -rf /"), FULL, "^ok"),
    "renamed": (answers(q1=GOOD1.replace("size_of", "size")), NO1, "`size_of` is not defined"),
    "removed": (answers(q2="pass"), NO2, "`jump_of` is not defined"),
    "defined twice": (answers(q1="def size_of(x):\n    return 0\n", last=GOOD1), FULL, "^ok"),
    "broken later": (answers(last="def size_of(x):\n    return 0\n"), NO1, "^ok"),
    "asks for input": (answers(first="name = input('Your name? ')"), FULL, "^ok"),
    "float for int": (answers(q1=GOOD1.replace("return size", "return float(size)")), NO1, "^ok"),
    "true for one": (answers(q1="def size_of(x):\n    return True\n"), NO1, "^ok"),
    "fills the memory": (answers(first="x = bytearray(10**10)"), FULL, "^ok"),
    "checks in its own cells": (
        answers(first="grader.check('q1').passed.all()\ndisplay(1)"),
        FULL,
        "^ok",
    ),
    # --- hangs and ends ---
    "loop in a cell": (answers(first="while True:\n    pass"), FULL, "cell 4: it took longer"),
    "loop in a function": (
        answers(q2="def jump_of(x):\n    while True:\n        pass\n"),
        NO2,
        "took longer",
    ),
    "loop on other inputs": (
        answers(q2="def jump_of(x):\n    while len(x) > 1:\n        pass\n    return 2\n"),
        (4.0, 1.0, 2.0),
        "took longer",
    ),
    "loop in C, deaf to alarms": (
        answers(
            first="import itertools, signal\n"
            "for s in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:\n"
            "    signal.signal(s, signal.SIG_IGN)\n"
            "sum(itertools.repeat(0))"
        ),
        FULL,
        "cell 4: it took longer",
    ),
    "sleeps in each call": (
        answers(
            q1="import time\n" + GOOD1.replace("    return", "    time.sleep(0.9)\n    return")
        ),
        (None, None, None),
        "used up its 9 seconds",
    ),
    "sys.exit in a cell": (answers(first="import sys\nsys.exit(0)"), FULL, "^ok"),
    "quit in a function": (answers(q1="def size_of(x):\n    raise SystemExit\n"), NO1, "^ok"),
    "interrupt": (answers(first="raise KeyboardInterrupt"), FULL, "^ok"),
    "os._exit in a cell": (
        answers(first="import os\nos._exit(0)"),
        FULL,
        "cell 4: it ended its process",
    ),
    "os._exit in a function": (
        answers(q1="import os\ndef size_of(x):\n    os._exit(0)\n"),
        NO1,
        "`size_of`: it ended its process",
    ),
    "segmentation fault": (answers(first="import ctypes\nctypes.string_at(0)"), FULL, "SIGSEGV"),
    "segmentation fault in a function": (
        answers(q2="import ctypes\ndef jump_of(x):\n    ctypes.string_at(0)\n"),
        NO2,
        "SIGSEGV",
    ),
    "abort": (answers(first="import os\nos.abort()"), FULL, "SIGABRT"),
    "kills itself": (answers(first="import os\nos.kill(os.getpid(), 9)"), FULL, "SIGKILL"),
    "endless recursion": (
        answers(
            q1="import sys\nsys.setrecursionlimit(10**9)\n"
            "def size_of(x):\n    return [size_of(x)] + max([x], key=size_of)\n"
        ),
        NO1,
        "",
    ),
    "many processes die": (
        answers(*[f"import os\ndef {n}(x):\n    os._exit(3)\n" for n in ("size_of", "jump_of")]),
        (0.0, 0.0, 2.0),
        "exit status 3",
    ),
    # --- against the machine ---
    "kills all it can": (
        answers(
            first="import os, signal\n"
            "for p in [os.getppid(), 1, *range(2, 400)]:\n"
            "    if p != os.getpid():\n        try:\n            os.kill(p, 9)\n"
            "        except OSError:\n            pass"
        ),
        FULL,
        "",
    ),
    "kills its group": (
        answers(first="import os\ntry:\n    os.kill(-1, 9)\nfinally:\n    os.killpg(0, 9)"),
        FULL,
        "SIGKILL",
    ),
    "fork bomb": (answers(first="import os\nwhile True:\n    os.fork()"), FULL, ""),
    "forks that stay": (
        answers(
            first="import os, time\nfor _ in range(200):\n    try:\n        if os.fork() == 0:\n"
            "            time.sleep(100)\n    except OSError:\n        pass"
        ),
        FULL,
        "",
    ),
    "works on all cores": (
        answers(
            first="import os\ntry:\n    os.sched_setaffinity(0, range(8))\nexcept OSError:\n"
            "    pass\n"
            "for _ in range(15):\n    if os.fork() == 0:\n        while True:\n            pass"
        ),
        FULL,
        "",
    ),
    "thread bomb": (
        answers(
            first="import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, "
            "args=(99,)).start()"
        ),
        FULL,
        "",
    ),
    "memory, bit by bit": (
        answers(
            q1="def size_of(x):\n    rows = []\n    while True:\n"
            "        rows.append(bytes(10**6))\n"
        ),
        NO1,
        "",
    ),
    "memory in many processes": (
        answers(
            first="import os, time\nfor _ in range(12):\n    if os.fork() == 0:\n"
            "        x = bytearray(90 * 2**20)\n        time.sleep(100)\ntime.sleep(100)"
        ),
        FULL,
        "400 MB of memory",
    ),
    "memory without a name": (
        answers(
            q1=unless(
                "import os\ntry:\n    os.memfd_create('x')\n    won = True\nexcept OSError:\n"
                "    pass\n"
                "import ctypes\nwon = won or ctypes.CDLL(None).shmget(0, 1 << 20, 0o1600) >= 0"
            )
        ),
        FULL,
        "^ok",
    ),
    "memory that nobody has resident": (
        answers(
            q1=unless(
                "import mmap\ntry:\n    mmap.mmap(-1, 1 << 20)\n    won = True\n"
                "except OSError:\n    pass\n"
                "try:\n    with open('/dev/zero', 'r+b', buffering=0) as zeros:\n"
                "        mmap.mmap(zeros.fileno(), 1 << 20)\n    won = True\n"
                "except OSError:\n    pass\n"
                "mmap.mmap(-1, 1 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)"
            )
        ),
        FULL,
        "^ok",
    ),
    "memory in the buffers of sockets": (
        answers(
            q1=unless(
                "import socket\none, other = socket.socketpair()\none.setblocking(False)\n"
                "try:\n    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 30)\n"
                "except OSError:\n    pass\n"
                "sent = 0\ntry:\n    while True:\n        sent += one.send(bytes(4096))\n"
                "except OSError:\n    pass\n"
                "won = one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) > 1 << 19"
            )
        ),
        FULL,
        "^ok",
    ),
    "endless output": (
        answers(first="while True:\n    print('x' * 1000)"),
        FULL,
        "printed more than 1 MB",
    ),
    "endless output below Python": (
        answers(
            q1="import os\ndef size_of(x):\n    while True:\n        os.write(2, b'x' * 65536)\n"
        ),
        NO1,
        "printed more than 1 MB",
    ),
    "fills the disk": (
        answers(
            first="import os\nfor place in ('/tmp', '/dev/shm', '.'):\n    try:\n"
            "        for i in range(99):\n"
            "            with open(f'{place}/{i}', 'wb') as file:\n"
            "                file.write(bytes(2**20))\n"
            "    except OSError:\n        pass\nprint(sum(os.path.getsize(f'/tmp/{n}') for n in "
            "os.listdir('/tmp')))"
        ),
        FULL,
        "^ok",
    ),
    "fills the disk with empty files": (
        answers(
            q1=unless(
                "try:\n    for i in range(2000):\n        open(f'/tmp/{i}', 'w').close()\n"
                "    won = True\n"
                "except OSError:\n    pass"
            )
        ),
        FULL,
        "^ok",
    ),
    "one huge file": (
        answers(first="with open('/tmp/x', 'wb') as f:\n    f.truncate(10**12)\n"),
        FULL,
        "",
    ),
    "deletes everything": (
        answers(first="import shutil, os\nos.chdir('/')\nshutil.rmtree('/', ignore_errors=True)"),
        FULL,
        "",
    ),
    "writes to the system": (
        answers(
            q1=unless(
                "import os, sys\n"
                "places = ['/', '/usr', '/usr/bin', '/dev', '/etc', '/proc/sys/kernel', "
                "'/grading', sys.prefix,\n"
                "          os.path.dirname(os.__file__)]\n"
                "for place in places:\n    try:\n        open(place + '/mine', 'w').close()\n"
                "        won = True\n"
                "    except OSError:\n        pass"
            )
        ),
        FULL,
        "^ok",
    ),
    "network": (
        answers(
            q1=unless(
                "import socket\n"
                "for where in (('1.1.1.1', 53), ('127.0.0.1', 22), ('10.0.0.1', 80), "
                "('169.254.169.254', 80)):\n"
                "    try:\n        socket.create_connection(where, 0.2)\n        won = True\n"
                "    except OSError:\n        pass\n"
                "for family in (16, 17, 38, 40):\n    try:\n"
                "        socket.socket(family, socket.SOCK_RAW)\n"
                "        won = True\n    except OSError:\n        pass\n"
                "lines = open('/proc/net/dev').read().splitlines()[2:]\n"
                "won = won or any(not line.strip().startswith('lo:') for line in lines)"
            )
        ),
        FULL,
        "^ok",
    ),
    "orphans that hold the pipes": (
        answers(
            first="import os, time\nfor _ in range(5):\n    if os.fork() == 0:\n"
            "        os.setsid()\n"
            "        if os.fork():\n            os._exit(0)\n        time.sleep(1000)"
        ),
        FULL,
        "^ok",
    ),
    "orphans of a program": (
        answers(
            first="import subprocess\nfor _ in range(4):\n    subprocess.Popen(['/bin/sh', '-c', "
            "'sleep 1000 & sleep 1000'],"
            " start_new_session=True)"
        ),
        FULL,
        "^ok",
    ),
    "becomes root": (
        answers(
            q1=unless(
                "import os, ctypes\nlibc = ctypes.CDLL(None)\n"
                "for act in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: "
                "os.chroot('/tmp'), lambda: os.nice(-5)):\n"
                "    try:\n        act()\n        won = True\n    except OSError:\n        pass\n"
                "won = won or not libc.unshare(0x10000000) or not libc.mount(b'x', b'/tmp', "
                "b'tmpfs', 0, None)\n"
                "status = open('/proc/self/status').read()\n"
                "won = won or any(f'{k}:\\t0000000000000000' not in status for k in ('CapPrm', "
                "'CapEff', 'CapInh', 'CapAmb'))\n"
                "won = won or 'NoNewPrivs:\\t1' not in status or 'Seccomp:\\t2' not in status"
            )
        ),
        FULL,
        "^ok",
    ),
    "looks into other processes": (
        answers(
            q1=unless(
                "import os, ctypes\nlibc = ctypes.CDLL(None)\n"
                "others = [p for p in os.listdir('/proc') if p.isdigit() and int(p) != "
                "os.getpid()]\n"
                "won = len(others) > 1\n"
                "for p in [*others, '1', str(os.getppid())]:\n"
                "    for name in ('mem', 'environ', 'maps'):\n"
                "        try:\n            won = won or bool(open(f'/proc/{p}/{name}', "
                "'rb').read(1))\n"
                "        except OSError:\n            pass\n"
                "    won = won or libc.ptrace(16, int(p), 0, 0) == 0"
            )
        ),
        FULL,
        "^ok",
    ),
    # --- after the expected values ---
    "looks for the bundle": (
        answers(
            q1=only_if(
                "import os\nfor folder, folders, files in os.walk('/'):\n"
                "    folders[:] = [f for f in folders if f not in ('site-packages', 'share', "
                "'lib', 'proc', 'include')]\n"
                "    won = won or bool({'assignment.json', 'student.ipynb', 'q1.py', "
                "'solution.ipynb'} & set(files))"
            )
        ),
        NO1,
        "^ok",
    ),
    "looks for secrets around it": (
        answers(
            q1=only_if(
                "import os, sys\n"
                "text = repr(dict(os.environ)) + repr(sys.argv) + "
                "open('/proc/self/cmdline').read()\n"
                "won = any(word in text for word in ('SECRET', 'seed', 'pytest', 'submissions', "
                "'autograder'))"
            )
        ),
        NO1,
        "^ok",
    ),
    "walks frames and the heap": (
        answers(
            q1="import gc, sys\ndef size_of(x):\n    frame, found = sys._getframe(), []\n"
            "    while frame:\n"
            "        found += [v for v in frame.f_locals.values() if type(v) is int]\n"
            "        frame = frame.f_back\n"
            "    for o in gc.get_objects():\n        if isinstance(o, dict) and 'expected' in o:\n"
            "            found.append(o['expected'])\n        if callable(o) and getattr(o, "
            "'__name__', '').startswith('test_m'):\n"
            "            found.append(0)\n    return found[0] if found else -1\n"
        ),
        NO1,
        "^ok",
    ),
    "looks into descriptors": (
        answers(
            q1=only_if(
                "import os\nfor fd in range(256):\n    try:\n        os.lseek(fd, 0, 0)\n"
                "        won = won or b'test' in os.read(fd, 1 << 20)\n    except OSError:\n"
                "        pass"
            )
        ),
        NO1,
        "^ok",
    ),
    # --- objects that lie ---
    "always equal": (
        answers(
            q1="class Always(int):\n    __eq__ = lambda *a: True\n    __hash__ = int.__hash__\n"
            "    __index__ = __int__ = lambda self: 5\n"
            "def size_of(x):\n    return Always(3)\n",
            q3="answer = Always(3)",
        ),
        (0.0, 3.0, 0.0),
        "^ok",
    ),
    "equal to all, of no type": (
        answers(
            q3="class Any:\n    __class__ = int\n    __eq__ = lambda *a: True\n"
            "    __len__ = __index__ = lambda s: 427\n"
            "    __iter__ = lambda s: iter(int, 1)\n    __getattr__ = lambda s, n: s\n"
            "    __call__ = lambda s, *a: s\n"
            "    __repr__ = lambda s: '427'\nanswer = Any()\n"
        ),
        NO3,
        "",
    ),
    "hostile methods": (
        answers(
            q1="def bad(*a, **k):\n    raise SystemExit\n"
            "class Bad(list):\n    pass\n"
            "for n in '__iter__ __len__ __repr__ __str__ __eq__ __getitem__ __hash__ __bool__ "
            "__reduce__ __del__'.split():\n"
            "    setattr(Bad, n, bad)\n"
            "def size_of(x):\n    return Bad([1])\n",
            q2="class Text(str):\n    __str__ = __repr__ = lambda s: s.upper() * 10**9\n"
            "def jump_of(x):\n    return Text('2')\n",
        ),
        (0.0, 0.0, 2.0),
        "^ok",
    ),
    "endless iterator": (
        answers(
            q1="import itertools\ndef size_of(x):\n    return itertools.count()\n",
            q2="class Forever(tuple):\n    def __iter__(self):\n        while True:\n"
            "            yield 2\n"
            "def jump_of(x):\n    return Forever((1,))\n",
        ),
        (0.0, 0.0, 2.0),
        "^ok",
    ),
    "hostile exception": (
        answers(
            q1="class Meta(type):\n    __name__ = property(lambda s: 1 / 0)\n"
            "class Evil(Exception, metaclass=Meta):\n    def __str__(self):\n        raise Evil\n"
            "def size_of(x):\n    raise Evil\n",
            q2="class Long(Exception):\n    def __str__(self):\n        while True:\n"
            "            pass\n"
            "def jump_of(x):\n    raise Long\n",
        ),
        (0.0, 0.0, 2.0),
        "",
    ),
    "pickle": (
        answers(
            q1="import os\nclass Bomb:\n    def __reduce__(self):\n"
            "        return os.system, ('touch /tmp/grading-pwned',)\n"
            "def size_of(x):\n    return Bomb()\n",
            q3="import pickle\nanswer = pickle.dumps(Bomb())\n",
        ),
        (0.0, 3.0, 0.0),
        "^ok",
    ),
    "huge ints": (
        answers(
            q1="def size_of(x):\n    return 10**3999\n",
            q2="def jump_of(x):\n    return 2**(8 * 10**6)\n",
        ),
        (0.0, 0.0, 2.0),
        "^ok",
    ),
    "deep and endless lists": (
        answers(
            q1="def size_of(x):\n    y = []\n    for _ in range(10**5):\n        y = [y]\n"
            "    return y\n",
            q2="def jump_of(x):\n    y = []\n    y.append(y)\n    return y\n",
            q3="answer = [1] * 10**6 * 9\n",
        ),
        NONE,
        "",
    ),
    "nan and surrogates": (
        answers(
            q1="def size_of(x):\n    return float('nan')\n",
            first="print('\\ud800')",
            q2="def jump_of(x):\n    raise ValueError('\\udfff\\x1b[2J\\x00')\n",
            q3="answer = {'\\ud800': float('inf'), 1: (None, ...)}\n",
        ),
        NONE,
        "^ok",
    ),
    # --- against the worker and the pipe ---
    "patches builtins": (
        answers(
            q1="import builtins\nbuiltins.isinstance = builtins.callable = lambda *a: True\n"
            "builtins.len = builtins.str = builtins.type = builtins.type\n"
            "builtins.int.__eq__\n" + GOOD1.replace("return size", "return 3"),
        ),
        NO1,
        "",
    ),
    "patches json and struct": (
        answers(
            q1='import json, struct\njson.dumps = lambda *a, **k: \'{"ok": ["b", true]}\'\n'
            "json.JSONEncoder.encode = json.dumps\nstruct.pack = lambda *a: b'\\0\\0\\0\\0'\n"
            "def size_of(x):\n    return 3\n"
        ),
        NO1,
        "",
    ),
    "patches the worker": (
        answers(
            q1="import gc, types\nfor o in gc.get_objects():\n"
            "    if isinstance(o, type) and o.__name__ == 'Values':\n"
            "        o.write = lambda self, value, depth=0: ['b', True]\n"
            "def size_of(x):\n    return 3\n",
            q2="def jump_of(x):\n    return 3\n",
            q3="answer = 3",
        ),
        NONE,
        "",
    ),
    "forges answers": (
        answers(
            q1="",
            q2="",
            q3="",
            first=FIND_CHANNEL + "for v in (['i', '5'], ['b', True], ['t', [['i', '427']]]):\n"
            "    forge({'id': '2-x', 'ok': v})\n    forge({'ok': v, 'score': 9, 'passed': True})",
        ),
        NONE,
        "broke the protocol",
    ),
    "forges answers with the right number": (
        answers(
            q1=FIND_CHANNEL + "import sys\ndef size_of(x):\n    frame = sys._getframe()\n"
            "    while 'request' not in frame.f_locals:\n        frame = frame.f_back\n"
            "    forge({'id': frame.f_locals['request']['id'], 'ok': ['i', '5']})\n"
            "    time.sleep(5)\n"
        ),
        (1.0, 0.0, 2.0),
        "",
    ),
    "forges all the time": (
        answers(
            last=FIND_CHANNEL
            + "def loop():\n    while True:\n        forge({'id': '9-0', 'ok': ['b', True]})\n"
            "threading.Thread(target=loop, daemon=True).start()\ntime.sleep(0.1)"
        ),
        FULL,
        "broke the protocol",
    ),
    "floods the pipe": (
        answers(
            first=FIND_CHANNEL
            + "for fd in sockets:\n    os.write(fd, struct.pack('>I', 2**31) + b'[' * 10**6)"
        ),
        FULL,
        "too large",
    ),
    "floods with brackets": (
        answers(
            first=FIND_CHANNEL + "for fd in sockets:\n    body = b'[' * (4 * 10**6)\n"
            "    body = struct.pack('>I', len(body)) + body\n    while body:\n"
            "        body = body[os.write(fd, body):]"
        ),
        FULL,
        "broke the protocol",
    ),
    "forges a float beyond all floats": (
        answers(
            q1=FIND_CHANNEL + "import sys\ndef size_of(x):\n    frame = sys._getframe()\n"
            "    while 'request' not in frame.f_locals:\n        frame = frame.f_back\n"
            "    forge({'id': frame.f_locals['request']['id'], 'ok': ['f', '0x1.0p+9999']})\n"
            "    time.sleep(5)\n"
        ),
        NO1,
        "broke the protocol",
    ),
    "forges a dict whose keys have one hash": (
        answers(
            q2=FIND_CHANNEL + "import sys\ndef jump_of(x):\n    frame = sys._getframe()\n"
            "    while 'request' not in frame.f_locals:\n        frame = frame.f_back\n"
            "    pairs = [[['i', str(k * (2**61 - 1))], ['n']] for k in range(50000)]\n"
            "    forge({'id': frame.f_locals['request']['id'], 'ok': ['d', pairs]})\n"
            "    time.sleep(5)\n"
        ),
        NO2,
        "broke the protocol",
    ),
    "half a message": (
        answers(
            first=FIND_CHANNEL
            + "for fd in sockets:\n    os.write(fd, b'\\0\\0\\1\\0half')\ntime.sleep(60)"
        ),
        FULL,
        "took longer",
    ),
    "closes everything": (answers(first="import os\nos.closerange(0, 256)"), FULL, "cell 4"),
    "closes its output": (
        answers(first="import os, sys\nsys.stdout.close()\nos.close(2)"),
        FULL,
        "",
    ),
    "reads the requests": (
        answers(first=FIND_CHANNEL + "for fd in sockets:\n    os.read(fd, 10)"),
        FULL,
        "took longer",
    ),
    "answers in another's name": (
        answers(
            q1=FIND_CHANNEL
            + "def size_of(x):\n    forge({'id': '0', 'student': 'honest0', 'scores': [0]})\n"
            "    return 5\n"
        ),
        NO1,
        "broke the protocol",
    ),
    "leaves a trap for the next": (
        answers(
            first="import os\nfor place in ('/tmp/notebook', '/tmp', '/grading'):\n"
            "    for n in ('json', 'fractions', 'random'):\n"
            "        try:\n            open(f'{place}/{n}.py', 'w').write('1 / 0')\n"
            "        except OSError:\n            pass"
        ),
        FULL,
        "",
    ),
    "handlers at the end": (
        answers(
            first="import atexit, signal, threading, time\natexit.register(time.sleep, 1000)\n"
            "signal.signal(signal.SIGTERM, lambda *a: time.sleep(1000))\n"
            "class D:\n    def __del__(self):\n        time.sleep(1000)\nd = D()\n"
            "threading.Thread(target=time.sleep, args=(1000,)).start()"
        ),
        FULL,
        "^ok",
    ),
}


def strangers() -> set[int]:
    """Processes that only a worker can be: of users that nobody else has, or running the worker."""
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{name}/cmdline").read_bytes()
            if os.stat(f"/proc/{name}").st_uid >= 1_000_000 or b"/grading/worker.py" in command:
                found.add(int(name))
        except OSError:
            pass
    return found


def grade_table(folder: Path) -> None:
    """Grade the whole table amid honest notebooks, and look at the host before and after."""
    notebooks = {f"h{i:02d} {name}": data for i, (name, (data, _, _)) in enumerate(TABLE.items())}
    for i in range(12):
        notebooks[f"honest{i}"] = answers(q3=f"answer = {427 + i % 2}\n# {i}")
    submissions = hand_in(folder / "submissions", notebooks)
    before = (set(os.listdir("/proc/self/fd")), files())
    assert grade(bundle(folder / "bundle"), submissions, folder / "out") == 0
    assert set(os.listdir("/proc/self/fd")) == before[0]
    assert files() == before[1]
    end = time.monotonic() + 60
    left = strangers()
    while left & strangers() and time.monotonic() < end:
        time.sleep(0.05)  # those of a neighbouring test end by themselves
    assert not left & strangers()


def files() -> set[str]:
    """What the notebooks of the table would have left on the disk, had they reached it."""
    names = ("grading-pwned", "x", "mine", "notebook", "json.py", *map(str, range(3)))
    places = ("/tmp", "/dev/shm", "/", "/usr", "/etc", os.path.dirname(os.__file__))
    return {f"{place}/{name}" for place in places for name in names if Path(place, name).exists()}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The rows of the one batch."""
    return rows(once(tmp_path_factory, "hostile", grade_table) / "out")


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_nobody_gains(table: dict[str, dict[str, str]], name: str) -> None:
    _, wanted, status = TABLE[name]
    row = table[f"h{list(TABLE).index(name):02d} {name}"]
    assert scores(row) == wanted, row["status"]
    assert re.search(status, row["status"]), row["status"]


@pytest.mark.slow
@pytest.mark.parametrize("i", range(12))
def test_nobody_loses(table: dict[str, dict[str, str]], i: int) -> None:
    row = table[f"honest{i}"]
    assert (scores(row), row["status"]) == ((4.0, 3.0, 2.0 if i % 2 == 0 else 0.0), "ok")


def test_a_notebook_that_answers_for_itself(tmp_path: Path) -> None:
    """It says that much was left out of each of its cells: neither page nor journal grows."""
    serve = (
        FIND_CHANNEL + "import sys\nframe = sys._getframe()\n"
        "while 'request' not in frame.f_locals:\n    frame = frame.f_back\n"
        "number, lines = frame.f_locals['request']['id'], ['l', [['s', 'x' * 4_000_000]]]\n"
        "while True:\n    forge({'id': number, 'ok': lines})\n    more = b''\n"
        "    while len(more) < 4 or len(more) < 4 + struct.unpack('>I', more[:4])[0]:\n"
        "        more += os.read(sockets[0], 1 << 20)\n"
        "    number = json.loads(more[4:])['id']\n"
    )
    submissions = hand_in(tmp_path / "in", {"eve": answers(first=serve), "alice": answers()})
    out = tmp_path / "out"
    assert grade(bundle(tmp_path / "bundle"), submissions, out) == 0
    assert scores(rows(out)["alice"]) == FULL
    assert scores(rows(out)["eve"]) == (0, 0, 0)
    assert (out / "journal.jsonl").stat().st_size < 100_000
    assert (out / "feedback" / "eve.html").stat().st_size < 100_000


@pytest.mark.slow
def test_cells_whose_answers_take_long_to_read(tmp_path: Path) -> None:
    """The time to read them is the student's, not that of the first test."""
    serve = (
        FIND_CHANNEL + "import sys\nframe = sys._getframe()\n"
        "while 'request' not in frame.f_locals:\n    frame = frame.f_back\n"
        "request = frame.f_locals['request']\nlong = ['l', [['n']] * 300_000]\n"
        "while True:\n"
        "    forge({'id': request['id'], 'ok': long if request['do'] == 'cell' else ['n']})\n"
        "    more = b''\n"
        "    while len(more) < 4 or len(more) < 4 + struct.unpack('>I', more[:4])[0]:\n"
        "        more += os.read(sockets[0], 1 << 20)\n"
        "    request = json.loads(more[4:])\n"
    )
    submissions = hand_in(tmp_path / "in", {"eve": answers(first=serve)})
    limits = dataclasses.replace(FAST, test_cpu_s=0.5, student_s=60, call_s=10)
    out = tmp_path / "out"
    assert grade(bundle(tmp_path / "bundle"), submissions, out, limits=limits) == 0
    assert scores(rows(out)["eve"]) == (0, 0, 0), rows(out)["eve"]["status"]


def test_the_table_is_long() -> None:
    assert len(TABLE) >= 40
