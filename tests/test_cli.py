"""The command: what it prints, draws and refuses, against rflib's own answers."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rflib
from rflib import cli, networks
from rflib._given import UsageError, layers_of

ROOT = Path(__file__).resolve().parent.parent

MODELS = '''
import torch
from torch import nn

print("a module that prints when it is imported")
number = 3
module = nn.Conv1d(2, 2, 3)


class Net(nn.Sequential):
    """What it reads has holes, and two sizes by turns."""

    def __init__(self, channels=8):
        up = nn.ConvTranspose2d(channels, channels, 3, 2)
        super().__init__(nn.Conv2d(3, channels, 3, dilation=2), nn.MaxPool2d(2), up)

    def forward(self, x):
        print("a forward that prints")
        return super().forward(x)


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.gate = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        x = self.conv(x)
        return x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid()


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 5, padding=2)
        self.unused = nn.ReLU()

    def forward(self, left, right):
        return self.a(left) + self.b(right)


class Several(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv1d(1, 1, 3)

    def forward(self, x):
        return {"out": self.c(self.c(x)), "aux": x}


class Deciding(nn.Conv1d):
    def __init__(self):
        super().__init__(1, 1, 3)

    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x


class Unknown(nn.Conv2d):
    def __init__(self):
        super().__init__(1, 1, 3)

    def forward(self, x):
        return torch.linalg.svd(super().forward(x))[1]


class Padded(nn.Sequential):
    def __init__(self):
        super().__init__(nn.ConstantPad2d((9, 0, 0, 0), 0.0), nn.Conv2d(1, 1, 3))


class Amid(nn.Sequential):
    """No unit reads the last row, not even one whose field would reach beyond the image."""

    def __init__(self):
        super().__init__(nn.Conv2d(3, 1, 3, 2), nn.ZeroPad2d(4), nn.Conv2d(1, 1, 5))


def volume(depth=3):
    return nn.Sequential(nn.Conv3d(1, 2, (1, 3, 3)), nn.Conv3d(2, 2, depth, stride=2))


def needs(channels):
    raise RuntimeError(f"no luck with {channels!r}")


def leaves():
    raise SystemExit("bye")
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("models")
    (made / "model.py").write_text(MODELS, encoding="utf-8")
    (made / "lacking.py").write_text("import no_such_package", encoding="utf-8")
    (made / "broken.py").write_text("def net(:", encoding="utf-8")
    return made


@pytest.fixture
def run(folder, monkeypatch, capsys):
    """Call the command in the folder of the models: (exit code, stdout, stderr)."""
    monkeypatch.chdir(folder)

    def call(*argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = cli.main(argv)
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return call


def described(run, *argv):
    code, out, _ = run(*argv, "--json")
    assert code == 0
    return json.loads(out)


# --- the spec of layers ---------------------------------------------------------------------------


def entries(least):
    number = st.integers(least, 12)
    return st.one_of(number, st.tuples(number, number))


def written(value):
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


@given(
    st.lists(
        st.tuples(st.booleans(), entries(1), entries(1), entries(0), entries(1)),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([" ", ",", ", ", "\n"]),
)
def test_a_spec_gives_the_layers_that_were_written(numbers, between):
    """Defaults are left out at random: whatever equals its default, in every second layer."""
    pieces = []
    for i, (transposed, kernel, stride, padding, dilation) in enumerate(numbers):
        terse = i % 2
        piece = "t" * transposed + written(kernel)
        piece += "" if terse and stride == 1 else f"/{written(stride)}"
        piece += "" if terse and padding == 0 else f"p{written(padding)}"
        piece += "" if terse and dilation == 1 else f"d{written(dilation)}"
        pieces.append(piece)
    wanted = [rflib.Layer(k, s, p, d, transposed=t) for t, k, s, p, d in numbers]
    assert layers_of(between.join(pieces)) == wanted


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "'' names no layer; write each as [t]KERNEL"),
        (" , ", "names no layer"),
        ("3 k3", "'k3' is not a layer"),
        ("3 /2", "'/2' is not a layer"),
        ("7/ 3", "'7/' cannot be read from '/' on"),
        ("7//2", "'7//2' cannot be read from '//2' on"),
        ("7:2", "'7:2' cannot be read from ':2' on"),
        ("3d2p1", "'3d2p1' cannot be read from 'p1' on"),
        ("3p1p2", "'3p1p2' cannot be read from 'p2' on"),
        ("3X5", "'3X5' cannot be read from 'X5' on"),
        ("3x", "'3x' cannot be read from 'x' on"),
        ("-3", "'-3' is not a layer"),
        ("3.5", "'3.5' cannot be read from '.5' on"),
        ("٣", "'٣' is not a layer"),
        ("0", "'0': kernel must be an integer of at least 1; got 0"),
        ("3/0", "'3/0': stride must be"),
        ("3d0", "'3d0': dilation must be"),
        ("3/2psame", """'3/2psame': padding="same" must go with a stride of 1"""),
        ("3x5/1x2x3", "'3x5/1x2x3': kernel, stride, padding"),
        ("3x5 3 1x1x1", "'3x5' has 2 axes and '1x1x1' has 3"),
        ("1" * 5000, "a number must have at most 9 digits"),
    ],
)
def test_a_wrong_spec_is_quoted(run, spec, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        layers_of(spec)
    assert run("--layers", spec)[0] == 2


def test_a_spec_needs_the_standard_library_alone():
    code = """
import sys
for name in ("torch", "numpy", "matplotlib", "PIL", "IPython", "ipywidgets", "anywidget"):
    sys.modules[name] = None
from rflib.cli import main
assert main(["--layers", "7/2p3 3/2p1 3p1", "--input", "224"]) == 0
assert main(["--layers", "t4/2 3x3d2", "--unit", "3,3", "--json"]) == 0
assert main(["--layers", "3", "--plot", "a.svg"]) == 1
assert main(["os:getcwd"]) == 1
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("which is not installed") == 2
    assert "this needs matplotlib" in done.stderr


def test_the_table_of_a_spec(run):
    assert run("--layers", "7/2p3, 3/2p1, 3p1", "--input", "224") == (
        0,
        "layer  kernel/stride  size  jump  start  units\n"
        "    0  7/2               7     2      0    112\n"
        "    1  3/2              11     4      0     56\n"
        "    2  3/1              19     4      0     56\n",
        "",
    )
    assert run("--layers", "3x5/1x2")[1] == f"{rflib.recurrence([((3, 5), (1, 2))])}\n"


def test_one_field_of_a_spec(run):
    assert run("--layers", "3p1d2 t3/2 9", "--layer", "1", "--unit", "4", "--input", "20")[1] == (
        "layer 1, 3/2 transposed\n"
        "units   37\n"
        "size    6 pixels\n"
        "sizes   6 for 1/2 of the units, 5 for 1/2 of the units\n"
        "jump    1/2\n"
        "start   1/2\n"
        "unit 4  reads pixels 0 to 5 (6)\n"
    )
    outside = run("--layers", "3p1 3p1", "--unit", "0")[1]
    assert outside.endswith("unit 0  reads pixels -2 to 2 (5)\n")
    holes = run("--layers", "3d2 3d2", "--unit", "0")[1]
    assert holes.endswith("reads pixels 0 to 8 (9)\nholes   pixels\n")
    assert "too large to be listed" in run("--layers", "999999999 9", "--unit", "0")[1]
    assert run("--layers", "3p9", "--unit", "0", "--input", "9")[1].endswith(
        "unit 0  reads nothing but padding\n"
    )


def in_json(number):
    """An integer as such, "3/2" for what is none, None for None."""
    if isinstance(number, Fraction):
        top, bottom = number.numerator, number.denominator
        return top if bottom == 1 else f"{top}/{bottom}"
    return number


KEYS = {
    *("path", "layer", "shape", "units", "size", "jump", "start", "sizes", "clipped", "empty"),
    *("measured_at", "hull", "padding_only", "unit", "region", "holes", "global", "local"),
}


def test_the_json_of_a_spec_says_what_rflib_says(run):
    spec = "3p1d2 t3/2 5x4/3x2"
    up = rflib.Layer(3, 2, transposed=True)
    layers = [((3, 3), 1, 1, 2), up, ((5, 4), (3, 2))]  # a number counts for every axis
    said = described(run, "--layers", spec, "--input", "40,44")
    assert said["layers"] == spec
    assert said["inputs"] == [{"name": None, "shape": [40, 44]}]
    rows = rflib.recurrence(layers)
    for i, (field, row) in enumerate(zip(said["fields"], rows, strict=True)):
        assert set(field) == KEYS
        assert tuple(field["size"]) == row.size
        assert field["jump"] == list(map(in_json, row.jump))
        assert field["start"] == list(map(in_json, row.start))
        assert tuple(field["units"]) == rflib.output_size(layers[: i + 1], (40, 44))
        assert field["sizes"] == [[[n, in_json(share)] for n, share in a] for a in row.sizes]
        assert field["unit"] is field["region"] is field["holes"] is None
    for i in range(3):
        argv = ["--layers", spec, "--input", "40,44", "--unit", "3,0", "--layer", str(i)]
        (one,) = described(run, *argv)["fields"]
        region = rflib.region(layers[: i + 1], (3, 0), (40, 44), clip=True)
        reads = rflib.reads(layers[: i + 1], (3, 0), (40, 44))
        assert (one["path"], one["unit"]) == (str(i), [3, 0])
        assert one["region"] == [list(ends) for ends in region]
        assert one["holes"] == [len(r) < e.size for r, e in zip(reads, region, strict=True)]


# --- models ---------------------------------------------------------------------------------------


def test_the_table_of_a_model(run):
    code, out, err = run("model.py:Net", "--input", "1,3,64,64")
    assert code == 0
    assert out == (
        "model.py:Net, input 1 x 3 x 64 x 64\n"
        "submodule  units    size  jump  start\n"
        "0             60       5     1      2  a hull\n"
        "1             30       6     2    5/2  a hull\n"
        "2             61  8 or 6     1    3/2  a hull\n"
        "output        61  8 or 6     1    3/2  a hull\n"
    )
    assert set(err.splitlines()) == {
        "a module that prints when it is imported",
        "a forward that prints",
    }


def test_depth_is_that_of_the_table(run):
    name = 'rflib.networks:build("squeezenet1_1")'
    trace = rflib.trace(networks.build("squeezenet1_1"))
    for depth in (1, 2):
        _, out, _ = run(name, "--depth", str(depth))
        rows = [line.split()[0] for line in out.splitlines()[2:]]
        assert rows == [row[0] for row in trace.table(depth)[1:]]
        said = described(run, name, "--depth", str(depth))
        assert [field["path"] or "output" for field in said["fields"]] == rows


def test_one_field_of_a_model(run):
    lines = run("model.py:Net", "--input", "1,3,64,64", "--layer", "1")[1].splitlines()
    assert lines == [
        "model.py:Net, input 1 x 3 x 64 x 64",
        "1, 1 x 8 x 30 x 30",
        "units       30 x 30",
        "size        6 x 6 pixels",
        "jump        2 x 2",
        "start       5/2 x 5/2",
        "unit 15,15  reads rows 30 to 35, columns 30 to 35 (6 x 6)",
        "holes       along no axis; inside the box there may be some",
    ]
    holes = run("model.py:Net", "--input", "1,3,64,64", "--layer", "0")[1]
    assert holes.endswith("holes       rows, columns\n")
    phases = run("model.py:Net", "--input", "1,3,64,64", "--layer", "output", "--unit", "3,4")[1]
    assert "\nsizes     8 for 1/2 of the units, 6 for 1/2 of the units\n" in phases
    gated = run("model.py:Gated", "--input", "1,3,32,48", "--unit", "4,5")[1]
    assert "\nglobal          by mean\nlocal size      3 x 3 pixels\n" in gated
    assert gated.endswith("local unit 4,5  reads rows 3 to 5, columns 4 to 6 (3 x 3)\n")
    padded = run("model.py:Padded", "--input", "1,1,32,32", "--unit", "0,0")[1]
    assert "unit 0,0  reads nothing but padding\n" in padded
    assert padded.endswith("padding   is all that 210 units see\n")
    volume = run("model.py:volume", "--input", "1,1,8,32,32", "--unit", "0,1,2")[1]
    assert volume.endswith("reads axis 0: 0 to 2, axis 1: 2 to 6, axis 2: 4 to 8 (3 x 5 x 5)\n")


def same(said, field, unit):
    """Whether JSON says of a field what rflib says."""
    assert tuple(said["size"]) == field.size
    for key in ("jump", "start"):
        assert said[key] == list(map(in_json, getattr(field, key)))
    assert said["sizes"] == [[[n, in_json(share)] for n, share in axis] for axis in field.sizes]
    for key in ("clipped", "measured_at"):
        assert tuple(said[key]) == getattr(field, key)
    assert (said["empty"], said["hull"]) == (field.empty, field.hull)
    if unit is None:
        assert said["region"] is said["holes"] is None
        return
    region = field.region(unit)
    empty = any(ends.empty for ends in region)
    assert said["region"] == (None if empty else [list(ends) for ends in region])
    assert tuple(said["holes"]) == field.holes(unit)


@pytest.mark.parametrize(
    ("target", "size"),
    [
        ("Net", (1, 3, 40, 44)),
        ("Gated", (1, 3, 20, 24)),
        ("Padded", (1, 1, 9, 9)),
        ("Amid", (1, 3, 9, 12)),
    ],
)
def test_the_json_of_a_model_says_what_rflib_says(run, folder, target, size):
    from rflib._given import made, ours

    text = ",".join(map(str, size))
    said = described(run, f"model.py:{target}", "--input", text)
    assert said["model"] == f"model.py:{target}"
    assert said["inputs"] == [{"name": None, "shape": list(size)}]
    with ours():
        trace = rflib.trace(made("model.py:" + target), size)
    assert [field["path"] for field in said["fields"]] == list(trace)
    for entry in said["fields"]:
        field = trace[entry["path"]]
        assert set(entry) == KEYS
        assert (tuple(entry["shape"]), tuple(entry["units"])) == (tuple(field.shape), field.units)
        assert tuple(entry["global"]) == field.global_
        assert entry["padding_only"] == field.blind
        for unit in (None, tuple(n // 2 for n in field.units), (0,) * len(field.units)):
            if unit is not None:
                option = ["--unit", ",".join(map(str, unit))] if unit else []
                name = ["--layer", entry["path"] or "output"]
                argv = [f"model.py:{target}", "--input", text, *name, *option]
                (entry,) = described(run, *argv)["fields"]
                assert tuple(entry["unit"]) == unit
            same(entry, field, unit)
            assert (entry["local"] is None) == (not field.global_)
            if field.global_:
                same(entry["local"], field.local, unit)


def test_several_inputs_and_outputs(run):
    two = ["model.py:Two", "--input", "left=1,3,32,32", "--input", "right=1,3,32,32"]
    assert "b             32     -     -      -  does not depend on it" in run(*two)[1]
    assert run(*two)[1].endswith("never called: unused\n")
    said = described(run, *two, "--of", "right")
    assert [each["name"] for each in said["inputs"]] == ["left", "right"]
    assert (said["of"], said["never_called"]) == (1, ["unused"])
    assert [field["size"][0] for field in said["fields"]] == [0, 5, 5]
    plain = ["model.py:Two", "--input", "1,3,32,32", "--input", "1,3,32,32", "--of", "1"]
    assert described(run, *plain)["fields"] == said["fields"]
    assert "\nsize      5 pixels\n" in run("model.py:Several", "--layer", ":out")[1]


def test_an_unknown_operator_sees_everything_when_asked(run):
    code, out, _ = run("model.py:Unknown", "--unknown", "everything")
    assert code == 0
    assert out.endswith("let see everything, for want of a rule: linalg_svd\n")
    assert described(run, "model.py:Unknown", "--unknown", "everything")["everything"]


@pytest.mark.parametrize(
    "target",
    [
        "model:Net",
        "model.py:Net(4)",
        "./model.py:Net(channels=4)",
        "model.py:Net.mro()",
        "rflib.networks:simple_cnn",
    ],
)
def test_a_model_is_found(run, target):
    code, _, err = run(target, "--input", "1,1,32,32" if "rflib" in target else "1,3,32,32")
    if "mro" in target:
        assert (code, "'model.py:Net.mro()' gives something of type list" in err) == (1, True)
    else:
        assert code == 0


def test_nothing_stays_on_the_path(run):
    before = list(sys.path)
    run("model.py:Net", "--input", "1,3,32,32")
    run("lacking.py:net")
    assert sys.path == before


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("", "name a model, PACKAGE.MODULE:FACTORY, or give --layers SPEC"),
        ("model.py:Net --layers 3", "give 'model.py:Net' or --layers, not both"),
        ("model.py:Net another:Net", "unrecognized arguments: another:Net"),
        ("--layers 3 --depth 2", "--depth goes with a model, not with --layers"),
        ("--layers 3 --of 0", "--of goes with a model"),
        ("--layers 3 --unknown everything", "--unknown goes with a model"),
        ("--layers 3 --lay 0", "unrecognized arguments: --lay"),
        ("--layers 3 --plot out.gif", "must end in .svg, .png or .pdf; got 'out.gif'"),
        ("--layers 3 --plot out", "must end in .svg, .png or .pdf; got 'out'"),
        ("--layers 3 --input 1,3,224,224", "--input: this spec takes one number; got '1,3,224"),
        ("--layers 3x3 --input 9", "takes 2 numbers, one per axis; got '9'"),
        ("--layers 3 --input 9 --input 9", "takes one number"),
        ("--layers 3 --input many", "--input: 'many' in 'many' is not a whole number"),
        ("--layers 3 --unit 1,2", "--unit: this spec takes one number; got '1,2'"),
        ("--layers 3 --unit 1.5", "--unit: '1.5' in '1.5' is not a whole number"),
        ("--layers 3 --layer conv1", "--layer: 'conv1' in 'conv1' is not a whole number"),
        ("model.py:Net --input 1,3,,64", "--input: '' in '1,3,,64' is not a whole number"),
        ("model.py:Net --input 1,3,-9,64", "'-9' in '1,3,-9,64' is not a whole number"),
        ("model.py:Two --input a=1,3,9,9 --input 1,3,9,9", "give all inputs by name or none"),
        ("model.py:Two --input a=1,3,9,9 --input a=1,3,9,9", "has a name of its own"),
        ("model.py:Net --depth 0", "--depth: must be at least 1; got 0"),
        ("model.py:Net --depth deep", "argument --depth: invalid int value: 'deep'"),
        ("model.py:Net --unknown skip", "argument --unknown: invalid choice: 'skip'"),
        ("model.py", "'model.py' names no model; write PACKAGE.MODULE:FACTORY or model.py:FACT"),
        ("model.py:", "'model.py:' names no model"),
        ("my-package:Net", "'my-package' is neither PACKAGE.MODULE nor a file"),
        ("'model.py:Net(open(\"a\"))'", "must hold literals"),
        ("'model.py:Net(*[1])'", "must hold literals"),
        ("'model.py:Net(**{})'", "must hold literals"),
        ("'model.py:Net(1)(2)'", "(1)(2) must hold literals"),
        ("'model.py:Net(1'", "names no model"),
    ],
)
def test_a_wrong_command_line_is_refused_in_words(run, command, words):
    code, out, err = run(*shlex.split(command))
    assert (code, out) == (2, "")
    assert words in " ".join(err.split())
    assert err.startswith("usage: receptive-field")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("nothere:Net", "no module named 'nothere' is installed or in this folder"),
        ("rflib.nothere:Net", "no module named 'rflib.nothere'"),
        ("nothere.py:Net", "'nothere.py' is no file"),
        ("lacking.py:Net", "importing 'lacking.py' fails: ModuleNotFoundError: No module named"),
        ("lacking:Net", "importing 'lacking' fails: ModuleNotFoundError: No module named 'no_such"),
        ("broken.py:net", "importing 'broken.py' fails: SyntaxError"),
        ("model.py:Nett", "'model.py' has no 'Nett'; near it: 'Net'"),
        ("model.py:number", "has the type int: neither a torch.nn.Module nor what makes one"),
        ("'model.py:module()'", "it is a module already; leave its arguments away"),
        ("model.py:needs", "missing 1 required positional argument: 'channels'; its arguments"),
        ("'model.py:needs(\"a:b\")'", "fails: RuntimeError: no luck with 'a:b'"),
        ("model.py:leaves", "'model.py:leaves' fails: SystemExit: bye"),
        ("os:getcwd", "'os:getcwd' gives something of type str, not a torch.nn.Module"),
        ("model.py:Net --input 1,3", "input_size must be (1, channels, *axes)"),
        ("model.py:Net --input 1,4,32,32", "the model's forward fails, in submodule '0'"),
        ("model.py:Net --layer 9", "'9' is not a submodule of this Net"),
        ("model.py:Net --unit 3", "--unit 3: 'the output' has 221 x 221 units"),
        ("model.py:Net --input 1,3,64,64 --unit 61,0", "--unit 61,0: 'the output' has 61 x 61"),
        ("model.py:Net --of 1", "--of: must be one of 0; got '1'"),
        ("model.py:Several --unit 3", "the model gives several tensors: name one, ':out', ':aux'"),
        ("model.py:Deciding", "hands numbers that depend on the input to Python"),
        ("model.py:Unknown", "or let it see everything: --unknown everything"),
        ("--layers 3 --layer 1", "--layer 1: the layers of the spec are numbered 0 to 0"),
        ("--layers 3 --input 9 --unit 7", "--unit 7: there are 7 units, numbered from 0"),
        ("--layers '3 9' --input 9", "input_size must be large enough for every layer; got 9"),
        ("--layers 3 --plot nowhere/a.svg", "--plot: No such file or directory: 'nowhere/a.svg'"),
        ("model.py:Padded --input 1,1,9,9 --unit 0,0 --plot a.svg", "there is no box to draw"),
    ],
)
def test_what_has_no_answer_ends_with_one_and_words(run, command, words):
    code, out, err = run(*shlex.split(command))
    assert (code, out) == (1, "")
    assert words in err
    assert "Traceback" not in err
    assert re.search("^receptive-field: ", err, re.MULTILINE)


def test_a_traceback_is_shown_when_asked(run):
    code, _, err = run("model.py:needs(1)", "--traceback")
    assert code == 1
    assert "Traceback" in err
    assert 'raise RuntimeError(f"no luck' in err


# --- pictures -------------------------------------------------------------------------------------


def drawn(run, folder, *argv):
    code, _, err = run(*argv, "--plot", "a.svg")
    assert code == 0, err
    root = ElementTree.fromstring((folder / "a.svg").read_text(encoding="utf-8"))
    assert root.get("role") == "img"
    assert f"a.svg: {root.get('aria-label')}" in err
    return root.get("aria-label")


def test_the_box_of_a_unit_is_its_region_beyond_the_image(run, folder):
    layers = [layer for stage in networks.resnet_path(18).values() for layer in stage]
    first, last = rflib.region(layers, 3)
    alt = drawn(run, folder, "rflib.networks:resnet(18)", "--layer", "layer4")
    there = f"{first} to {last}".replace("-", "−")
    assert alt.endswith(f"layer4, unit 3,3: rows {there}, columns {there}.")


@pytest.mark.parametrize(
    "target", ["model.py:Net", "model.py:Gated", "model.py:Padded", "model.py:Amid"]
)
def test_a_box_clipped_to_the_image_is_the_region(run, folder, target):
    from rflib._given import made, ours

    with ours():
        trace = rflib.trace(made(target), (1, 1 if "Padded" in target else 3, 12, 14))
        for path in trace:
            field = trace[path].local
            for unit in ((y, x) for y in range(field.units[0]) for x in range(field.units[1])):
                box, region = cli._box(field, unit, (12, 14)), field.region(unit)
                if box is None:
                    assert any(ends.empty for ends in region)
                    continue
                clipped = [
                    (max(a, 0), min(b, n - 1)) for (a, b), n in zip(box, (12, 14), strict=True)
                ]
                assert clipped == [tuple(ends) for ends in region]


def test_global_and_local_boxes_are_both_drawn(run, folder):
    alt = drawn(run, folder, "model.py:Gated", "--input", "1,3,32,48", "--unit", "4,5")
    assert "global: rows 0 to 31, columns 0 to 47. local: rows 3 to 5, columns 4 to 6." in alt


def test_what_is_no_image_gets_a_staircase(run, folder):
    alt = drawn(run, folder, "model.py:volume", "--input", "1,1,8,32,32")
    assert "axis 0: 0 1, 1 3, output 3. axis 1: 0 3, 1 5, output 5. axis 2: 0 3, 1 5" in alt
    alt = drawn(run, folder, "model.py:Several", "--input", "1,1,64")
    assert ":out 5, :aux 1. A dashed line marks the image, 64 pixels." in alt


def test_a_spec_gets_a_cone_or_a_staircase(run, folder):
    cone = drawn(run, folder, "--layers", "3 3 2/2 3", "--input", "24", "--unit", "4")
    assert cone.startswith("Unit 4 of layer 4 and what it reads.")
    assert cone.endswith("Input: 10 cells, 8 to 17.")
    assert "Unit 5 of layer 2" in drawn(
        run, folder, "--layers", "3 3/2 9", "--layer", "1", "--input", "24"
    )
    stairs = drawn(run, folder, "--layers", "3 3 2/2 3", "--input", "224")
    assert "layer 0 3, layer 1 5, layer 2 6, layer 3 10. A dashed line marks the image" in stairs
    assert "axis 0: layer 0 3. axis 1: layer 0 5." in drawn(run, folder, "--layers", "3x5")
    code, _, err = run("--layers", "3 " * 61, "--plot", "a.svg")
    assert (code, "a staircase has 1 to 60 steps, and here are 61" in err) == (1, True)


@pytest.mark.parametrize(("suffix", "head"), [(".png", b"\x89PNG"), (".PDF", b"%PDF")])
def test_other_files(run, folder, suffix, head):
    assert run("--layers", "3 3", "--plot", f"b{suffix}")[0] == 0
    assert (folder / f"b{suffix}").read_bytes().startswith(head)


# --- the command as a command ---------------------------------------------------------------------

HELP = cli._parser("python -m rflib").format_help()
EXAMPLES = re.findall(r"^ +python -m rflib (.*)$", HELP.split("\nexamples:\n")[1], re.MULTILINE)
SHOWN = [
    line.partition("#")[0].removeprefix("python -m rflib ").strip()
    for page in ("README.md", "chapters/api.md")
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines()
    if line.startswith("python -m rflib ")
]


@pytest.mark.slow
@pytest.mark.parametrize("command", [*EXAMPLES, *SHOWN])
def test_the_examples_run(run, command):
    code, out, err = run(*shlex.split(command))
    assert code == 0, err
    assert out


def test_there_are_examples_in_the_help_and_on_the_pages():
    assert len(EXAMPLES) >= 9
    assert len(SHOWN) >= 5
    assert max(map(len, HELP.splitlines())) <= 80
    assert "that runs the code in it" in HELP


def test_the_page_names_every_key():
    page = (ROOT / "chapters/api.md").read_text(encoding="utf-8").split("## The command")[1]
    section = page.split("\n## ")[0]
    rows = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", section, re.MULTILINE))))
    assert rows == KEYS


def test_the_script_leads_to_main():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (name,) = project["scripts"]
    module, _, function = project["scripts"][name].partition(":")
    assert getattr(import_module(module), function) is cli.main
    assert name == "receptive-field"


def test_python_m_rflib():
    command = [sys.executable, "-m", "rflib"]
    done = subprocess.run(
        [*command, "--layers", "7/2 3/2 3 3"], capture_output=True, text=True, check=True
    )
    table = rflib.recurrence([(7, 2), (3, 2), (3,), (3,)])
    assert (done.stdout, done.stderr) == (f"{table}\n", "")
    done = subprocess.run([*command, "--nope"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: python -m rflib")


def test_a_reader_that_leaves_is_no_error():
    """More than a pipe holds is written to a reader that is gone."""
    command = [sys.executable, "-m", "rflib", "--layers", " ".join(["3"] * 9000)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as done:
        done.stdout.close()
        assert done.stderr.read() == b""
    assert done.returncode == 0
