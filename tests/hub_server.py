"""A server that imitates the Hugging Face Hub, as far as downloads of files are concerned."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ERRORS = {  # the Hub's response to a request for a repository of this name: status and headers
    "org/gated": (401, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to model org/gated is restricted."}),
    "org/gated-too": (403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to model is restricted."}),
    "org/private": (401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Invalid username or password."}),
    "org/expired": (401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
    "org/fine-grained": (403, {"X-Error-Message": "Please enable access to public gated repositories."}),
    "org/blocked": (451, {}),
    "org/old@nowhere": (404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id: nowhere"}),
}


@contextmanager
def hub(repositories):
    """Serve ``{"org/name": folder}``, datasets as ``datasets/org/name``; yields the address and the requests so far."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            requests.append(f"{self.command} {self.path}")
            path = self.path.partition("?")[0].strip("/")
            kind = "datasets/" if path.startswith(("datasets/", "api/datasets/")) else ""
            parts = path.removeprefix("api/").removeprefix("models/").removeprefix("datasets/").split("/")
            repo, what, revision, file = "/".join(parts[:2]), *(parts[2:4] + [""] * 2)[:2], "/".join(parts[4:])
            for refused in (repo, f"{repo}@{revision}"):
                # The Hub describes a gated repository and lists its files, but refuses to send any.
                if refused in ERRORS and (what == "resolve" or "gated" not in repo):
                    return self.answer(*ERRORS[refused])
            folder = repositories.get(kind + repo)
            if folder is None:
                return self.answer(404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
            files = {str(f.relative_to(folder)): f for f in sorted(folder.rglob("*")) if f.is_file()}
            if what == "revision":
                about = {"id": repo, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
                return self.answer(200, {}, json.dumps(about).encode())
            if what == "tree":
                entries = [
                    {"type": "file", "path": name, "size": f.stat().st_size, "oid": _etag(f)}
                    for name, f in files.items()
                ]
                return self.answer(200, {}, json.dumps(entries).encode())
            if what == "resolve" and file in files:
                headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{_etag(files[file])}"', "Accept-Ranges": "bytes"}
                return self.answer(200, headers, files[file].read_bytes())
            self.answer(404, {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})

        do_HEAD = do_GET

        def answer(self, status, headers, body=b""):
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()


def _etag(file):
    """Hash of a file, as the Hub sends it."""
    return hashlib.sha1(file.read_bytes()).hexdigest()
