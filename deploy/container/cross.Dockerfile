# The image for another kind of processor, without emulating it: nothing of the base is carried out.
# docker build --platform linux/arm64 --file deploy/container/cross.Dockerfile --tag test-coordinator:0.2.0 .
# Needs BuildKit. --build-arg BASE=… names another image for that processor, and BUILD_BASE=… the same Debian with the
# same Python for this machine's.
ARG BASE=docker.io/library/python:3.13-slim
ARG BUILD_BASE=${BASE}

FROM ${BASE} AS base

FROM --platform=${BUILDPLATFORM} ${BUILD_BASE} AS build
ARG TARGETARCH
RUN useradd --uid 10001 --home-dir /var/lib/test-coordinator --create-home --shell /usr/sbin/nologin coordinator
RUN python -m venv /opt/venv
COPY requirements.txt .
# As in Dockerfile, but for TARGETARCH. requirements.txt names everything, so pip need not look for more.
RUN case "${TARGETARCH}" in arm64) processor=aarch64;; amd64) processor=x86_64;; *) processor="${TARGETARCH}";; esac \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --only-binary :all: --no-binary crontab \
        --require-hashes --no-deps --platform "manylinux2014_${processor}" --platform "manylinux_2_28_${processor}" \
        --target /opt/packages --requirement requirements.txt \
    && /opt/venv/bin/pip uninstall --yes --quiet pip \
    && mv /opt/packages/bin/* /opt/venv/bin/ && rmdir /opt/packages/bin \
    && mv /opt/packages/* /opt/venv/lib/python3*/site-packages/ \
    && find /opt/venv -name '*.po' -delete
COPY . /opt/test-coordinator
WORKDIR /opt/test-coordinator
# The bill of materials lists the packages of the base, not of what it is built on.
COPY --from=base /var/lib/dpkg/status /var/lib/dpkg/status
RUN /opt/venv/bin/python deploy/bill_of_materials.py --system > sbom.cdx.json \
    && /opt/venv/bin/python -m compileall -q .

# What follows is as in Dockerfile, but without RUN.
FROM base
COPY --from=build /etc/passwd /etc/group /etc/
COPY --from=build --chown=10001:10001 /var/lib/test-coordinator /var/lib/test-coordinator
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/test-coordinator /opt/test-coordinator
WORKDIR /opt/test-coordinator
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ENVIRONMENT=docker \
    DATA_DIR=/var/lib/test-coordinator \
    WEB_ADDRESS=0.0.0.0
LABEL org.opencontainers.image.title="Test Coordinator" \
    org.opencontainers.image.version=0.2.0 \
    org.opencontainers.image.licenses=Apache-2.0 \
    test-coordinator.sbom=/opt/test-coordinator/sbom.cdx.json
# Scenarios never break this container, nor others of its compose project.
LABEL test-coordinator.faults=refused
USER 10001
VOLUME /var/lib/test-coordinator
EXPOSE 8080
# `health` asks the process alone: one that waits for its database is not helped by a restart.
HEALTHCHECK --interval=10s --timeout=10s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '8080') + '/api/v1/health', timeout=9)"]
CMD ["gunicorn"]
