"""Engines of reconstruction that others wrote: SimpleITK, and VTK (``pip install vtk``)."""

import importlib
from typing import Any

from scp.cli.bench.measuring import NotMeasured


def simpleitk() -> Any:
    """Return the module SimpleITK. Raises ``NotMeasured``."""
    return _module("SimpleITK", "SimpleITK")


def vtk() -> Any:
    """Return VTK as one module. Raises ``NotMeasured``."""
    return _module("vtkmodules.all", "vtk")


def vtk_arrays() -> Any:
    """Return what turns VTK's arrays into numpy's and back, without a copy. Raises ``NotMeasured``."""
    return _module("vtkmodules.util.numpy_support", "vtk")


def _module(name: str, package: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise NotMeasured(f"{package} is not installed (pip install {package})") from None
