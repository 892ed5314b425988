"""The command line of ``python -m app``."""

import subprocess
import sys

from fixtures.process import ROOT

PROGRAM = """
import sys
from app.__main__ import main
try:
    main(["keys", "import", "models", "--help"])
except SystemExit:
    pass
print(*(name for name in sys.modules if name.startswith("app.cli.")))
"""


def test_a_command_named_in_another_commands_arguments_is_not_imported():
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert ran.stdout.splitlines()[-1] == "app.cli.keys"
