"""A request body for each route that fetches and prepares a picture."""

from typing import Any

PICTURE = {"url": "https://slow.example/a.png"}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/generate": {"prompt": "Why?", "images": [PICTURE]},
    "/v1/estimate": {"prompt": "Why?", "images": [PICTURE]},
    "/v1/images/prepare": {"image": PICTURE},
    "/v1/tasks/vqa": {"question": "Why?", "images": [PICTURE]},
    "/v1/tasks/ocr": {"images": [PICTURE]},
}
