# The service with a bundle, sounds and their index inside:  docker build -t thud . && docker run -p 8000:8000 thud
# Every other command of Thud that needs no PyTorch runs in it too:  docker run thud index --help
#
# Where a proxy signs TLS with its own certificate, give pip that certificate for the build:
#   docker build --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt .
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS python
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# ONNX Runtime from 1.29 on reports what it runs to its makers unless it is told not to.
ENV ORT_DISABLE_TELEMETRY=1


# What serving needs: serve, or engines, with which an index may be in a Milvus and sounds in an object store.
FROM python AS serving
ARG THUD_LOCK=serve
COPY requirements/serve.lock requirements/engines.lock requirements/
RUN --mount=type=secret,id=ca,target=/run/ca.crt \
    if [ -s /run/ca.crt ]; then export PIP_CERT=/run/ca.crt; fi; \
    python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --require-hashes --no-deps -r requirements/${THUD_LOCK}.lock


# Thud itself as a wheel, built with the setuptools that train.lock pins.
FROM python AS wheel
WORKDIR /src
COPY requirements/train.lock requirements/
RUN --mount=type=secret,id=ca,target=/run/ca.crt \
    if [ -s /run/ca.crt ]; then export PIP_CERT=/run/ca.crt; fi; \
    sed -n '/^setuptools==/,/# via/p' requirements/train.lock >setuptools.lock \
    && pip install --require-hashes --no-deps -r setuptools.lock
COPY pyproject.toml README.md LICENSE thud.py ./
COPY model model
COPY index index
COPY training training
COPY service service
COPY thud-stubs thud-stubs
RUN pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheel .


# The demo's library and its index, with the very commands of `make demo-data` (tests/test_container.py compares them).
# SciPy, which draws the sounds, stays in this stage.
FROM serving AS demo
COPY requirements/demo.lock requirements/
RUN --mount=type=secret,id=ca,target=/run/ca.crt \
    if [ -s /run/ca.crt ]; then export PIP_CERT=/run/ca.crt; fi; \
    pip --python /opt/venv/bin/python install --require-hashes --no-deps -r requirements/demo.lock
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip --python /opt/venv/bin/python install --no-index --no-deps /wheel/*.whl
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
RUN thud synthesize library demo/sounds
COPY model/pretrained model/pretrained
RUN thud index model/pretrained demo/sounds demo/index


FROM python AS service
LABEL org.opencontainers.image.title="Thud" \
      org.opencontainers.image.description="Show it a picture, hear what it would sound like to touch it." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --user-group --uid 10001 --no-create-home --shell /usr/sbin/nologin thud
COPY --from=serving /opt/venv /opt/venv
COPY --from=demo /src/model/pretrained /srv/thud/bundle
COPY --from=demo /src/demo/sounds /srv/thud/sounds
COPY --from=demo /src/demo/index /srv/thud/index
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip --python /opt/venv/bin/python install --no-index --no-deps /wheel/*.whl
# A folder mounted over one of these three replaces it. The index remembers where the sounds lay when it was made;
# THUD_SOUNDS says where they lie here.
ENV PATH=/opt/venv/bin:$PATH \
    THUD_BUNDLE=/srv/thud/bundle \
    THUD_SOUNDS=/srv/thud/sounds \
    THUD_INDEX=/srv/thud/index \
    THUD_HOST=0.0.0.0 \
    THUD_PORT=8000
WORKDIR /srv/thud
USER 10001:10001
EXPOSE 8000
# http.client, because urllib would ask a proxy named in the environment. Beside a Service named thud, Kubernetes sets
# THUD_PORT to an address; the service then listens on its default port.
HEALTHCHECK --interval=10s --timeout=8s --start-period=60s --retries=3 CMD ["python", "-I", "-c", "\
import http.client, os, sys; \
host, port = (os.environ.get(name, '').strip() for name in ('THUD_HOST', 'THUD_PORT')); \
host = '127.0.0.1' if host in ('', '0.0.0.0', '::') else host; \
connection = http.client.HTTPConnection(host, int(port) if port.isdecimal() else 8000, timeout=7); \
connection.request('GET', '/readyz'); \
sys.exit(connection.getresponse().status != 200)"]
ENTRYPOINT ["thud"]
CMD ["serve"]
