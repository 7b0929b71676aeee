"""What a page loads beside itself: style, scripts, pictures. Under a path that names their content, kept by browsers for good."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Flask, Response, request

from services.errors import NotFound

FOLDER = Path(__file__).with_name("static")
_PACKED = {".css", ".js", ".svg", ".txt", ".webmanifest"}
mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("application/manifest+json", ".webmanifest")


@dataclass(frozen=True, slots=True)
class Assets:
    """Every file under :data:`FOLDER`, and the digest over all of them."""

    digest: str
    plain: dict[str, bytes]
    packed: dict[str, bytes]
    """gzip of those that it makes smaller."""


@cache
def assets() -> Assets:
    """Read once a process: they are a few hundred kilobytes."""
    plain = {str(path.relative_to(FOLDER)): path.read_bytes() for path in sorted(FOLDER.rglob("*")) if path.is_file()}
    whole = hashlib.sha256()
    for name, content in plain.items():
        whole.update(f"{name}\0{len(content)}\0".encode() + content)
    packed = {
        name: gzip.compress(content, 9, mtime=0) for name, content in plain.items() if Path(name).suffix in _PACKED
    }
    return Assets(whole.hexdigest()[:12], plain, packed)


def url(name: str) -> str:
    """Where a page finds the file *name*. Modules import one another by relative paths, which stay under the same digest."""
    return f"/static/{assets().digest}/{name}"


def register(app: Flask) -> None:
    """Add the path to *app*. Nobody signs in for a style sheet."""
    app.add_url_rule("/static/<digest>/<path:name>", "asset", asset)


def asset(digest: str, name: str) -> Response:
    """One file. An older page may ask under an older digest: it gets what there is now, and does not keep it."""
    known = assets()
    content = known.plain.get(name)
    if content is None:
        raise NotFound("file", name)
    response = Response(content, mimetype=mimetypes.guess_type(name)[0] or "application/octet-stream")
    if name in known.packed:
        response.vary.add("Accept-Encoding")
        if request.accept_encodings.quality("gzip"):
            response.set_data(known.packed[name])
            response.content_encoding = "gzip"
    kept = "public, max-age=31536000, immutable" if digest == known.digest else "no-cache"
    response.headers["Cache-Control"] = kept
    return response
