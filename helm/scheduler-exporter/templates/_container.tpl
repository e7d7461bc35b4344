{{/* The container and what it needs, for the chart's own pods and for a scheduler's pod that takes it in. */}}

{{/* Whether Vault's Kubernetes auth needs a token in the pod: "true" or nothing. */}}
{{- define "scheduler-exporter.vaultToken" -}}
{{- $auth := default (dict) (default (dict) .Values.config.vault).auth }}
{{- $existing := or .Values.existingConfig.configMap .Values.existingConfig.secret }}
{{- if kindIs "bool" .Values.vault.token }}
{{- if .Values.vault.token }}true{{ end }}
{{- else if or .Values.vault.agent.enabled (and (not $existing) (eq (default "" $auth.method) "kubernetes") (not $auth.jwt_file)) -}}
true
{{- end }}
{{- end }}

{{/* The configuration as the exporter reads it. */}}
{{- define "scheduler-exporter.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if .Values.api.enabled }}
{{- $_ := set $config "api" (mergeOverwrite (default (dict) $config.api) (dict "listen_address" (printf ":%d" (int .Values.ports.api)))) }}
{{- end }}
{{- $auth := default (dict) (default (dict) $config.vault).auth }}
{{- if and (eq (default "" $auth.method) "kubernetes") (not $auth.jwt_file) (include "scheduler-exporter.vaultToken" .) }}
{{- $_ := set $auth "jwt_file" "/var/run/secrets/scheduler-exporter/token" }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- define "scheduler-exporter.env" -}}
- name: SCHEDULER_EXPORTER_CONFIG_FILE
  value: /etc/scheduler-exporter/{{ ternary .Values.existingConfig.key "config.yaml" (not (empty (or .Values.existingConfig.configMap .Values.existingConfig.secret))) }}
- name: SCHEDULER_EXPORTER_STATE_PATH
  value: /var/lib/scheduler-exporter
- name: SCHEDULER_EXPORTER_WEB_LISTEN_ADDRESS
  value: {{ printf ":%d" (int .Values.ports.metrics) | quote }}
{{- if .Values.webConfig.secret }}
- name: SCHEDULER_EXPORTER_WEB_CONFIG_FILE
  value: /etc/scheduler-exporter-web/{{ .Values.webConfig.key }}
{{- end }}
{{- if gt (int .Values.shards) 1 }}
- name: SCHEDULER_EXPORTER_SHARD
  valueFrom: {fieldRef: {fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']"}}
- name: SCHEDULER_EXPORTER_TOTAL_SHARDS
  value: {{ .Values.shards | int | quote }}
{{- end }}
{{- range $name, $from := .Values.secretEnv }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $from.secret }}
      key: {{ $from.key | quote }}
      {{- if $from.optional }}
      optional: true
      {{- end }}
{{- end }}
{{- end }}

{{- define "scheduler-exporter.mounts" -}}
- name: scheduler-exporter-config
  mountPath: /etc/scheduler-exporter
  readOnly: true
- name: {{ include "scheduler-exporter.stateVolume" . }}
  mountPath: /var/lib/scheduler-exporter
{{- if .Values.webConfig.secret }}
- name: scheduler-exporter-web
  mountPath: /etc/scheduler-exporter-web
  readOnly: true
{{- end }}
{{- if include "scheduler-exporter.vaultToken" . }}
- name: scheduler-exporter-token
  mountPath: /var/run/secrets/scheduler-exporter
  readOnly: true
{{- end }}
{{- range $i, $file := .Values.secretFiles }}
- name: scheduler-exporter-secret-{{ $i }}
  mountPath: {{ $file.mountPath }}
  readOnly: true
{{- end }}
{{- range $i, $csi := .Values.csiSecrets }}
- name: scheduler-exporter-csi-{{ $i }}
  mountPath: {{ $csi.mountPath }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "scheduler-exporter.stateVolume" -}}scheduler-exporter-state{{- end }}

{{/* What the exporter and the check of its configuration have in common. */}}
{{- define "scheduler-exporter.process" -}}
image: {{ include "scheduler-exporter.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  {{- include "scheduler-exporter.env" . | nindent 2 }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  {{- include "scheduler-exporter.mounts" . | nindent 2 }}
{{- end }}

{{/* How a probe asks: (dict "context" . "path" ... "probe" .Values.probes...). With logins the path is closed to it. */}}
{{- define "scheduler-exporter.probe" -}}
{{- $web := .context.Values.webConfig }}
{{- $how := ternary (dict "tcpSocket" (dict "port" "exporter")) (dict "httpGet" (dict "path" .path "port" "exporter" "scheme" (ternary "HTTPS" "HTTP" $web.tls))) $web.login }}
{{- toYaml (merge (deepCopy .probe) $how) }}
{{- end }}

{{/* The exporter. For a pod of your own: {{ include "scheduler-exporter.container" (index .Subcharts "scheduler-exporter") }} */}}
{{- define "scheduler-exporter.container" -}}
name: scheduler-exporter
{{ include "scheduler-exporter.process" . }}
args:
  - serve
  {{- with .Values.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  - name: exporter
    containerPort: {{ .Values.ports.metrics }}
    protocol: TCP
  {{- if .Values.api.enabled }}
  - name: exporter-api
    containerPort: {{ .Values.ports.api }}
    protocol: TCP
  {{- end }}
startupProbe:
  {{- include "scheduler-exporter.probe" (dict "context" . "path" "/health/live" "probe" .Values.probes.startup) | nindent 2 }}
livenessProbe:
  {{- include "scheduler-exporter.probe" (dict "context" . "path" "/health/live" "probe" .Values.probes.liveness) | nindent 2 }}
readinessProbe:
  {{- include "scheduler-exporter.probe" (dict "context" . "path" "/health/ready" "probe" .Values.probes.readiness) | nindent 2 }}
{{- end }}

{{/* An init container that ends with what is wrong with the configuration. */}}
{{- define "scheduler-exporter.checkContainer" -}}
name: scheduler-exporter-check
{{ include "scheduler-exporter.process" . }}
args:
  - serve
  - --config.check
  {{- with .Values.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* The volumes that the container mounts; not the state's where that is a StatefulSet's claim template. */}}
{{- define "scheduler-exporter.volumes" -}}
{{- $persistence := .Values.state.persistence }}
- name: scheduler-exporter-config
  {{- if .Values.existingConfig.secret }}
  secret: {secretName: {{ .Values.existingConfig.secret }}}
  {{- else }}
  configMap: {name: {{ default (printf "%s-config" (include "scheduler-exporter.fullname" .)) .Values.existingConfig.configMap }}}
  {{- end }}
{{- if not (include "scheduler-exporter.claimTemplate" .) }}
- name: {{ include "scheduler-exporter.stateVolume" . }}
  {{- if $persistence.enabled }}
  persistentVolumeClaim: {claimName: {{ default (printf "%s-state" (include "scheduler-exporter.fullname" .)) $persistence.existingClaim }}}
  {{- else }}
  emptyDir: {sizeLimit: {{ .Values.state.emptyDirLimit }}}
  {{- end }}
{{- end }}
{{- with .Values.webConfig.secret }}
- name: scheduler-exporter-web
  secret: {secretName: {{ . }}}
{{- end }}
{{- if include "scheduler-exporter.vaultToken" . }}
- name: scheduler-exporter-token
  projected:
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: {{ .Values.vault.expirationSeconds }}
          {{- with .Values.vault.audience }}
          audience: {{ . | quote }}
          {{- end }}
{{- end }}
{{- range $i, $file := .Values.secretFiles }}
- name: scheduler-exporter-secret-{{ $i }}
  secret:
    secretName: {{ $file.secret }}
    {{- with $file.items }}
    items: {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- if $file.optional }}
    optional: true
    {{- end }}
{{- end }}
{{- range $i, $csi := .Values.csiSecrets }}
- name: scheduler-exporter-csi-{{ $i }}
  csi:
    driver: secrets-store.csi.k8s.io
    readOnly: true
    volumeAttributes: {secretProviderClass: {{ $csi.name }}}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* "true" where each pod of a StatefulSet gets a claim of its own. */}}
{{- define "scheduler-exporter.claimTemplate" -}}
{{- if and (eq .Values.kind "StatefulSet") .Values.state.persistence.enabled (not .Values.state.persistence.existingClaim) }}true{{ end }}
{{- end }}

{{/* What rolls the pods when the configuration changes; for a pod of your own, too. */}}
{{- define "scheduler-exporter.checksums" -}}
{{- if not (or .Values.existingConfig.configMap .Values.existingConfig.secret) }}
checksum/config: {{ printf "%s\n%s" (include "scheduler-exporter.config" .) (toYaml .Values.configFiles) | sha256sum }}
{{- end }}
{{- end }}
