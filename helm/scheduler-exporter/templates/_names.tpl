{{/* Names and labels. */}}
{{- define "scheduler-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 40 characters: suffixes, a pod's number and a revision's hash come after it, and a label has 63. */}}
{{- define "scheduler-exporter.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "scheduler-exporter.serviceAccountName" -}}
{{- default (ternary (include "scheduler-exporter.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "scheduler-exporter.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* What tells the pods of this release from all others; never changes. */}}
{{- define "scheduler-exporter.selectorLabels" -}}
{{- if and (eq .Values.kind "Sidecar") .Values.sidecar.selectorLabels }}
{{- toYaml .Values.sidecar.selectorLabels }}
{{- else -}}
app.kubernetes.io/name: {{ include "scheduler-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: exporter
{{- end }}
{{- end }}

{{/* Labels of an object: (dict "context" . "component" "api" "labels" .Values...). */}}
{{- define "scheduler-exporter.labels" -}}
{{- $own := dict
  "app.kubernetes.io/name" (include "scheduler-exporter.name" .context)
  "app.kubernetes.io/instance" .context.Release.Name
  "app.kubernetes.io/component" (default "exporter" .component)
  "app.kubernetes.io/version" (.context.Chart.AppVersion | toString)
  "app.kubernetes.io/managed-by" .context.Release.Service
  "helm.sh/chart" (printf "%s-%s" .context.Chart.Name (.context.Chart.Version | replace "+" "_")) }}
{{- toYaml (mergeOverwrite (deepCopy .context.Values.commonLabels) (deepCopy (default (dict) .labels)) $own) }}
{{- end }}

{{/* The metadata of an object: (dict "context" . "name" ... "component" ... "labels" ... "annotations" ... "namespace" ...). */}}
{{- define "scheduler-exporter.metadata" -}}
name: {{ .name }}
namespace: {{ default .context.Release.Namespace .namespace }}
labels:
  {{- include "scheduler-exporter.labels" . | nindent 2 }}
{{- with mergeOverwrite (deepCopy .context.Values.commonAnnotations) (deepCopy (default (dict) .annotations)) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
