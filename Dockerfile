# Pyralis in a container: one static binary, no shell, not root. State is in /data, configuration in /etc/pyralis/pyralis.yaml or PYRALIS_… variables.
#
#   docker build -t pyralis .
#   docker run -d --name pyralis -p 127.0.0.1:5008:5008 -v pyralis-data:/data -v "$PWD/pyralis.yaml:/etc/pyralis/pyralis.yaml:ro" pyralis
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X github.com/pyralis-io/pyralis/internal/cli.Version=${VERSION}" -o /out/usr/local/bin/pyralis ./cmd/pyralis \
    && install -d -o 65532 -g 65532 -m 0700 /out/data && install -d -m 1777 /out/tmp && install -d /out/etc/pyralis

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out /
# All interfaces, of the container: what reaches it is decided by -p and the network that it is in.
ENV PYRALIS_API_ADDRESS=0.0.0.0 \
    PYRALIS_STORE_SQLITE_PATH=/data
WORKDIR /etc/pyralis
USER 65532:65532
VOLUME /data
EXPOSE 5008
STOPSIGNAL SIGTERM
# The answer comes from the store, so a node that serves is one that works.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/local/bin/pyralis", "stream", "list"]
ENTRYPOINT ["/usr/local/bin/pyralis"]
CMD ["run"]
