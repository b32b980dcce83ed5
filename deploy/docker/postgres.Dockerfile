# Postgres 15 from Debian, run by a user of its own on a volume.
ARG DEBIAN_IMAGE=debian:bookworm-slim
FROM ${DEBIAN_IMAGE}
RUN apt-get update --quiet=2 \
 && apt-get install --quiet=2 --yes --no-install-recommends postgresql-common \
 && printf 'create_main_cluster = false\n' >/etc/postgresql-common/createcluster.conf \
 && apt-get install --quiet=2 --yes --no-install-recommends postgresql-15 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
 && groupadd --gid 10001 crosspoint \
 && usermod --append --groups crosspoint postgres \
 && install -d -o postgres -g postgres -m 700 /var/lib/postgresql/data
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PGDATA=/var/lib/postgresql/data/cluster
COPY deploy/docker/start-postgres /usr/local/bin/
COPY deploy/postgres/roles.sql /usr/local/share/crosspoint/
USER postgres
# SIGINT ends sessions at once and writes everything; SIGTERM would wait for them.
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["pg_isready", "--quiet", "--host=127.0.0.1", "--dbname=crosspoint", "--username=crosspoint_auth"]
CMD ["start-postgres"]
