{{/* The pod, the same in both modes but for where its data directory lies. */}}
{{- define "runtime-manager.pod" -}}
{{- $cluster := eq .Values.mode "cluster" -}}
metadata:
  labels:
    {{- include "runtime-manager.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # A changed setting makes new pods.
    checksum/settings: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  # It never talks to Kubernetes.
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: runtime-manager
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve]
      envFrom:
        - configMapRef:
            name: {{ include "runtime-manager.name" . }}
        {{- if $cluster }}
        - secretRef:
            name: {{ required "cluster.secretName: name the Secret with RUNTIME_MANAGER_MASTER_KEY, RUNTIME_MANAGER_LOG and RUNTIME_MANAGER_DATABASE" .Values.cluster.secretName }}
        {{- end }}
      ports:
        - name: api
          containerPort: {{ .Values.api.port }}
        - name: dataplane
          containerPort: {{ .Values.dataplane.port }}
        - name: operations
          containerPort: {{ .Values.operations.port }}
      startupProbe:
        httpGet: { path: /healthz, port: operations }
        periodSeconds: 5
        failureThreshold: {{ div .Values.startupSeconds 5 }}
      livenessProbe:
        httpGet: { path: /healthz, port: operations }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: /readyz, port: operations }
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: 2
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - name: data
          mountPath: /data
        - name: tmp
          mountPath: /tmp
        {{- if .Values.api.tlsSecretName }}
        - name: api-certificate
          mountPath: /etc/runtime-manager/api
          readOnly: true
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- if $cluster }}
    # Log, keys and views are elsewhere; what lies here may go with the pod.
    - name: data
      emptyDir: {}
    {{- end }}
    {{- with .Values.api.tlsSecretName }}
    - name: api-certificate
      secret:
        secretName: {{ . }}
    {{- end }}
  {{- if $cluster }}
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "runtime-manager.selector" . | nindent 16 }}
        - weight: 50
          podAffinityTerm:
            topologyKey: topology.kubernetes.io/zone
            labelSelector:
              matchLabels:
                {{- include "runtime-manager.selector" . | nindent 16 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
{{- end -}}
