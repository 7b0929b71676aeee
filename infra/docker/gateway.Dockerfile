# The gateway, and the steps that compute nothing: no inference library is in it.
# The digest is that of python:3.11.16-slim-bookworm; a newer one: docker buildx imagetools inspect python:3.11-slim-bookworm
ARG PYTHON=python:3.11.16-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/colega
ENV PATH=/opt/colega/bin:$PATH
WORKDIR /src
COPY infra/docker/gateway.lock ./
RUN python -m pip install --require-hashes -r gateway.lock
COPY pyproject.toml README.md LICENSE ./
COPY services services
COPY workers workers
COPY index index
RUN python -m pip install --no-deps --no-build-isolation . && python -m pip uninstall --yes hatchling editables

FROM ${PYTHON}
ENV PATH=/opt/colega/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LANG=C.UTF-8 \
    HOME=/tmp \
    COLEGA_DATA=/data
RUN groupadd --gid 10001 colega && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin colega \
    && install --directory --owner colega --group colega --mode 700 /data
COPY --from=build /opt/colega /opt/colega
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
CMD ["python", "-m", "gunicorn", "-c", "python:services.gateway.gunicorn_settings", "--bind", "0.0.0.0:8000", "services.gateway.app:of_process()"]
