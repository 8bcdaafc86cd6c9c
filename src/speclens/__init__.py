"""speclens finds strong gravitational lenses in survey spectra.

A massive galaxy that lenses a distant Lyman-alpha emitter shows the emitter's one line in its own
spectrum. The folders of the package are the steps of the search, in the order data flow through
them: `read`, `sample`, `simulate`, `search`, `report`, `evaluate`.

In Python there are four functions, `speclens.read`, `speclens.search`, `speclens.open_run` and
`speclens.completeness`, and what they return: `Spectra`, `SurveySpectra` and `Run`
(`speclens.api`). Nothing is imported before it is used. Two of the functions have the names of
folders: these are modules that can be called.
"""

from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

__all__ = [
    "Run", "Spectra", "SurveySpectra", "__version__", "completeness", "open_run", "read", "search",
]  # fmt: skip

_API = "speclens.api"


class _Callable(ModuleType):
    """A folder of the package that is a function of `speclens.api` too."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call the function of this name, which `help(speclens.api)` explains."""
        return getattr(import_module(_API), self.__name__.rpartition(".")[2])(*args, **options)

    @property
    def __signature__(self) -> Any:
        """What `help` and notebooks show of the call."""
        from inspect import signature

        return signature(getattr(import_module(_API), self.__name__.rpartition(".")[2]))


for _name in ("read", "search"):
    import_module(f"{__name__}.{_name}").__class__ = _Callable


def __getattr__(name: str) -> Any:
    """Import what the package offers in Python when it is asked for."""
    if name in __all__:
        return getattr(import_module(_API), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List what the package offers, imported or not."""
    return sorted(__all__)
