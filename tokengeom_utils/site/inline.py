"""What ``papermill --engine inline`` loads: papermill imports it while it is itself imported."""

from typing import Any


class _Lazy(type):
    def __getattr__(cls, name: str) -> Any:
        from .engine import Engine

        return getattr(Engine, name)


class InlineEngine(metaclass=_Lazy):
    """Stands for :class:`tokengeom_utils.site.engine.Engine`, which is imported when it is first used."""
