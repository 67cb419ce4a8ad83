"""Speed and memory of rflib on this machine, beside the obvious alternative where there is one.

Each line is measured in a process of its own, so that its memory is its own and imports are cold.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

DEEP = "layers = [(3, 1 + (n % 500 == 0)) for n in range(20_000)]"
RESNET = "import rflib, torch\nnet = rflib.networks.resnet(18).eval()"
# What one writes without rflib: the gradient of the centre unit over the whole square, float32.
RECIPE = """\
x = torch.ones(1, 3, 897, 897, requires_grad=True)
for weight in (p for p in net.parameters() if p.dim() > 1):
    torch.nn.init.constant_(weight, 1 / weight[0].numel())
features = torch.nn.Sequential(*list(net.children())[:-2])(x)
features[0, :, 14, 14].sum().backward()
rows = x.grad.abs().sum((0, 1, 3)).nonzero()
print(int(rows.max() - rows.min() + 1))"""

MEASURED = [
    ("import rflib", "", "import rflib"),
    ("recurrence, 20,000 layers", f"import rflib\n{DEEP}", "rflib.recurrence(layers)"),
    ("input_size, 20,000 layers", f"import rflib\n{DEEP}", "rflib.input_size(layers)"),
    ("region, 20,000 layers", f"import rflib\n{DEEP}", "rflib.region(layers, unit=7)"),
    ("probe, ResNet-18's layer4", RESNET, "print(*rflib.probe(net, layer='layer4').size)"),
    ("the usual recipe for the same", RESNET, RECIPE),
]


def measure(prepare: str, work: str) -> tuple[float, float, str]:
    """Seconds, megabytes beyond the preparation, and what was printed, in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, json.dumps([prepare, work])],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{work}\n{done.stderr}")
    *printed, figures = done.stdout.splitlines()
    seconds, megabytes = json.loads(figures)
    return seconds, megabytes, " ".join(printed)


def child(prepare: str, work: str) -> None:
    """Run one measurement in this process and print its figures as the last line."""
    names: dict[str, object] = {}
    exec(prepare, names)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    exec(work, names)
    seconds = time.perf_counter() - start
    unit = 2**20 if sys.platform == "darwin" else 2**10
    print(
        json.dumps([seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / unit])
    )


def main() -> None:
    print(f"{'':32}{'milliseconds':>14}{'megabytes':>12}  result")
    for name, prepare, work in MEASURED:
        seconds, megabytes, printed = measure(prepare, work)
        print(f"{name:32}{seconds * 1000:14.1f}{megabytes:12.1f}  {printed}", flush=True)


if __name__ == "__main__":
    child(*json.loads(sys.argv[1])) if len(sys.argv) > 1 else main()
