"""Settings from the environment and .env, and their row in the docs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.adapters.stores.rate_limiter import open_limiter
from app.adapters.stores.redis_client import open_redis
from app.domain.model import Dialect
from app.settings import PREFIX, Settings, SettingsError, documentation, keys_file, load

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_environment_wins_over_the_env_file(monkeypatch):
    Path(".env").write_text(f"{PREFIX}REGION=us-east-1\n{PREFIX}PORT=1234\nAWS_PROFILE=x\n")
    monkeypatch.setenv(f"{PREFIX}PORT", "4321")
    monkeypatch.setenv(f"{PREFIX}DIALECT", "converse")

    settings = load()

    assert (settings.region, settings.port) == ("us-east-1", 4321)
    assert settings.targets[0].dialect is Dialect.CONVERSE


@pytest.mark.parametrize("variable", [None, "b.json", ""])
@pytest.mark.parametrize("line", ["", f"{PREFIX}KEYS_FILE=a.json", f"{PREFIX}keys_file=a.json"])
def test_the_key_file_is_resolved_as_with_all_other_settings(monkeypatch, variable, line):
    Path(".env").write_text(line)
    if variable is not None:
        monkeypatch.setenv(f"{PREFIX}KEYS_FILE", variable)
    served = load().keys_file
    monkeypatch.setenv(f"{PREFIX}PORT", "x")

    assert keys_file() == served


def test_names_are_parsed_from_a_comma_separated_list(monkeypatch):
    monkeypatch.setenv(f"{PREFIX}IMAGE_URL_HOSTS", "a.example, *.b.example:8443")

    assert load().image_url_hosts == ("a.example", "*.b.example:8443")


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        load().__setattr__("port", 1)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "x", "integer"),
        ("PORT", "70000", "65535"),
        ("REGION", "Oregon", "REGION: 'Oregon' is not an AWS region"),
        ("DIALECT", "soap", "invoke"),
        ("ENDPOINT_URL", "nonsense", "URL"),
        ("OPENAI_URL", "nonsense", "URL"),
        ("READ_TIMEOUT", "0", "greater than 0"),
        ("MODEL_ID", "gpt-4", "inference-profile id"),
        ("BASE_MODEL", "gpt-4", "llama3-2-11b"),
        ("IMAGE_URL_HOSTS", "a.example,,b.example", "at least 1 character"),
        ("IMAGE_S3_OWNER", "1234", "match"),
        ("MAX_BYTES_IN_FLIGHT", "1000", "less than max_body_bytes"),
        ("MAX_PIXELS_IN_FLIGHT", "1000", "less than max_image_pixels"),
        ("LIMITS", "10/second", "not JSON"),
        ("FALLBACKS", "[", "not JSON"),
        ("FALLBACKS", '[{"regoin": "us-west-2"}]', "0.regoin: there is no such member"),
        ("KNOWLEDGE_BASES", '{"a": {"id": "ABC"}}', "KNOWLEDGE_BASES: a.id: "),
        ("LIMITS", '{"requests": 5}', "LIMITS: requests: "),
        ("MODEL_ALIASES", '["gpt-4o"]', "separated by commas alone"),
        ("MODEL_ALIASES", "gpt-4o b", "separated by commas alone"),
        ("KEYS", '[{"id": "a", "hash": 5, "name": "x", "scopes": []}]', "entry 0"),
        ("EMF_DIMENSIONS", "Service,Picture", "'Service', 'Model', 'Task', 'Caller' or 'Route'"),
        ("EMF_DIMENSIONS", "Model,Model", "names one twice"),
        ("POTR", "1", "no such setting"),
    ],
)
def test_an_invalid_setting_is_named_with_the_accepted_values(monkeypatch, name, value, said):
    monkeypatch.setenv(PREFIX + name, value)

    with pytest.raises(SettingsError, match=said) as raised:
        load()

    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{PREFIX}{name}: ")


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"DIALECT": "openai"}, "OPENAI_URL"),
        ({"DIALECT": "openai", "OPENAI_URL": "https://a.test"}, "OPENAI_MODEL"),
        ({"FALLBACKS": '[{"dialect": "openai"}]', "OPENAI_MODEL": "m"}, "OPENAI_URL"),
        ({"OPENAI_KEY": "k", "OPENAI_KEY_FILE": "f"}, "OPENAI_KEY"),
    ],
)
def test_another_server_requires_its_address_and_model_name(monkeypatch, more, named):
    for name, value in more.items():
        monkeypatch.setenv(PREFIX + name, value)

    with pytest.raises(SettingsError) as raised:
        load()

    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{PREFIX}{named}: ")


@pytest.mark.parametrize(
    ("url", "said"),
    [("", "is missing"), ("hunter2@db/usage", "does not begin with postgresql://")],
)
def test_usage_in_postgres_requires_its_url(monkeypatch, url, said):
    monkeypatch.setenv(f"{PREFIX}USAGE_STORE", "postgres")
    monkeypatch.setenv(f"{PREFIX}POSTGRES_URL", url)

    with pytest.raises(SettingsError, match=f"^{PREFIX}POSTGRES_URL: {said}") as raised:
        load()

    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@host:notaport/0",
        "redis://:hunter2@host/0",
        "redis://:hunter2@host:6379/zero",
        "redis://:12/hunter2@host:6379/0",
        "redis://:hun#ter2@host:6379/0",
        "redis://:hun@ter2@host:6379/0",
        "redis://:hunter2@:6379/0",
        "http://:hunter2@host:6379/0",
        "host:6379",
    ],
)
def test_an_unreadable_redis_url_is_refused_without_being_printed(monkeypatch, url):
    monkeypatch.setenv(f"{PREFIX}REDIS_URL", url)

    with pytest.raises(SettingsError, match=f"^{PREFIX}REDIS_URL: is not redis://") as raised:
        load()

    assert "ter2" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://host:6379",
        "redis://:p%2Fw@host:6379/0",
        "rediss://user:pa:ss@a.b-c.example:6380/15?ssl_cert_reqs=none",
        "redis://[::1]:6379/",
    ],
)
async def test_an_accepted_redis_url_can_be_read_by_the_libraries(monkeypatch, url):
    monkeypatch.setenv(f"{PREFIX}REDIS_URL", url)
    taken = load().redis_url
    assert taken is not None

    async with open_redis(taken.get_secret_value()), open_limiter(taken.get_secret_value()):
        pass


@pytest.mark.parametrize(
    ("setting", "value", "package"),
    [
        ("USAGE_STORE", "postgres", "asyncpg"),
        ("TRACES", "true", "opentelemetry-exporter-otlp-proto-http"),
        ("OTLP_METRICS", "true", "opentelemetry-exporter-otlp-proto-http"),
    ],
)
def test_a_setting_whose_package_is_missing_stops_the_start(monkeypatch, setting, value, package):
    monkeypatch.setenv(f"{PREFIX}POSTGRES_URL", "postgresql://db/usage")
    monkeypatch.setenv(PREFIX + setting, value)
    monkeypatch.setattr("app.settings.types.find_spec", lambda _: None)

    with pytest.raises(SettingsError, match=f"^{PREFIX}{setting}: needs {package}, which is not"):
        load()


def test_a_model_in_another_region_than_the_configured_one_is_refused(monkeypatch):
    monkeypatch.setenv(f"{PREFIX}MODEL_ID", "arn:aws:bedrock:us-east-1:1:imported-model/abc")

    with pytest.raises(SettingsError, match=f"{PREFIX}REGION: is us-west-2"):
        load()


def test_an_invalid_setting_stops_the_start_with_one_line(monkeypatch):
    monkeypatch.setenv(f"{PREFIX}PORT", "x")
    monkeypatch.setenv("PYTHONPATH", str(DOCS.parents[1]))

    run = subprocess.run(
        [sys.executable, "-m", "app", "serve"], capture_output=True, text=True, timeout=60
    )

    assert run.returncode == 2
    line, hint = run.stderr.splitlines()
    assert line.startswith(f"{PREFIX}PORT: ")
    assert "python -m app doctor" in hint


IMPORTED = "arn:aws:bedrock:us-west-2:123456789012:imported-model/abc"


def chosen(**given) -> list[tuple[str, str, str]]:
    targets = Settings(_env_file=None, **given).targets
    return [(target.region, target.model_id, target.dialect.value) for target in targets]


def test_by_default_the_dialect_follows_from_each_targets_model_id():
    fallbacks = [{"region": "us-east-1"}, {"model_id": IMPORTED}, {"dialect": "converse"}]
    model = "us.meta.llama3-2-11b-instruct-v1:0"

    assert chosen(fallbacks=fallbacks) == [
        ("us-west-2", model, "invoke"),
        ("us-east-1", model, "invoke"),
        ("us-west-2", IMPORTED, "chat"),
        ("us-west-2", model, "converse"),
    ]
    assert Settings(_env_file=None, model_id=IMPORTED).dialect_choice.dialect is Dialect.CHAT


def test_the_dialect_setting_overrides_the_model_id():
    settings = Settings(_env_file=None, model_id=IMPORTED, dialect="converse")

    assert settings.targets[0].dialect is Dialect.CONVERSE
    assert settings.dialect_choice.reason == "the setting names it"


OTHER = {"openai_url": "https://vllm.example/v1", "openai_model": "llama"}


def test_another_server_is_a_target_like_any_other():
    bedrock = ("us-west-2", IMPORTED, "chat")
    server = ("vllm.example", "llama", "openai")

    assert chosen(model_id=IMPORTED, fallbacks=[{"dialect": "openai"}], **OTHER) == [
        bedrock, server
    ]  # fmt: skip
    assert chosen(dialect="openai", fallbacks=[{"model_id": IMPORTED}], **OTHER) == [
        server, bedrock
    ]  # fmt: skip
    assert chosen(model_id=IMPORTED, **OTHER) == [bedrock]


def test_capabilities_follow_from_dialect_and_model():
    settings = Settings(_env_file=None, model_id=IMPORTED, fallbacks=[{"dialect": "converse"}])

    assert [settings.capabilities_of(target).max_images for target in settings.targets] == [3, 1]


def test_every_setting_has_its_row_in_the_docs_with_its_default_and_description():
    page = DOCS.read_text()

    assert page == documentation.document() + "\n", "run `make settings`"
    assert set(re.findall(rf"^\| `{PREFIX}(\w+)`", page, re.MULTILINE)) == {
        name.upper() for name in Settings.model_fields
    }


@pytest.mark.parametrize(
    ("store", "url"),
    [
        ("redis", "redis://cache.example:6379/0"),
        ("redis", "redis://10.0.0.1:6379/0"),
        ("postgres", "postgresql://u:hunter2@db.example/d"),
        ("postgres", "postgresql://u:hunter2@127.0.0.1,db.example/d"),
        ("postgres", "postgresql://u:hunter2@/d?host=db.example"),
        ("postgres", "postgresql://u:hunter2@db.example/d?sslmode=prefer"),
    ],
)
@pytest.mark.parametrize("setting", ["usage_store", "caller_keys_store"])
def test_a_remote_store_requires_tls_unless_plain_connections_are_allowed(
    monkeypatch, setting, store, url
):
    monkeypatch.setenv(f"{PREFIX}{setting.upper()}", store)
    monkeypatch.setenv(f"{PREFIX}{store.upper()}_URL", url)

    with pytest.raises(SettingsError, match=f"^{PREFIX}{store.upper()}_URL: .*TLS") as raised:
        load()
    monkeypatch.setenv(f"{PREFIX}ALLOW_PLAIN_STORES", "true")

    assert "hunter2" not in str(raised.value)
    assert load().allow_plain_stores


@pytest.mark.parametrize(
    ("store", "url"),
    [
        ("redis", "rediss://cache.example:6379/0"),
        ("redis", "redis://localhost:6379/0"),
        ("redis", "redis://:p%2Fw@[::1]:6379/0"),
        ("postgres", "postgresql://u:p@db.example/d?sslmode=verify-full"),
        ("postgres", "postgresql://u:p@db.example/d?sslmode=require"),
        ("postgres", "postgresql://u:p@[::1]:5432/d"),
        ("postgres", "postgresql://u:p@localhost,127.0.0.1:1/d"),
        ("postgres", "postgresql:///d?host=/run/postgresql"),
    ],
)
def test_stores_over_tls_or_on_this_machine_are_accepted(monkeypatch, store, url):
    monkeypatch.setenv(f"{PREFIX}USAGE_STORE", store)
    monkeypatch.setenv(f"{PREFIX}{store.upper()}_URL", url)

    assert load().usage_store == store
