"""What ``papermill --engine inline`` loads: papermill imports it while it is itself imported."""

from typing import Any


class InlineEngine:
    """What ``papermill --engine inline`` runs: papermill's own engine, with values in Markdown cells."""

    @classmethod
    def execute_notebook(cls, *arguments: Any, **options: Any) -> Any:
        """Execute a notebook; see :class:`papermill.engines.Engine`."""
        from .engine import Engine

        return Engine.execute_notebook(*arguments, **options)
