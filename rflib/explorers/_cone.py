"""The cone."""
from typing import Any
from rflib.explorers.base import Control, Figure, Slider, State, build
CONTROLS: tuple[Control, ...] = (Slider("layers",1,5,3), Slider("unit",0,20,4,dependent=True))
def state(layers: int, unit: int) -> State:
    unit=min(unit,layers)
    return {"bounds":{"unit":layers},"unit":unit,"layers":layers,"sentence":f"{layers} layers, unit {unit}."}
def cone(**initial: Any) -> Figure:
    """x"""
    return build("cone", CONTROLS, state, initial)
