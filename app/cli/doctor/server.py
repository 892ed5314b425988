"""Checks of an OpenAI-compatible server: it is there, accepts the key and has the model."""

import httpx

from app.adapters.trust import trusted
from app.cli.doctor.configuration import shown
from app.domain.finding import Finding, fault, ok, warning
from app.domain.generation import Target
from app.settings import PREFIX, Settings
from app.wiring.model import key_of_server

TIMEOUT = 5


async def check(settings: Settings, target: Target) -> Finding:
    """Check the server's list of models; asking for it costs nothing."""
    url = f"{str(settings.openai_url).rstrip('/')}/models"
    subject = "server"
    try:
        key = key_of_server(settings)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with httpx.AsyncClient(verify=trusted(), timeout=TIMEOUT) as client:
            answer = await client.get(url, headers=headers)
    except (OSError, ValueError) as error:
        mend = f"Correct {PREFIX}OPENAI_KEY or {PREFIX}OPENAI_KEY_FILE."
        return fault(subject, f"the key can't be used: {type(error).__name__}", mend)
    except httpx.HTTPError as error:
        mend = f"Check the network, proxies and {PREFIX}OPENAI_URL."
        return fault(subject, f"{shown(url)} can't be reached: {type(error).__name__}", mend)
    if answer.status_code in (401, 403):
        mend = f"Correct {PREFIX}OPENAI_KEY or {PREFIX}OPENAI_KEY_FILE."
        return fault(subject, f"{shown(url)} does not accept the key", mend)
    names = _names(answer)
    if names is None:
        mend = "A gateway may serve only chats: --spend tries one."
        return warning(subject, f"{shown(url)} lists no models ({answer.status_code})", mend)
    if target.model_id not in names:
        mend = f"Correct {PREFIX}OPENAI_MODEL; the server has {', '.join(names) or 'none'}."
        return fault(subject, f"{shown(url)} does not list {target.model_id}", mend)
    return ok(subject, f"{shown(url)} lists {target.model_id}")


def _names(answer: httpx.Response) -> list[str] | None:
    try:
        listed = answer.json()["data"]
        return [str(model["id"]) for model in listed]
    except (ValueError, KeyError, TypeError):
        return None
