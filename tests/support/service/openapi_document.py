"""The OpenAPI document as it is exported.

tests/repository/test_docs.py compares it with the one that the application builds in half a second.
"""

import json
from typing import Any

from fixtures.process import ROOT

EXPORTED = ROOT / "openapi" / "openapi.json"
DOCUMENT: dict[str, Any] = json.loads(EXPORTED.read_text())
