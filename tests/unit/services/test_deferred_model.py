"""Which Pydantic models may be built lazily."""

import pytest
from fastapi.routing import APIRoute

from app.main import ROUTERS
from app.services.deferred_model import DeferredModel

ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.methods} {route.path}")
def test_models_that_fastapi_validates_itself_are_not_deferred(route):
    parameters = [*route.dependant.query_params, *route.dependant.path_params]
    bodies = [] if "POST" in route.methods else route.dependant.body_params

    annotations = [parameter.field_info.annotation for parameter in (*parameters, *bodies)]
    classes = [annotation for annotation in annotations if isinstance(annotation, type)]
    assert not [each for each in classes if issubclass(each, DeferredModel)]
