# syntax=docker/dockerfile:1
# The image of every part of the service: head, worker, review UI, migration.
#
#   docker build -t screenalyzer:0.1.0 .                                # target cpu
#   docker build --target cuda -t screenalyzer:0.1.0-cuda .             # and NVIDIA GPUs, also for clustering
#
# PyTorch's wheels bring their CUDA libraries along, so no CUDA base image is needed: the host brings the driver.
# Where no GPU is ever used, an index with PyTorch's CPU builds makes the image some GB smaller:
#   docker build --build-arg TORCH_INDEX=https://… .
ARG PYTHON=3.11

# What the packages are installed from: the names in pyproject.toml, in the versions of constraints.txt. It
# changes only with these two files, so a change of the code alone makes one small layer.
FROM python:${PYTHON}-slim-bookworm AS packages
ARG TORCH_INDEX=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/screenalyzer/venv
ENV PATH=/opt/screenalyzer/venv/bin:$PATH
WORKDIR /build
COPY pyproject.toml constraints.txt tools/requirements.py ./
RUN if [ -n "$TORCH_INDEX" ]; then \
        pip install --index-url "$TORCH_INDEX" -c constraints.txt torch torchvision; \
    fi \
    && { python requirements.py; python requirements.py s3 gs; } > requirements.txt \
    && pip install -c constraints.txt -r requirements.txt

FROM packages AS packages-cuda
RUN python requirements.py gpu > requirements-gpu.txt \
    && pip install -c constraints.txt -r requirements-gpu.txt

# The project itself, as a wheel.
FROM packages AS wheel
COPY README.md ./
COPY screenalyzer screenalyzer
COPY pipelines pipelines
COPY services services
COPY review_ui review_ui
RUN pip wheel --no-deps --wheel-dir /dist .

FROM python:${PYTHON}-slim-bookworm AS base
# wget and bash: KubeRay's probes and start commands; a login shell must find the programs too.
# hadolint ignore=DL3008,SC2016
RUN apt-get update \
    && apt-get install -y --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 screenalyzer \
    && useradd --uid 10001 --gid 10001 --create-home --shell /bin/bash screenalyzer \
    && install -d -o screenalyzer -g screenalyzer -m 0700 /data \
    && install -d -o screenalyzer -g screenalyzer -m 0755 /opt/screenalyzer /opt/screenalyzer/weights \
    && echo 'export PATH=/opt/screenalyzer/venv/bin:$PATH' > /etc/profile.d/screenalyzer.sh
ENV PATH=/opt/screenalyzer/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 \
    RAY_USAGE_STATS_ENABLED=0 \
    RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S=0.5 \
    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=services.proxy:middlewares \
    SCREENALYZER_DATA_ROOT=/data \
    SCREENALYZER_API__HOST=0.0.0.0 \
    SCREENALYZER_EMBED__CACHE_DIR=/opt/screenalyzer/weights
WORKDIR /home/screenalyzer
VOLUME /data
# The API; the review UI listens on 8501.
EXPOSE 8000 8501
# With nothing else said, the whole service on this host.
CMD ["screenalyzer", "up", "--foreground"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=4 \
    CMD ["wget", "--quiet", "--tries=1", "--timeout=4", "--output-document=/dev/null", "http://127.0.0.1:8000/v1/health"]
STOPSIGNAL SIGTERM

FROM base AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
COPY --from=packages-cuda /opt/screenalyzer/venv /opt/screenalyzer/venv
RUN --mount=type=bind,from=wheel,source=/dist,target=/dist \
    pip install --no-cache-dir --no-deps --no-compile /dist/*.whl
COPY infra/serve.yaml infra/head.sh /opt/screenalyzer/infra/
USER 10001:10001

# The last is what is built where no target is named.
FROM base AS cpu
COPY --from=packages /opt/screenalyzer/venv /opt/screenalyzer/venv
RUN --mount=type=bind,from=wheel,source=/dist,target=/dist \
    pip install --no-cache-dir --no-deps --no-compile /dist/*.whl
COPY infra/serve.yaml infra/head.sh /opt/screenalyzer/infra/
USER 10001:10001
