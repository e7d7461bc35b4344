{{/* The pods of a StatefulSet or a Deployment. */}}
{{- define "scheduler-exporter.podTemplate" -}}
{{- $agent := .Values.vault.agent }}
metadata:
  labels:
    {{- include "scheduler-exporter.labels" (dict "context" . "labels" .Values.podLabels) | nindent 4 }}
  annotations:
    kubectl.kubernetes.io/default-container: scheduler-exporter
    {{- include "scheduler-exporter.checksums" . | nindent 4 }}
    {{- if $agent.enabled }}
    {{- include "scheduler-exporter.agentAnnotations" . | nindent 4 }}
    {{- end }}
    {{- with mergeOverwrite (deepCopy .Values.commonAnnotations) (deepCopy .Values.podAnnotations) }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "scheduler-exporter.serviceAccountName" . }}
  automountServiceAccountToken: {{ .Values.serviceAccount.automountToken }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.podSecurityContext }}
  securityContext: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    - {{- toYaml (merge (deepCopy .) (dict "labelSelector" (dict "matchLabels" (include "scheduler-exporter.selectorLabels" $ | fromYaml)))) | nindent 6 }}
    {{- end }}
  {{- end }}
  {{- with .Values.hostAliases }}
  hostAliases: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.dnsPolicy }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if or .Values.extraInitContainers .Values.checkConfig.enabled }}
  initContainers:
    {{- with .Values.extraInitContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- if .Values.checkConfig.enabled }}
    - {{- include "scheduler-exporter.checkContainer" . | nindent 6 }}
    {{- end }}
  {{- end }}
  containers:
    - {{- include "scheduler-exporter.container" . | nindent 6 }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "scheduler-exporter.volumes" . | trim | nindent 4 }}
{{- end }}

{{/* What Vault's agent injector reads. It logs in with the projected token: the pod needs no other one. */}}
{{- define "scheduler-exporter.agentAnnotations" -}}
{{- $found := dict
  "vault.hashicorp.com/agent-inject" "true"
  "vault.hashicorp.com/agent-init-first" "true"
  "vault.hashicorp.com/agent-service-account-token-volume-name" "scheduler-exporter-token"
  "vault.hashicorp.com/role" .Values.vault.agent.role }}
{{- range $name, $secret := .Values.vault.agent.secrets }}
{{- if kindIs "string" $secret }}
{{- $_ := set $found (printf "vault.hashicorp.com/agent-inject-secret-%s" $name) $secret }}
{{- else }}
{{- $_ := set $found (printf "vault.hashicorp.com/agent-inject-secret-%s" $name) $secret.path }}
{{- with $secret.template }}
{{- $_ := set $found (printf "vault.hashicorp.com/agent-inject-template-%s" $name) . }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml (mergeOverwrite $found (deepCopy .Values.vault.agent.annotations)) }}
{{- end }}
