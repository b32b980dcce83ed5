# The edge: HAProxy from Debian with the configuration that `./crosspoint up --gateways N` uses too.
ARG DEBIAN_IMAGE=debian:bookworm-slim
FROM ${DEBIAN_IMAGE}
RUN apt-get update --quiet=2 \
 && apt-get install --quiet=2 --yes --no-install-recommends haproxy \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
 && groupadd --gid 10001 crosspoint \
 && usermod --append --groups crosspoint haproxy
COPY deploy/docker/start-haproxy /usr/local/bin/
COPY deploy/haproxy /etc/crosspoint
USER haproxy
# Lets connections go on for `hard-stop-after`.
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["bash", "-c", ": >/dev/tcp/127.0.0.1/3000"]
CMD ["start-haproxy"]
