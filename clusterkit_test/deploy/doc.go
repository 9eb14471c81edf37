// Package deploy has the tests of the files for deployment: the Compose file, the Kubernetes
// manifests, the systemd unit and the Dockerfile. It is a module of its own, because it imports
// the parsers of these formats.
package deploy
