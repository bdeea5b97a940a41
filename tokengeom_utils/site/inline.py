"""A papermill engine for chapters whose sentences hold values: ``{eval}`expression` `` in Markdown.

The same role shows values in JupyterLab, where jupyterlab-myst evaluates it.

>>> expressions("At layer {eval}`layer` it is {eval}`` f'{`x`}' ``.")
['layer', "f'{`x`}'"]
"""

import ast
import re
from typing import Any

from papermill import PapermillExecutionError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine
from papermill.log import logger
from papermill.utils import merge_kwargs, remove_args

from .words import typeset

_ROLE = re.compile(r"\{eval\}(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.S)


def expressions(text: str) -> list[str]:
    """Return the expressions in a Markdown text, in its order."""
    return [found[2].strip() for found in _ROLE.finditer(text)]


class _Client(PapermillNotebookClient):
    """Executes code cells as papermill does, and evaluates what Markdown cells hold."""

    def execute_cell(self, cell: Any, cell_index: int, **options: Any) -> Any:
        """Execute a code cell, or put values into a Markdown cell."""
        if cell.cell_type != "markdown":
            return super().execute_cell(cell, cell_index, **options)
        if wanted := expressions(cell.source):
            values = iter(self._evaluate(wanted, cell_index))
            cell.source = _ROLE.sub(lambda _: next(values), cell.source)
        return cell

    def _evaluate(self, wanted, cell_index):
        """The values of expressions in the kernel, as text."""
        texts = {str(place): f"str((\n{expression}\n))" for place, expression in enumerate(wanted)}
        message = self.kc.execute("", store_history=False, user_expressions=texts)
        reply = self.wait_for_reply(message)["content"]
        found = [reply["user_expressions"][place] for place in texts]
        for expression, one in zip(wanted, found, strict=True):
            if one["status"] == "error":
                raise PapermillExecutionError(
                    cell_index=cell_index,
                    exec_count=None,
                    source=expression,
                    ename=one["ename"],
                    evalue=one["evalue"],
                    traceback=one["traceback"],
                )
        return [typeset(ast.literal_eval(one["data"]["text/plain"])) for one in found]


class InlineEngine(NBClientEngine):
    """Papermill's own engine, with values in Markdown cells."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man, kernel_name, log_output=False, start_timeout=60, execution_timeout=None, **options
    ):
        """Execute a notebook; see :class:`papermill.engines.NBClientEngine`."""
        options = remove_args(["input_path", "timeout", "startup_timeout"], **options)
        settings = merge_kwargs(
            options,
            timeout=execution_timeout,
            startup_timeout=start_timeout,
            kernel_name=kernel_name,
            log=logger,
            log_output=log_output,
        )
        return _Client(nb_man, **settings).execute()
