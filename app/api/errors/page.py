"""The page for browsers that request the documentation without the required key."""

from html import escape

from fastapi.responses import HTMLResponse

from app.api.errors import problem
from app.domain.errors import AccessError, ServiceError

PATHS = ("/", "/docs")

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>A key is needed</title>
<h1>A key is needed</h1>
<p>This service shows its documentation to callers with a key, and a browser sends none.</p>
<ul>
<li>With a key, fetch the document and open it in any viewer of OpenAPI:
<pre>curl -H "Authorization: Bearer $KEY" -O &lt;this service&gt;/openapi.json</pre></li>
<li>Its operator shows the documentation to anyone with <code>LLAMA_VISION_PUBLIC_DOCS=true</code>;
calls of the API need a key all the same.</li>
</ul>
<p>{detail} Request: <code>{request_id}</code></p>
</html>
"""


def is_wanted(error: ServiceError, path: str, accept: bytes) -> bool:
    """Tell whether ``error`` denies a browser (``accept`` has HTML) access to the documentation."""
    return isinstance(error, AccessError) and path in PATHS and b"text/html" in accept.lower()


def response(error: ServiceError, request_id: str) -> HTMLResponse:
    """Render ``error`` as a page with instructions."""
    page = _PAGE.format(detail=escape(error.detail), request_id=escape(request_id))
    return HTMLResponse(page, status_code=error.status, headers=problem.headers(error))
