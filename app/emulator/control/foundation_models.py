"""The account's foundation models and inference profiles, with the models' lifecycles."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import parse_qs

from app.emulator.config import EmulatorConfig
from app.emulator.control.catalogue import MODELS, UNKNOWN_MODEL, FoundationModel
from app.emulator.wire.errors import NOT_FOUND, AwsError, invalid

_RELEASED = date(2024, 9, 25)
# AWS promises at least six months between the announcement and the end.
_NOTICE = timedelta(days=181)
_EXTENDED = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class FoundationModels:
    """Answers the control plane's operations about Meta's foundation models."""

    config: EmulatorConfig
    today: Callable[[], date]

    def models(self, query: bytes) -> dict[str, Any]:
        """Return ListFoundationModels, filtered by the request."""
        wanted = {key: values[0] for key, values in parse_qs(query.decode()).items()}
        listed = [self._details(model) for model in MODELS]
        return {"modelSummaries": [model for model in listed if _matches(model, wanted)]}

    def model(self, identifier: str) -> dict[str, Any]:
        """Return GetFoundationModel, or raise a 404."""
        name = identifier.rpartition("foundation-model/")[2]
        for model in MODELS:
            if model.id == name:
                return {"modelDetails": self._details(model)}
        if "." not in name:
            raise invalid(UNKNOWN_MODEL)
        raise AwsError(
            NOT_FOUND, "Could not resolve the foundation model from the provided model identifier."
        )

    def profiles(self, query: bytes) -> dict[str, Any]:
        """Return ListInferenceProfiles; all of them are system-defined."""
        kind = parse_qs(query.decode()).get("type", ["SYSTEM_DEFINED"])[0]
        shown = MODELS if kind == "SYSTEM_DEFINED" else ()
        return {"inferenceProfileSummaries": [self._profile(model) for model in shown]}

    def profile(self, identifier: str) -> dict[str, Any]:
        """Return GetInferenceProfile, or raise a 404."""
        name = identifier.rpartition("inference-profile/")[2]
        if name in self.config.inference_profiles:
            return self._own_profile(identifier, name)
        for model in MODELS:
            if model.profile_id == name:
                return self._profile(model)
        raise AwsError(NOT_FOUND, f"The requested inference profile {identifier} was not found.")

    def provisioned(self, identifier: str) -> dict[str, Any]:
        """Return GetProvisionedModelThroughput; any name exists, in this region."""
        region, account = self.config.region, self.config.account
        name = identifier.rpartition("provisioned-model/")[2]
        arn = f"arn:aws:bedrock:{region}:{account}:provisioned-model/{name}"
        model = _model_arn(region, MODELS[0])
        return {
            "modelUnits": 1,
            "desiredModelUnits": 1,
            "provisionedModelName": name,
            "provisionedModelArn": identifier if identifier.startswith("arn:") else arn,
            "modelArn": model,
            "desiredModelArn": model,
            "foundationModelArn": model,
            "status": "InService",
            "creationTime": _instant(_RELEASED),
            "lastModifiedTime": _instant(_RELEASED),
        }

    def end(self, identifier: str, day: date | None) -> None:
        """Retire a model from ``day`` on; None revokes that."""
        ends = self.config.end_of_life
        assert isinstance(ends, dict)
        ends.pop(identifier, None)
        if day is not None:
            ends[identifier] = day

    def set_profile(self, identifier: str, model_arns: tuple[str, ...]) -> None:
        """Set the models of a profile."""
        assert isinstance(self.config.inference_profiles, dict)
        self.config.inference_profiles[identifier] = model_arns

    def _own_profile(self, identifier: str, name: str) -> dict[str, Any]:
        region, account = self.config.region, self.config.account
        kind = "application-inference-profile" if "application-" in identifier else None
        arn = f"arn:aws:bedrock:{region}:{account}:{kind or 'inference-profile'}/{name}"
        return {
            "inferenceProfileName": name.replace(".", " ").replace(":", " "),
            "createdAt": _instant(_RELEASED),
            "updatedAt": _instant(_RELEASED),
            "inferenceProfileArn": arn,
            "models": [{"modelArn": model} for model in self.config.inference_profiles[name]],
            "inferenceProfileId": name,
            "status": "ACTIVE",
            "type": "APPLICATION" if kind else "SYSTEM_DEFINED",
        }

    def _details(self, model: FoundationModel) -> dict[str, Any]:
        return {
            "modelArn": _model_arn(self.config.region, model),
            "modelId": model.id,
            "modelName": model.name,
            "providerName": "Meta",
            "inputModalities": ["TEXT", "IMAGE"],
            "outputModalities": ["TEXT"],
            "responseStreamingSupported": True,
            "customizationsSupported": [],
            "inferenceTypesSupported": [
                "ON_DEMAND" if self.config.allow_bare_model_id else "INFERENCE_PROFILE"
            ],
            "modelLifecycle": self._lifecycle(model),
        }

    def _lifecycle(self, model: FoundationModel) -> dict[str, str]:
        end = self.config.end_of_life.get(model.id)
        if end is None:
            return {"status": "ACTIVE", "startOfLifeTime": _instant(_RELEASED)}
        legacy = end - _NOTICE
        return {
            "status": "LEGACY" if self.today() >= legacy else "ACTIVE",
            "startOfLifeTime": _instant(_RELEASED),
            "legacyTime": _instant(legacy),
            "publicExtendedAccessTime": _instant(end - _EXTENDED),
            "endOfLifeTime": _instant(end),
        }

    def _profile(self, model: FoundationModel) -> dict[str, Any]:
        region, account = self.config.region, self.config.account
        return {
            "inferenceProfileName": f"US Meta {model.name.replace('.', ' ')}",
            "description": f"Routes requests to {model.name} in {' '.join(model.regions)}.",
            "createdAt": _instant(_RELEASED),
            "updatedAt": _instant(_RELEASED),
            "inferenceProfileArn": (
                f"arn:aws:bedrock:{region}:{account}:inference-profile/{model.profile_id}"
            ),
            "models": [{"modelArn": _model_arn(r, model)} for r in model.regions],
            "inferenceProfileId": model.profile_id,
            "status": "ACTIVE",
            "type": "SYSTEM_DEFINED",
        }


def _matches(model: dict[str, Any], wanted: dict[str, str]) -> bool:
    members = {
        "byProvider": [model["providerName"]],
        "byOutputModality": model["outputModalities"],
        "byInferenceType": model["inferenceTypesSupported"],
        "byCustomizationType": model["customizationsSupported"],
    }
    return all(wanted[key] in members[key] for key in wanted if key in members)


def _model_arn(region: str, model: FoundationModel) -> str:
    return f"arn:aws:bedrock:{region}::foundation-model/{model.id}"


def _instant(day: date) -> str:
    return datetime.combine(day, time(), UTC).isoformat().replace("+00:00", "Z")
