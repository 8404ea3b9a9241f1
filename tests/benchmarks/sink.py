"""The plainest server that stores what it is sent: the peer that uploads are measured against.

``python -m tests.benchmarks.sink PORT FILE`` writes the body of each PUT to FILE.
"""

from __future__ import annotations

import sys
from typing import Any


def app_writing_to(path: str) -> Any:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        with open(path, "wb", buffering=0) as out:
            more = True
            while more:
                message = await receive()
                out.write(message.get("body", b""))
                more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    return app


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app_writing_to(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
