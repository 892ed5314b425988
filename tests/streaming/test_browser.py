"""Headless Chromium reads streams as they are generated, and uses the documentation."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.openapi.examples import PICTURE
from app.domain.generation import Sampling
from app.services.tasks.extract import EXTRACT
from app.settings import Settings
from tests.support.clients.browser import visited, visited_from_elsewhere
from tests.support.fakes.ports import FakeVisionModel
from tests.support.servers.nginx import balancer
from tests.support.servers.tls import authority
from tests.support.service.access import add_key, guarded
from tests.support.service.application import Rig
from tests.support.service.emulated import model_arn

# One Chromium at a time: each is several processes.
pytestmark = pytest.mark.xdist_group("chromium")

READ_STREAM = """
  const answer = await fetch("SERVICE/v1/generate", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Request-Timeout": "20" },
    body: JSON.stringify({ prompt: "Why is the sky blue?", stream: true }),
  });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const events = [];
  for (let text = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
    const whole = text.split("\\n\\n");
    text = whole.pop();
    for (const event of whole) {
      const [name, data] = event.split("\\n");
      events.push({ name: name.slice(7), data: JSON.parse(data.slice(6)), at: performance.now() });
    }
  }
  return { status: answer.status, id: answer.headers.get("X-Request-Id"), events };
"""

TRY_STREAM = """
  return await fetch("SERVICE/v1/generate", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ prompt: "Why?", stream: true }),
  }).then(() => "read", (error) => error.name);
"""

# Opens the documentation in a window, as it refuses to be framed, and waits for its buttons.
DOCS = """
  const opened = window.open("/docs");
  const until = async (find) => {
    for (let tries = 0; tries < 1000; tries++) {
      const found = opened.document && find(opened.document);
      if (found) return found;
      await new Promise((next) => setTimeout(next, 50));
    }
    throw new Error("never came: " + find);
  };
  const operation = async (id) => {
    const block = await until((page) => page.querySelector(`.opblock[id$="-${id}"]`));
    block.querySelector(".opblock-summary-control").click();
    await until(() => block.querySelector(".execute"));
    return block;
  };
"""

EXECUTE = (
    DOCS
    + """
  const block = await operation("generate");
  block.querySelector(".execute").click();
  const status = await until(() =>
    block.querySelector(".live-responses-table .response .response-col_status"));
  const body = await until(() =>
    block.querySelector(".live-responses-table .response-col_description code"));
  const loaded = opened.performance.getEntriesByType("resource");
  return { status: status.innerText, body: body.innerText, loaded: loaded.map((e) => e.name) };
"""
)

# The displayed type of each field, and the file choosers that are visible without a click.
READ_FORMS = (
    DOCS
    + """
  const forms = {};
  for (const id of OPERATIONS) {
    const block = await operation(id);
    await until(() => block.querySelector("input[type=file]"));
    const rows = [...block.querySelectorAll("tr.parameters[data-property-name]")];
    forms[id] = {
      types: rows.map((row) => row.querySelector(".parameter__type").innerText.split("\\n")[0]),
      choosers: [...block.querySelectorAll("input[type=file]")].filter(
        (chooser) => chooser.getClientRects().length > 0).length,
    };
  }
  return forms;
"""
)

# Chooses a file and changes nothing else.
EXECUTE_EACH = (
    DOCS
    + """
  const data = Uint8Array.from(atob("PICTURE"), (letter) => letter.charCodeAt(0));
  const statuses = {};
  for (const id of OPERATIONS) {
    const block = await operation(id);
    const chooser = await until(() =>
      block.querySelector("tr[data-property-name^=image] input[type=file]"));
    const chosen = new opened.DataTransfer();
    chosen.items.add(new opened.File([data], "cat.jpg", { type: "image/jpeg" }));
    chooser.files = chosen.files;
    chooser.dispatchEvent(new opened.Event("change", { bubbles: true }));
    block.querySelector(".execute").click();
    const status = await until(() =>
      block.querySelector(".live-responses-table .response .response-col_status"));
    statuses[id] = status.innerText.split(/\\s/)[0];
  }
  return statuses;
"""
)

# Enters a key by the Authorize button, as a person does.
AUTHORIZE = """
  (await until((page) => page.querySelector(".btn.authorize"))).click();
  const key = await until((page) => page.querySelector(".modal-ux input[type=text]"));
  const set = Object.getOwnPropertyDescriptor(opened.HTMLInputElement.prototype, "value").set;
  set.call(key, "KEY");
  key.dispatchEvent(new opened.Event("input", { bubbles: true }));
  key.form.querySelector("button[type=submit]").click();
  await until((page) => page.querySelector(".modal-ux .btn-done")).then((done) => done.click());
"""


class WithOpenPages(FastAPI):
    """Has a test's pages beside a service that asks for keys."""

    def __init__(self, service: ASGIApp) -> None:
        super().__init__()
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path", "").startswith("/test/"):
            await super().__call__(scope, receive, send)
        else:
            await self._service(scope, receive, send)


def streaming(emulator_url: str, **options: Any) -> Settings:
    model_id = model_arn("token-40ms")
    return Settings(_env_file=None, endpoint_url=emulator_url, model_id=model_id, **options)


def check_made_one_by_one(seen: Any) -> None:
    assert seen["status"] == 200
    names = [event["name"] for event in seen["events"]]
    assert (names[0], names[-1]) == ("start", "done")
    assert set(names[1:-1]) == {"delta"}
    assert len(names) > 5
    # Generated over more than a quarter of a second: a buffered answer would arrive at once.
    arrived = [event["at"] for event in seen["events"]]
    assert arrived[-1] - arrived[0] > 250
    assert len({round(at / 20) for at in arrived}) > 3


def test_a_browser_reads_events_as_they_are_generated(emulator_url):
    settings = streaming(emulator_url)

    check_made_one_by_one(
        visited(Rig(model=None, settings=settings).app(), READ_STREAM.replace("SERVICE", ""))
    )


def test_a_browser_reads_events_as_they_are_generated_over_http_2_through_nginx(
    emulator_url, tmp_path
):
    certificate = tmp_path / "certificate.pem"
    authority(tmp_path).issue(certificate)
    protocol = "performance.getEntriesByType('resource').at(-1).nextHopProtocol"
    script = READ_STREAM.replace("SERVICE", "").replace(
        "return { status", f"return {{ protocol: {protocol}, status"
    )

    @contextmanager
    def front(url: str) -> Iterator[str]:
        with balancer(urlsplit(url).port or 0, certificate=certificate) as secure:
            yield secure

    app = Rig(model=None, settings=streaming(emulator_url)).app()
    seen = visited(app, script, front, "--ignore-certificate-errors")

    check_made_one_by_one(seen)
    assert seen["protocol"] == "h2"


def test_a_page_of_an_allowed_origin_reads_events_as_they_are_generated(emulator_url):
    def service(origin: str) -> Any:
        return Rig(model=None, settings=streaming(emulator_url, cors_origins=origin)).app()

    seen = visited_from_elsewhere(service, READ_STREAM)

    check_made_one_by_one(seen)
    assert seen["id"].startswith("req_")


def test_a_browser_keeps_a_page_of_another_origin_from_reading(emulator_url):
    def service(_: str) -> Any:
        allowed = "https://app.example.com"
        return Rig(model=None, settings=streaming(emulator_url, cors_origins=allowed)).app()

    assert visited_from_elsewhere(service, TRY_STREAM) == "TypeError"


def test_the_documentation_works_offline_and_its_execute_button_gets_an_answer():
    seen = visited(Rig().app(), EXECUTE)

    assert seen["status"].split()[0] == "200"
    assert '"generation"' in seen["body"]
    assert {urlsplit(name).hostname for name in seen["loaded"]} == {"127.0.0.1"}
    assert any("swagger-ui-bundle.js" in name for name in seen["loaded"])


def test_upload_forms_show_file_choosers_at_once_and_one_type_per_field():
    choosers = {"prepareImage": 1, "ragQuery": 1, "createFile": 1, "taskCompareUpload": 2}
    forms = visited(Rig().app(), READ_FORMS.replace("OPERATIONS", str([*choosers])))

    assert {name: form["choosers"] for name, form in forms.items()} == choosers
    for form in forms.values():
        assert [
            kind for kind in form["types"] if not re.fullmatch(r"\w+(<\w+>|\(\$\w+\))?", kind)
        ] == []


def test_execute_needs_only_a_file():
    model = FakeVisionModel()
    operations = ["prepareImage", "generateUpload", "taskExtractUpload"]
    script = EXECUTE_EACH.replace("PICTURE", PICTURE).replace("OPERATIONS", str(operations))

    assert visited(Rig(model).app(), script) == dict.fromkeys(operations, "200")
    # Only the first calls: a repeated one may differ.
    generated, extracted, *_ = model.requests
    assert (generated.system, generated.sampling) == (None, Sampling())
    assert extracted.sampling == EXTRACT.sampling


def test_with_a_key_from_the_authorize_button_a_picture_is_answered(tmp_path):
    key = add_key(tmp_path / "keys.json")
    app = WithOpenPages(guarded(tmp_path / "keys.json", public_docs=True).app())
    one = EXECUTE_EACH.replace("PICTURE", PICTURE).replace("OPERATIONS", "['generateUpload']")
    script = DOCS + AUTHORIZE.replace("KEY", key) + one.removeprefix(DOCS)

    assert visited(app, script) == {"generateUpload": "200"}
