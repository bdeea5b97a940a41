"""Messages between the grader and a student's process.

The grader sends pickles, since the process that reads them is the one that is not trusted. What comes back is JSON,
which cannot do anything; arrays in it are base64.
"""

import base64
import json
import pickle
from typing import IO, Any

import numpy as np

#: Bytes of an answer from a student's process. As JSON of empty lists they become thirty times as many.
LONGEST = 8 * 2**20


class Broken(Exception):
    """The other side is gone, or sends what is no message."""


def send(stream: IO[bytes], content: bytes) -> None:
    """Send some bytes, with their number in front."""
    try:
        stream.write(len(content).to_bytes(8, "big") + content)
        stream.flush()
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise Broken(str(error)) from None


def receive(stream: IO[bytes], longest: int | None = None) -> bytes:
    """Receive the bytes of one message; longer ones than ``longest`` are not read."""
    head = stream.read(8)
    size = int.from_bytes(head, "big")
    if len(head) < 8 or (longest is not None and size > longest):
        raise Broken("no message")
    content = stream.read(size)
    if len(content) < size:
        raise Broken("half a message")
    return content


def ask(stream: IO[bytes], request: tuple[Any, ...]) -> None:
    """Send a request to a student's process."""
    send(stream, pickle.dumps(request))


def asked(stream: IO[bytes]) -> tuple[Any, ...]:
    """Receive a request, in a student's process."""
    request: tuple[Any, ...] = pickle.loads(receive(stream))
    return request


def answer(stream: IO[bytes], **content: Any) -> None:
    """Send an answer from a student's process; arrays are allowed at its first level, and in lists there."""
    send(stream, json.dumps(content, default=_packed).encode())


def answered(content: bytes) -> dict[str, Any]:
    """Read an answer of a student's process, which came as some bytes."""
    try:
        found = json.loads(content, object_hook=_unpacked)
    except (ArithmeticError, ValueError, RecursionError) as error:  # Infinity is a number of JSON here
        raise Broken(str(error)) from None
    if not isinstance(found, dict):
        raise Broken("no message")
    return found


def _packed(value: Any) -> Any:
    """An array of float64 as JSON."""
    array = np.asarray(value, dtype="<f8")
    return {"shape": list(array.shape), "float64": base64.b64encode(array.tobytes()).decode()}


def _unpacked(found: dict[str, Any]) -> Any:
    """An array out of JSON; anything else as it is."""
    if set(found) != {"shape", "float64"}:
        return found
    try:
        flat = np.frombuffer(base64.b64decode(found["float64"]), "<f8")
        return flat.reshape([int(size) for size in found["shape"]]).copy()
    except (TypeError, ValueError) as error:
        raise ValueError(f"no array: {error}") from None
