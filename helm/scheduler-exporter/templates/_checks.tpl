{{/* What the values contradict themselves in, or must not hold. Included once, by config.yaml. */}}
{{- define "scheduler-exporter.check" -}}
{{- $v := .Values }}
{{- $existing := or $v.existingConfig.configMap $v.existingConfig.secret }}
{{- $claim := and $v.state.persistence.enabled $v.state.persistence.existingClaim }}
{{- if and $v.existingConfig.configMap $v.existingConfig.secret }}
{{- fail "existingConfig.configMap and existingConfig.secret are both set: the configuration is in one of them; leave the other empty" }}
{{- end }}
{{- if and $v.existingConfig.secret $v.configFiles }}
{{- fail "configFiles and existingConfig.secret are both set: put the files into that Secret" }}
{{- end }}
{{- if and $v.existingConfig.configMap $v.configFiles }}
{{- fail "configFiles and existingConfig.configMap are both set: put the files into that ConfigMap" }}
{{- end }}
{{- if hasKey $v.configFiles "config.yaml" }}
{{- fail "configFiles has config.yaml: that is the configuration itself; write it into config" }}
{{- end }}
{{- if and (gt (int $v.shards) 1) (ne $v.kind "StatefulSet") }}
{{- fail (printf "shards is %d and kind is %s: a shard's number is its pod's, which only a StatefulSet gives; set kind: StatefulSet or shards: 1" (int $v.shards) $v.kind) }}
{{- end }}
{{- if and (ne (int $v.replicas) 1) (ne $v.kind "Deployment") }}
{{- fail (printf "replicas is %d and kind is %s: replicas are a Deployment's; of a StatefulSet set shards" (int $v.replicas) $v.kind) }}
{{- end }}
{{- if and (gt (int $v.replicas) 1) $v.state.persistence.enabled }}
{{- fail "replicas is above 1 and state.persistence.enabled is true: one claim cannot hold the state of several pods; set state.persistence.enabled: false, or kind: StatefulSet" }}
{{- end }}
{{- if and (gt (int $v.shards) 1) $claim }}
{{- fail "shards is above 1 and state.persistence.existingClaim is set: each shard has a state of its own; leave existingClaim empty" }}
{{- end }}
{{- if and $v.state.persistence.existingClaim (not $v.state.persistence.enabled) }}
{{- fail "state.persistence.existingClaim is set and state.persistence.enabled is false: enable it, or leave the claim out" }}
{{- end }}
{{- if eq $v.ports.metrics $v.ports.api }}
{{- fail (printf "ports.metrics and ports.api are both %d: each needs one of its own; for a single port set api.enabled: false" (int $v.ports.api)) }}
{{- end }}
{{- if and $v.monitoring.serviceMonitor $v.monitoring.podMonitor }}
{{- fail "monitoring.serviceMonitor and monitoring.podMonitor are both true: every pod would be scraped twice; choose one" }}
{{- end }}
{{- if and (eq $v.monitoring.instance "release") (or (gt (int $v.shards) 1) (gt (int $v.replicas) 1)) }}
{{- fail "monitoring.instance is release and there are several pods: their series would be the same; set pod or auto" }}
{{- end }}
{{- if and (or $v.webConfig.tls $v.webConfig.login) (not $v.webConfig.secret) }}
{{- fail "webConfig.tls or webConfig.login is true and webConfig.secret is empty: name the Secret that holds the web configuration" }}
{{- end }}
{{- $pdb := $v.podDisruptionBudget }}
{{- if and (not (kindIs "invalid" $pdb.minAvailable)) (not (kindIs "invalid" $pdb.maxUnavailable)) }}
{{- fail "podDisruptionBudget.minAvailable and maxUnavailable are both set: Kubernetes takes one of them" }}
{{- end }}
{{- if and $v.vault.agent.enabled (not $v.vault.agent.role) }}
{{- fail "vault.agent.enabled is true and vault.agent.role is empty: set the role that the agent logs in as" }}
{{- end }}
{{- if and $v.vault.agent.secrets (not $v.vault.agent.enabled) }}
{{- fail "vault.agent.secrets is set and vault.agent.enabled is false: nothing would put them into the pod" }}
{{- end }}
{{- if and (eq $v.kind "Sidecar") $v.vault.agent.enabled }}
{{- fail "vault.agent.enabled is true and kind is Sidecar: the injector reads the scheduler's pod; put its annotations there" }}
{{- end }}
{{- if and (eq $v.kind "Sidecar") (or $v.networkPolicy.enabled $pdb.enabled) }}
{{- fail "networkPolicy or podDisruptionBudget is enabled and kind is Sidecar: the pod is the scheduler's, and so is its policy; leave them to its chart" }}
{{- end }}
{{- if and (eq $v.kind "Sidecar") (not $v.sidecar.selectorLabels) }}
{{- fail "kind is Sidecar and sidecar.selectorLabels is empty: set the labels of the scheduler's pods, for Services and monitors" }}
{{- end }}
{{- if and $v.sidecar.selectorLabels (ne $v.kind "Sidecar") }}
{{- fail (printf "sidecar.selectorLabels is set and kind is %s: the labels are those of the chart's own pods; set kind: Sidecar or leave them out" $v.kind) }}
{{- end }}
{{- $paths := list "/etc/scheduler-exporter" "/etc/scheduler-exporter-web" "/var/lib/scheduler-exporter" }}
{{- range concat $v.secretFiles $v.csiSecrets }}
{{- if has .mountPath $paths }}
{{- fail (printf "%s is a mountPath twice in secretFiles, csiSecrets or the chart's own paths: choose another" .mountPath) }}
{{- end }}
{{- $paths = append $paths .mountPath }}
{{- end }}
{{- $taken := include "scheduler-exporter.env" . | fromYamlArray }}
{{- range $v.extraEnv }}
{{- $name := .name }}
{{- range $taken }}
{{- if eq .name $name }}{{ fail (printf "extraEnv has %s, which the chart or secretEnv sets already" $name) }}{{ end }}
{{- end }}
{{- end }}
{{- if and $v.alertmanagerConfig.enabled $existing }}
{{- fail "alertmanagerConfig.enabled is true and existingConfig is set: it is made from config.alerting, which is not read then; use `scheduler-exporter alertmanager-config`, or write the configuration into config" }}
{{- end }}
{{- if not $existing }}
{{- $web := default (dict) $v.config.web }}
{{- if or $web.listen_address (default (dict) $v.config.api).listen_address }}
{{- fail "config.web.listen_address or config.api.listen_address is set: the chart sets both; use ports.metrics, ports.api and api.enabled" }}
{{- end }}
{{- if $web.config_file }}
{{- fail "config.web.config_file is set: name its Secret in webConfig.secret, which mounts it" }}
{{- end }}
{{- if (default (dict) $v.config.state).path }}
{{- fail "config.state.path is set: the state is on the chart's volume; see state.persistence" }}
{{- end }}
{{- include "scheduler-exporter.noSecrets" (dict "value" $v.config "path" "config") }}
{{- end }}
{{- end }}

{{/* Fails where a value of the configuration is a secret in plain text. */}}
{{- define "scheduler-exporter.noSecrets" -}}
{{- $path := .path }}
{{- $instead := "values are readable for many; write ${VAR} (secretEnv), ${file:...} (secretFiles) or ${vault:...}" }}
{{- if kindIs "map" .value }}
{{- range $key, $value := .value }}
{{- $here := printf "%s.%s" $path $key }}
{{- $named := or (has $key (list "password" "token" "webhook_url" "routing_key" "secret_id" "jwt")) (hasSuffix ".webhook.url" $here) (eq $here "config.sentry.dsn") (eq $path "config.tracing.headers") }}
{{- if and $named (kindIs "string" $value) $value (not (contains "${" $value)) }}
{{- fail (printf "%s is a secret in plain text: %s" $here $instead) }}
{{- end }}
{{- if and $named (or (kindIs "float64" $value) (kindIs "int64" $value) (kindIs "int" $value)) }}
{{- fail (printf "%s is a secret in plain text: %s" $here $instead) }}
{{- end }}
{{- include "scheduler-exporter.noSecrets" (dict "value" $value "path" $here) }}
{{- end }}
{{- else if kindIs "slice" .value }}
{{- range $i, $value := .value }}
{{- include "scheduler-exporter.noSecrets" (dict "value" $value "path" (printf "%s[%d]" $path $i)) }}
{{- end }}
{{- else if kindIs "string" .value }}
{{- if or (regexMatch "://[^/@\\s:]*:[^/@\\s$][^/@\\s]*@" .value) (regexMatch "(^|[\\s?&])(password|sslpassword)\\s*=\\s*[^\\s$]" .value) }}
{{- fail (printf "%s has a password in plain text: %s" $path $instead) }}
{{- end }}
{{- end }}
{{- end }}
