"""A real nginx in front of two addresses, with the configuration that deploy/ has."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from fixtures.process import ROOT, free_port
from tests.support.programs.installed import program

CONFIGURATION = ROOT / "deploy" / "nginx" / "llama-vision.conf"
HTTP2 = """\
    listen 8443 ssl http2;
    ssl_certificate /etc/nginx/tls.crt;
    ssl_certificate_key /etc/nginx/tls.key;
"""
"""The lines of docs/operations.md that enable HTTP/2 in nginx."""
_AROUND = """\
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/errors info;
events {{ }}
http {{
    access_log {folder}/access;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {shown}
}}
"""


@contextmanager
def balancer(first: int, *others: int, certificate: Path | None = None) -> Iterator[str]:
    """Run nginx in front of ports of this machine, and yield its URL.

    With a ``certificate``, whose file holds the key too, it speaks TLS and offers HTTP/2.
    """
    port = free_port()
    shown = (
        CONFIGURATION.read_text()
        .replace("server replica:8000 max_fails=0;", _servers(first))
        .replace("server service:8000 max_fails=0;", _servers(*others))
        .replace("listen 8080", f"listen 127.0.0.1:{port}")
    )
    if certificate is not None:
        secure = HTTP2.replace("/etc/nginx/tls.crt", f"{certificate}")
        secure = secure.replace("/etc/nginx/tls.key", f"{certificate}")
        secure = secure.replace("listen 8443", f"listen 127.0.0.1:{port}")
        shown = shown.replace(f"    listen 127.0.0.1:{port};\n", secure)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "nginx.conf"
        path.write_text(_AROUND.format(folder=folder, shown=shown))
        process = subprocess.Popen(
            [program("nginx"), "-p", folder, "-c", str(path), "-e", "stderr"]
        )
        url = f"http{'s' if certificate else ''}://127.0.0.1:{port}"
        try:
            _until_answering(process, url)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def _servers(*ports: int) -> str:
    return "\n".join(f"server 127.0.0.1:{port} max_fails=0;" for port in ports)


def _until_answering(process: "subprocess.Popen[bytes]", url: str) -> None:
    for _ in range(300):
        assert process.poll() is None, "nginx ended at once"
        try:
            httpx.get(f"{url}/healthz", timeout=30, verify=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("nginx does not answer")
