package deploy_test

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/clusterkit/clusterkit/clusterkit_test/documents"
)

var rewrite = flag.Bool("rewrite", false, "write the rules for Kubernetes from docs/alerts.yml")

const rulesFile = "examples/kubernetes/monitoring/rules.yaml"

// manifests are the objects that kustomize makes of examples/kubernetes.
type manifests struct {
	set       apps.StatefulSet
	services  map[string]core.Service
	secret    core.Secret
	account   core.ServiceAccount
	role      rbac.ClusterRole
	binding   rbac.ClusterRoleBinding
	budget    policy.PodDisruptionBudget
	network   networking.NetworkPolicy
	namespace core.Namespace
	monitor   monitoring.ServiceMonitor
	rules     monitoring.PrometheusRule
}

// kustomized builds examples/kubernetes as kubectl apply -k does. Each object is decoded strictly into
// its type: a field that does not exist is an error.
func kustomized(t *testing.T) *manifests {
	t.Helper()
	source, disk := filepath.Join(documents.Root(t), "examples", "kubernetes"), filesys.MakeFsInMemory()
	require.NoError(t, filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		return disk.WriteFile(filepath.Join("/k", name), content)
	}))
	require.NoError(t, disk.WriteFile("/k/base/gossip.key", []byte(strings.Repeat("00112233", 8)+"\n")))
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(disk, "/k")
	require.NoError(t, err)
	m := &manifests{services: make(map[string]core.Service)}
	for _, resource := range resources.Resources() {
		text, err := resource.AsYAML()
		require.NoError(t, err)
		var service core.Service
		into, known := map[string]any{
			"StatefulSet": &m.set, "Service": &service, "Secret": &m.secret, "ServiceAccount": &m.account, "ClusterRole": &m.role,
			"ClusterRoleBinding": &m.binding, "PodDisruptionBudget": &m.budget, "NetworkPolicy": &m.network, "Namespace": &m.namespace,
			"ServiceMonitor": &m.monitor, "PrometheusRule": &m.rules,
		}[resource.GetKind()]
		require.True(t, known, resource.GetKind())
		require.NoError(t, yaml.UnmarshalStrict(text, into), "%s", text)
		if service.Name != "" {
			m.services[service.Name] = service
		}
	}
	require.Len(t, resources.Resources(), 12)
	return m
}

// environment returns the variables of a container, with values for the fields of its pod.
func environment(t *testing.T, container core.Container) map[string]string {
	t.Helper()
	fields := map[string]string{"metadata.name": "node-0", "status.podIP": "10.1.2.3", "spec.nodeName": "worker-1"}
	values := make(map[string]string)
	for _, variable := range container.Env {
		value := variable.Value
		if from := variable.ValueFrom; from != nil {
			value = fields[from.FieldRef.FieldPath]
		}
		for name, earlier := range values { // Kubernetes knows the variables before this one
			value = strings.ReplaceAll(value, "$("+name+")", earlier)
		}
		require.NotEmpty(t, value, variable.Name)
		require.NotContains(t, value, "$(", variable.Name)
		values[variable.Name] = value
	}
	return values
}

func TestKubernetesStatefulSet(t *testing.T) {
	t.Parallel()
	m := kustomized(t)
	set, pod := m.set.Spec, m.set.Spec.Template.Spec
	require.Equal(t, apps.ParallelPodManagement, set.PodManagementPolicy, "members wait for each other")
	require.Equal(t, map[string]string{"app.kubernetes.io/name": m.set.Spec.Template.Labels["app.kubernetes.io/name"]}, set.Selector.MatchLabels)
	require.Len(t, pod.Containers, 1)
	node := pod.Containers[0]
	values := environment(t, node)
	require.Equal(t, "6", values["CLUSTERKIT_EXPECTED"])
	require.EqualValues(t, 6, *set.Replicas)
	require.Equal(t, "10.1.2.3", values["CLUSTERKIT_ADVERTISE"])
	require.Equal(t, "node-0", values["CLUSTERKIT_ID"])

	place, secret := "eu-1a\n", string(m.secret.Data["gossip.key"])
	valid := make(map[string]string)
	for name, value := range values {
		valid[name] = strings.Replace(value, "0.0.0.0:8080", "127.0.0.1:1", 1)
	}
	requireSettings(t, valid, map[string]string{"/place/zone": place, "/place/region": place, "/secret/gossip.key": secret})
	mounts := make(map[string]core.VolumeMount)
	for _, mount := range node.VolumeMounts {
		mounts[mount.MountPath] = mount
	}
	for _, variable := range []string{"CLUSTERKIT_ZONE_FILE", "CLUSTERKIT_REGION_FILE", "CLUSTERKIT_KEY_FILE"} {
		require.True(t, mounts[filepath.Dir(values[variable])].ReadOnly, variable)
	}

	// The init step writes where the member reads, and only the init step has a token.
	require.Len(t, pod.InitContainers, 1)
	step := pod.InitContainers[0]
	require.Equal(t, []string{"-write-place", filepath.Dir(values["CLUSTERKIT_ZONE_FILE"])}, step.Args)
	require.Equal(t, map[string]string{"CLUSTERKIT_KUBE_NODE": "worker-1"}, environment(t, step))
	_, flags := program(t)
	require.True(t, flags["write-place"] && flags["kube-node"])
	require.False(t, *pod.AutomountServiceAccountToken)
	const account = "/var/run/secrets/kubernetes.io/serviceaccount"
	require.NotContains(t, mounts, account)
	require.Contains(t, step.VolumeMounts, core.VolumeMount{Name: "account", MountPath: account, ReadOnly: true})
	require.Equal(t, []rbac.PolicyRule{{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get"}}}, m.role.Rules)
	require.Equal(t, rbac.Subject{Kind: "ServiceAccount", Name: pod.ServiceAccountName, Namespace: m.set.Namespace}, m.binding.Subjects[0])
	require.Equal(t, m.account.Name, pod.ServiceAccountName)
	require.Equal(t, m.role.Name, m.binding.RoleRef.Name)

	require.Equal(t, "restricted", m.namespace.Labels["pod-security.kubernetes.io/enforce"])
	require.True(t, *pod.SecurityContext.RunAsNonRoot)
	require.EqualValues(t, 65532, *pod.SecurityContext.RunAsUser)
	require.Equal(t, core.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type)
	for _, container := range append(pod.InitContainers, pod.Containers...) {
		require.True(t, *container.SecurityContext.ReadOnlyRootFilesystem, container.Name)
		require.False(t, *container.SecurityContext.AllowPrivilegeEscalation, container.Name)
		require.Equal(t, []core.Capability{"ALL"}, container.SecurityContext.Capabilities.Drop, container.Name)
		require.NotEmpty(t, container.Resources.Limits, container.Name)
		require.Contains(t, container.Image, ":v", "%s: name a version", container.Name)
	}
	require.False(t, *pod.EnableServiceLinks)

	for probe, path := range map[*core.Probe]string{node.StartupProbe: "/livez", node.ReadinessProbe: "/readyz", node.LivenessProbe: "/livez"} {
		require.Equal(t, path, probe.HTTPGet.Path)
		require.Equal(t, "http", probe.HTTPGet.Port.StrVal)
	}
	grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second
	sleep := time.Duration(node.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	require.Positive(t, sleep)
	require.Greater(t, grace, sleep+setting(t, values, "CLUSTERKIT_STOP_DELAY", "0s")+setting(t, values, "CLUSTERKIT_LEAVE_TIMEOUT", "10s"))

	require.Equal(t, "topology.kubernetes.io/zone", pod.TopologySpreadConstraints[0].TopologyKey)
	for _, constraint := range pod.TopologySpreadConstraints {
		require.Equal(t, set.Selector, constraint.LabelSelector)
	}
	require.Equal(t, set.Selector, m.budget.Spec.Selector)
	require.EqualValues(t, 1, m.budget.Spec.MaxUnavailable.IntVal)
	var secretNames []string
	for _, volume := range pod.Volumes {
		if volume.Secret != nil {
			secretNames = append(secretNames, volume.Secret.SecretName)
		}
	}
	require.Equal(t, []string{m.secret.Name}, secretNames)
}

func TestKubernetesNetwork(t *testing.T) {
	t.Parallel()
	m := kustomized(t)
	container := m.set.Spec.Template.Spec.Containers[0]
	values := environment(t, container)
	ports := make(map[string]core.ContainerPort)
	for _, port := range container.Ports {
		ports[port.Name] = port
	}
	require.True(t, strings.HasSuffix(values["CLUSTERKIT_GOSSIP"], ":7946"))
	require.True(t, strings.HasSuffix(values["CLUSTERKIT_HTTP"], ":8080"))
	for name, want := range map[string]core.ContainerPort{
		"gossip-udp": {ContainerPort: 7946, Protocol: core.ProtocolUDP}, "gossip-tcp": {ContainerPort: 7946, Protocol: core.ProtocolTCP},
		"http": {ContainerPort: 8080, Protocol: core.ProtocolTCP},
	} {
		want.Name = name
		require.Equal(t, want, ports[name])
	}
	members, callers := m.services["members"], m.services["node"]
	require.Equal(t, m.set.Spec.ServiceName, members.Name)
	require.Equal(t, values["CLUSTERKIT_DNS"], members.Name)
	require.Equal(t, "None", members.Spec.ClusterIP)
	require.True(t, members.Spec.PublishNotReadyAddresses, "members look for each other before they are ready")
	require.False(t, callers.Spec.PublishNotReadyAddresses)
	for _, service := range m.services {
		require.Subset(t, m.set.Spec.Template.Labels, service.Spec.Selector)
		for _, port := range service.Spec.Ports {
			require.Contains(t, ports, port.TargetPort.StrVal)
			require.Equal(t, ports[port.TargetPort.StrVal].Protocol, port.Protocol)
		}
	}
	require.Len(t, members.Spec.Ports, 3)

	// Members reach each other over UDP and TCP, both ways.
	policy := m.network.Spec
	require.Equal(t, m.set.Spec.Selector.MatchLabels, policy.PodSelector.MatchLabels)
	between := func(peers []networking.NetworkPolicyPeer, allowed []networking.NetworkPolicyPort) {
		require.Equal(t, m.set.Spec.Selector, peers[0].PodSelector)
		found := make(map[string]bool)
		for _, port := range allowed {
			found[string(*port.Protocol)+port.Port.String()] = true
		}
		require.Equal(t, map[string]bool{"UDP7946": true, "TCP7946": true, "TCP8080": true}, found)
	}
	between(policy.Ingress[0].From, policy.Ingress[0].Ports)
	between(policy.Egress[0].To, policy.Egress[0].Ports)
	require.Len(t, policy.PolicyTypes, 2)
	for _, port := range policy.Ingress[1].Ports {
		require.Equal(t, "8080", port.Port.String(), "other pods reach HTTP alone")
	}
}

func TestKubernetesMonitoring(t *testing.T) {
	t.Parallel()
	// The rules are those of docs/alerts.yml.
	var alerts monitoring.PrometheusRuleSpec
	require.NoError(t, yaml.UnmarshalStrict([]byte(read(t, "docs/alerts.yml")), &alerts))
	if *rewrite {
		body, err := yaml.Marshal(map[string]any{
			"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
			"metadata": map[string]any{"name": "clusterkit", "labels": map[string]any{"app.kubernetes.io/name": "clusterkit-node"}},
			"spec":     alerts,
		})
		require.NoError(t, err)
		head := "# Written from docs/alerts.yml: go test -C clusterkit_test/deploy -run Kubernetes -rewrite\n"
		require.NoError(t, os.WriteFile(filepath.Join(documents.Root(t), rulesFile), append([]byte(head), body...), 0o644))
	}
	m := kustomized(t)
	require.NotEmpty(t, alerts.Groups)
	require.Equal(t, alerts, m.rules.Spec, "go test -C clusterkit_test/deploy -run Kubernetes -rewrite")

	endpoint := m.monitor.Spec.Endpoints[0]
	require.Equal(t, "/metrics", endpoint.Path)
	require.Equal(t, "http", endpoint.Port)
	selected := 0
	for _, service := range m.services {
		fits := true
		for name, value := range m.monitor.Spec.Selector.MatchLabels {
			fits = fits && service.Labels[name] == value
		}
		if fits {
			selected++
			require.Equal(t, "members", service.Name, "the one that has pods that are not ready too")
		}
	}
	require.Equal(t, 1, selected, "each member is scraped once")
	require.True(t, endpoint.HonorLabels, "routers have a label service of their own")
}
