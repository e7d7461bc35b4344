# The exporter's image: `docker build -t scheduler-exporter .`; a shop to watch: `docker build --target demo .`
# What is in it is pinned by constraints.txt. EXTRAS: optional parts, as in `pip install 'scheduler-exporter[...]'`.
ARG PYTHON_IMAGE=python:3.13.9-slim-bookworm

# -- build: an environment with the exporter, and pip to put more into it
FROM ${PYTHON_IMAGE} AS build
ARG EXTRAS=redis,sentry,tracing
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/venv
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY exporter ./exporter
COPY rules ./rules
COPY dashboards/*.json ./dashboards/
RUN /opt/venv/bin/python -m pip install --no-compile -c constraints.txt ".[${EXTRAS}]"

# -- build-demo: the same with the scheduler that the demo runs
FROM build AS build-demo
RUN /opt/venv/bin/python -m pip install --no-compile -c constraints.txt procrastinate \
 && /opt/venv/bin/python -m pip uninstall -y pip \
 && /opt/venv/bin/python -OO -m compileall -q /opt/venv/lib

# -- packed: no build tools
FROM build AS packed
RUN /opt/venv/bin/python -m pip uninstall -y pip \
 && /opt/venv/bin/python -OO -m compileall -q /opt/venv/lib

# -- base: who runs, and where things are. All is compiled, without docstrings (PYTHONOPTIMIZE): they are 3 MB of memory.
# Python's image has its library uncompiled, and who runs may write no file: compiling it took each start 1.5 s.
FROM ${PYTHON_IMAGE} AS base
RUN python -m pip uninstall -y pip \
 && rm -rf /usr/local/lib/python3.*/ensurepip \
 && python -OO -m compileall -q -x 'idlelib|turtledemo|tkinter|site-packages' /usr/local/lib/python3.* \
 && mkdir -p /etc/scheduler-exporter /var/lib/scheduler-exporter \
 && chown 65532:65532 /var/lib/scheduler-exporter
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONOPTIMIZE=2 \
    SCHEDULER_EXPORTER_CONFIG_FILE=/etc/scheduler-exporter/config.yaml \
    SCHEDULER_EXPORTER_STATE_PATH=/var/lib/scheduler-exporter \
    SCHEDULER_EXPORTER_WEB_LISTEN_ADDRESS=0.0.0.0:9795
WORKDIR /var/lib/scheduler-exporter
USER 65532:65532
VOLUME ["/var/lib/scheduler-exporter"]

# -- demo: a shop's scheduler and workers, for compose/
FROM base AS demo
COPY --from=build-demo /opt/venv /opt/venv
ENTRYPOINT ["python", "-m"]
CMD ["exporter.demo.producer"]

# -- runtime: the exporter
FROM base AS runtime
ARG REVISION=""
LABEL org.opencontainers.image.title="scheduler-exporter" \
      org.opencontainers.image.description="Prometheus exporter for job schedulers that keep their state in PostgreSQL" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
ENV SCHEDULER_EXPORTER_REVISION=${REVISION}
COPY --from=packed /opt/venv /opt/venv
COPY --from=packed /opt/venv/share/scheduler-exporter /usr/share/scheduler-exporter
EXPOSE 9795
# With TLS or another port give a check of your own; Kubernetes has its probes and never runs this one.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9795/health/live', timeout=4)"]
ENTRYPOINT ["scheduler-exporter"]
CMD ["serve"]
