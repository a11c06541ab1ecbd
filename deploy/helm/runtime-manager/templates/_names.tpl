{{/* The release's name for everything; a release that is named like the chart isn't named twice. */}}
{{- define "runtime-manager.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* By which the pods are found; never changes between versions. */}}
{{- define "runtime-manager.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "runtime-manager.labels" -}}
{{ include "runtime-manager.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Every name by which instances may reach the data-plane service. */}}
{{- define "runtime-manager.dataplane-names" -}}
{{- $service := printf "%s-dataplane" (include "runtime-manager.name" .) -}}
{{- $inside := list $service (printf "%s.%s" $service .Release.Namespace) (printf "%s.%s.svc" $service .Release.Namespace) -}}
{{- concat .Values.dataplane.names $inside | join "," -}}
{{- end -}}
