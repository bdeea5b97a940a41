"""The papermill engine behind :class:`tokengeom_utils.site.inline.InlineEngine`."""

import ast
from typing import Any

from papermill import PapermillExecutionError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine
from papermill.log import logger
from papermill.utils import merge_kwargs, remove_args

from .values import with_values


class Client(PapermillNotebookClient):
    """Executes code cells as papermill does, and evaluates what Markdown cells hold."""

    def execute_cell(self, cell: Any, cell_index: int, **options: Any) -> Any:
        """Execute a code cell, or put values into a Markdown cell."""
        if cell.cell_type != "markdown":
            return super().execute_cell(cell, cell_index, **options)
        cell.source = with_values(cell.source, lambda wanted: self._evaluate(wanted, cell_index))
        return cell

    def _evaluate(self, wanted, cell_index):
        """The values of expressions in the kernel, as text."""
        texts = {str(place): f"str({expression})" for place, expression in enumerate(wanted)}
        message = self.kc.execute("", store_history=False, user_expressions=texts)
        reply = self.wait_for_reply(message)["content"]
        found = [reply["user_expressions"][place] for place in texts]
        for expression, one in zip(wanted, found, strict=True):
            if one["status"] == "error":
                raise PapermillExecutionError(
                    cell_index=cell_index,
                    exec_count=None,
                    source=expression[1:-1].strip(),
                    ename=one["ename"],
                    evalue=one["evalue"],
                    traceback=one["traceback"],
                )
        return [ast.literal_eval(one["data"]["text/plain"]) for one in found]


class Engine(NBClientEngine):
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
        return Client(nb_man, **settings).execute()
