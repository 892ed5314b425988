"""Stand-ins for the AWS services that the pages use: an emulator and a bucket of weights."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.emulator.app import create_emulator
from app.emulator.config import EmulatorConfig
from app.settings import PREFIX
from tests.support.model.files import model_files
from tests.support.servers.s3 import make_bucket, s3_client
from tests.support.servers.uvicorn import serving

BUCKET = "my-bucket"


@contextmanager
def aws_stand_ins(s3_url: str) -> Iterator[dict[str, str]]:
    """Yield the environment variables that point to both."""
    client = s3_client(s3_url)
    make_bucket(client, BUCKET)
    for name, text in model_files().items():
        client.put_object(Bucket=BUCKET, Key=f"llama/{name}", Body=text.encode())
    config = EmulatorConfig(
        region="us-west-2", import_seconds=0.3, imported_models={"abc123def456": "llama"}
    )
    with serving(create_emulator(config)) as url:
        yield {f"{PREFIX}ENDPOINT_URL": url, "AWS_ENDPOINT_URL_S3": s3_url}
