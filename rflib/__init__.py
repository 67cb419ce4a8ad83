"""rflib: the receptive fields of convolutional networks, by arithmetic and by measurement.

Every name here is loaded when it is first used, so that ``import rflib`` costs milliseconds and
needs the standard library alone.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from rflib import explorers, figures, networks
    from rflib.effective import Effective, effective
    from rflib.inputsize import input_size, inputs_for, output_size, phases
    from rflib.layers import DefinitionOrderWarning, Layer, read
    from rflib.probe import Probe, ProbeError, probe
    from rflib.recurrence import receptive_field, recurrence
    from rflib.regions import Region, reached, reaches, reads, region
    from rflib.trace import Field, Halo, Map, Trace, TraceError, rule, trace

_HOMES = {
    "layers": ("DefinitionOrderWarning", "Layer", "read"),
    "recurrence": ("receptive_field", "recurrence"),
    "inputsize": ("input_size", "inputs_for", "output_size", "phases"),
    "regions": ("Region", "reached", "reaches", "reads", "region"),
    "probe": ("Probe", "ProbeError", "probe"),
    "trace": ("Field", "Halo", "Map", "Trace", "TraceError", "rule", "trace"),
    "effective": ("Effective", "effective"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}
_MODULES = ("explorers", "figures", "inputsize", "layers", "networks", "regions", "sets")

__all__ = [
    "DefinitionOrderWarning",
    "Effective",
    "Field",
    "Halo",
    "Layer",
    "Map",
    "Probe",
    "ProbeError",
    "Region",
    "Trace",
    "TraceError",
    "effective",
    "explorers",
    "figures",
    "input_size",
    "inputs_for",
    "networks",
    "output_size",
    "phases",
    "probe",
    "reached",
    "reaches",
    "read",
    "reads",
    "receptive_field",
    "recurrence",
    "region",
    "rule",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        value = getattr(import_module(f"rflib.{_MODULE_OF[name]}"), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return import_module(f"rflib.{name}")
    raise AttributeError(f"module 'rflib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})


class _Package(ModuleType):
    """Keeps ``rflib.probe`` and others functions, whoever imports the modules of that name.

    The import system sets a package's attribute to each submodule that is imported; here the
    function of the same name is what readers type.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and name == _MODULE_OF.get(name):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
