"""Messages of the PDF library go to the log."""

import json
import subprocess
import sys

XFA = """
from app.domain.image import ImageLimits
from app.services.documents.render import Kind, drawn
from app.services.documents.page import Cut, Tile
from app.services.geometry import Size
from tests.support.files.documents import pdf, stream

data = pdf(
    b"<</Type/Catalog/Pages 2 0 R/AcroForm<</XFA 4 0 R/Fields[]>>>>",
    b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
    b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>",
    stream(b"<xdp:xdp xmlns:xdp='http://ns.adobe.com/xdp/'></xdp:xdp>"),
)
drawn(data, Kind.PDF, Cut(1, Size(99, 99), Tile(0, 0, 99, 99)), ImageLimits())
"""


def test_each_line_of_the_library_is_one_log_line():
    run = subprocess.run([sys.executable, "-c", XFA], capture_output=True, text=True, check=True)

    line = json.loads(run.stdout)
    assert line["level"] == "warning"
    assert "XFA" in line["event"]
    assert run.stderr == ""
