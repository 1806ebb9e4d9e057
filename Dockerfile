# One image for every service of docker-compose.yml; the command tells them apart.
FROM python:3.11-slim AS base

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    WAREHOUSE_HOME=/var/lib/warehouse \
    DAGSTER_HOME=/var/lib/warehouse/dagster

RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/warehouse warehouse

WORKDIR /opt/warehouse
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable .

USER warehouse
# dbt is parsed once, here: services that start together never race for the manifest.
RUN mkdir -p "$DAGSTER_HOME/storage" && cp dagster.yaml "$DAGSTER_HOME/" && warehouse parse
