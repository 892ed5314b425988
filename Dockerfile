# One image, three targets: `service` (the default), `lambda`, which adds AWS Lambda's web adapter, and
# `emulator`, which adds an OCR engine and the Llama 3 vocabulary. For amd64 and arm64: the digest is
# that of the index of both.
ARG LAMBDA_ADAPTER=public.ecr.aws/awsguru/aws-lambda-adapter:0.9.1@sha256:46d6625e68cbbdd2efab4a20245977664513f13ffef47915b000d431adcea0b4
FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /srv

# Wheels only: nothing is compiled, so no build tools reach any stage. One package has no wheel; it
# is pure Python, and what makes its wheel is pinned too. It goes again, with pip.
FROM base AS packages
COPY requirements/build.txt requirements/
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/build.txt

FROM packages AS service-packages
# With `--build-arg PACKAGES=service-ocr` the OCR engine that reads evidence is there, too. The largest
# models of AWS's services are left out that are never called: 4 MB.
ARG PACKAGES=service
COPY requirements/${PACKAGES}.txt requirements/
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes --no-build-isolation --only-binary :all: --no-binary pyvips -r "requirements/${PACKAGES}.txt" \
 && /opt/venv/bin/pip uninstall --yes setuptools pip \
 && find /opt/venv -regextype posix-extended -regex \
      ".*/botocore/data/(ec2|cloudfront|sagemaker|rds|elasticache|quicksight|glue|securityhub|mediaconvert)" \
      -prune -exec rm -r {} +

FROM packages AS emulator-packages
COPY requirements/emulator.txt requirements/
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes --no-build-isolation --only-binary :all: --no-binary pyvips -r requirements/emulator.txt \
 && /opt/venv/bin/pip uninstall --yes setuptools pip

# For the text of PDFs that don't embed their fonts: WenQuanYi for Chinese, Japanese and Korean (5 MB,
# where Noto's has 90), Noto for the others, one style of each script (5 MB of 42).
FROM base AS fonts
# Versions are not pinned: fonts hardly change, and Debian keeps no old ones.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends fonts-noto-core fonts-wqy-microhei \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir /fonts \
 && cp /usr/share/fonts/truetype/wqy/wqy-microhei.ttc /fonts \
 && for script in "" Arabic Armenian Bengali Devanagari Ethiopic Georgian Gujarati Gurmukhi Hebrew \
      Kannada Khmer Lao Malayalam Math Myanmar Sinhala Symbols Symbols2 Tamil Telugu Thai; \
    do cp "/usr/share/fonts/truetype/noto/NotoSans$script-Regular.ttf" /fonts; done

FROM base AS runtime
LABEL org.opencontainers.image.title="llama-vision-service" \
      org.opencontainers.image.description="An image-native REST service in front of Llama 3.2 Vision on Amazon Bedrock" \
      org.opencontainers.image.licenses="Apache-2.0"
# Of the build: which commit it is of, and which bill of materials (`make sbom`) says what is in it.
ARG REVISION=unknown
ARG SBOM_SHA256=unknown
LABEL org.opencontainers.image.revision="$REVISION" org.cyclonedx.bom.sha256="$SBOM_SHA256"
# The usage ledger and the data directory are all that the service writes.
RUN useradd --system --uid 10001 --no-create-home app \
 && install --directory --owner=app /var/lib/llama-vision
ENV PATH=/opt/venv/bin:$PATH
COPY deploy/image/healthcheck /usr/local/bin/
COPY app app
# The file system is read-only later, so what Python would write beside them is written now.
RUN python -m compileall -q --invalidation-mode unchecked-hash app
USER 10001
# The process itself gets it (exec form below) and finishes what it is doing, for which `docker stop`
# gives it 10 s and needs to give it 40: docs/operations.md, "Rolling restarts".
STOPSIGNAL SIGTERM

FROM runtime AS emulator
COPY --from=emulator-packages /opt/venv /opt/venv
ENV EMULATOR_HOST=0.0.0.0
EXPOSE 9100
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=5 \
  CMD ["healthcheck", "9100", "/_emulator/health"]
CMD ["python", "-m", "app.emulator"]

FROM ${LAMBDA_ADAPTER} AS lambda-adapter

# The service's packages and fonts, and an extension that hands Lambda's events on by HTTP.
FROM runtime AS lambda
COPY --from=lambda-adapter /lambda-adapter /opt/extensions/lambda-adapter
COPY --from=service-packages /opt/venv /opt/venv
COPY --from=fonts /fonts /usr/share/fonts
# Lambda's file system is read-only but for /tmp, which goes with the instance. Only the adapter
# reaches the port. One decoder, which the first picture starts and not each new instance: a function
# of less than 1,769 MB has less than one core.
ENV LLAMA_VISION_HOST=127.0.0.1 LLAMA_VISION_PORT=8000 LLAMA_VISION_USAGE_FILE=/tmp/usage.sqlite3 \
    LLAMA_VISION_DATA_DIRECTORY=/tmp/llama-vision LLAMA_VISION_IMAGE_WORKERS=1 \
    LLAMA_VISION_IMAGE_WORKERS_WAIT=true HOME=/tmp \
    AWS_LWA_PORT=8000 AWS_LWA_READINESS_CHECK_PATH=/healthz \
    AWS_LWA_READINESS_CHECK_HEALTHY_STATUS=200 AWS_LWA_ASYNC_INIT=true
CMD ["python", "-m", "app", "serve"]

FROM runtime AS service
COPY --from=service-packages /opt/venv /opt/venv
COPY --from=fonts /fonts /usr/share/fonts
# Off loopback the service starts with API keys, an OIDC issuer, or LLAMA_VISION_AUTH=disabled only.
ENV LLAMA_VISION_HOST=0.0.0.0 LLAMA_VISION_USAGE_FILE=/var/lib/llama-vision/usage.sqlite3 \
    LLAMA_VISION_DATA_DIRECTORY=/var/lib/llama-vision
VOLUME /var/lib/llama-vision
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=5 \
  CMD ["healthcheck", "8000", "/healthz"]
CMD ["python", "-m", "app", "serve"]
