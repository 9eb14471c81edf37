# The image of examples/node: one static program, without a shell, for a user that is not root.
#   docker build -t clusterkit/node --build-arg VERSION=v0.1.0 .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.release=${VERSION}" -o /out/node ./examples/node

FROM scratch
# Authorities, for -tls-cert without -tls-ca.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/node /node
USER 65532:65532
ENV CLUSTERKIT_GOSSIP=0.0.0.0:7946 CLUSTERKIT_HTTP=0.0.0.0:8080
EXPOSE 7946/tcp 7946/udp 8080/tcp
HEALTHCHECK --interval=10s --timeout=6s --start-period=20s CMD ["/node", "-check"]
ENTRYPOINT ["/node"]
