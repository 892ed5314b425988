# One image, two targets: `service` (the default) and `emulator`, which adds an OCR engine and the
# Llama 3 vocabulary.
FROM python:3.13-slim AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /srv

# Wheels only: nothing is compiled, so no build tools reach any stage.
FROM base AS service-packages
COPY requirements/service.txt requirements/
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r requirements/service.txt

FROM service-packages AS emulator-packages
COPY requirements/emulator.txt requirements/
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r requirements/emulator.txt

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
# The usage ledger is the one thing that the service writes.
RUN useradd --system --uid 10001 --no-create-home app \
 && install --directory --owner=app /var/lib/llama-vision
ENV PATH=/opt/venv/bin:$PATH
COPY app app
USER 10001

FROM runtime AS emulator
COPY --from=emulator-packages /opt/venv /opt/venv
ENV EMULATOR_HOST=0.0.0.0
EXPOSE 9100
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=5 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9100/_emulator/health', timeout=2)"]
CMD ["python", "-m", "app.emulator"]

FROM runtime AS service
COPY --from=service-packages /opt/venv /opt/venv
COPY --from=fonts /fonts /usr/share/fonts
# Off loopback the service starts with API keys, an OIDC issuer, or LLAMA_VISION_AUTH=disabled only.
ENV LLAMA_VISION_HOST=0.0.0.0 LLAMA_VISION_USAGE_FILE=/var/lib/llama-vision/usage.sqlite3
VOLUME /var/lib/llama-vision
EXPOSE 8000
# Exec form: the process itself gets SIGTERM and finishes what it is doing, for which `docker stop`
# gives it 10 s and needs to give it 40: docs/operations.md, "Rolling restarts".
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=5 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["python", "-m", "app", "serve"]
