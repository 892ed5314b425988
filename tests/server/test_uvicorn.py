"""The parts of uvicorn's private interface that `app.server` uses."""

import ast
import inspect
import re
from pathlib import Path

import pytest
import uvicorn
from uvicorn.lifespan.on import LifespanOn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

ROOT = Path(__file__).parents[2]

METHODS = {
    HttpToolsProtocol: (
        "_start_asgi_task",
        "connection_lost",
        "connection_made",
        "on_body",
        "on_header",
        "on_headers_complete",
        "on_message_begin",
        "on_message_complete",
        "on_response_complete",
        "pause_writing",
        "resume_writing",
        "send_400_response",
        "shutdown",
    ),
    RequestResponseCycle: ("receive", "run_asgi", "send"),
    FlowControl: ("drain", "pause_reading", "resume_reading", "pause_writing", "resume_writing"),
    uvicorn.Server: ("_log_started_message", "handle_exit", "run", "shutdown", "startup"),
}
ATTRIBUTES = {
    HttpToolsProtocol: (
        "app_state",
        "client",
        "cycle",
        "flow",
        "headers",
        "loop",
        "parser",
        "pipeline",
        "scope",
        "server_state",
        "tasks",
        "timeout_keep_alive",
        "transport",
        "url",
    ),
    RequestResponseCycle: (
        "default_headers",
        "disconnected",
        "flow",
        "keep_alive",
        "message_event",
        "on_response",
        "response_complete",
        "response_started",
        "scope",
        "transport",
        "waiting_for_100_continue",
    ),
    FlowControl: ("read_paused", "write_paused"),
    uvicorn.Server: ("lifespan", "server_state", "servers", "should_exit", "started"),
    ServerState: ("default_headers", "total_requests"),
    LifespanOn: ("state",),
}


@pytest.mark.parametrize(
    ("owner", "name"), [(owner, name) for owner, names in METHODS.items() for name in names]
)
def test_uvicorn_still_has_each_method_that_is_overridden_or_called(owner, name):
    assert callable(getattr(owner, name))


@pytest.mark.parametrize(
    ("owner", "name"), [(owner, name) for owner, names in ATTRIBUTES.items() for name in names]
)
def test_uvicorn_still_has_each_attribute_that_is_read_or_set(owner, name):
    source = inspect.getsource(inspect.getmodule(owner) or owner)

    assert f"self.{name}" in source or name in getattr(owner, "__annotations__", {})


def test_the_version_is_pinned_as_closely_as_private_names_require():
    assert re.search(r'"uvicorn[^"]*~=0\.54\.0"', (ROOT / "pyproject.toml").read_text())
    assert uvicorn.__version__.startswith("0.54.")


def test_no_module_of_uvicorn_is_patched():
    for path in (ROOT / "app").rglob("*.py"):
        tree = ast.parse(path.read_text())
        modules = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            and "uvicorn" in (getattr(node, "module", None) or node.names[0].name)
            for alias in node.names
        }
        targets = [
            target
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        ]
        assigned = [
            ast.unparse(target)
            for target in targets
            if isinstance(target, ast.Attribute) and ast.unparse(target.value) in modules
        ]
        assert not assigned, f"{path}: {assigned}"
