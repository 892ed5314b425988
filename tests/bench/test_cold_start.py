"""What the bench of cold starts makes of what Python and its runs tell."""

from bench.micro.cold_start import Start, imports, least, medians

LOG = """\
import time: self [us] | cumulative | imported package
import time:       100 |        100 |   fastapi.routing
import time:        50 |        150 | fastapi
{"event": "started"}
import time:        30 |         30 |     app.api.v1.jobs
import time:         5 |         35 |   app.api.v1
import time:         2 |         37 | app.api
import time: self [us] | cumulative | imported package
import time:      7000 |       7000 | PIL
"""


def test_imports_are_added_up_by_package_and_those_of_a_decoder_left_out():
    assert imports(LOG) == {"fastapi": 150, "app.api.v1": 35, "app.api": 2}


def test_of_several_profiles_each_package_has_its_least():
    profiles = [{"fastapi": 150, "app": 3}, {"fastapi": 120, "app": 4, "once": 1}]

    assert least(profiles) == {"fastapi": 120, "app": 3}


def test_the_median_of_each_figure_stands_for_the_runs():
    starts = [Start(2.5, 2.0, 0.3), Start(9.0, 2.1, 0.2), Start(2.6, 2.2, 0.4)]

    assert medians(starts) == {"clock": 2.6, "cpu": 2.1, "decoders_cpu": 0.3}
