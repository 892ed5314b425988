{{- define "llama-vision.name" -}}
{{- printf "%s" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "llama-vision.selector" -}}
app.kubernetes.io/name: llama-vision
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "llama-vision.labels" -}}
{{ include "llama-vision.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "llama-vision.account" -}}
{{- if .Values.serviceAccount.name -}}
{{ .Values.serviceAccount.name }}
{{- else if .Values.serviceAccount.create -}}
{{ include "llama-vision.name" . }}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- define "llama-vision.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The pod of the service; .component is "service" or "batch". */}}
{{- define "llama-vision.pod" -}}
{{- $root := .root -}}
metadata:
  labels:
    {{- include "llama-vision.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
  annotations:
    # A changed setting rolls the pods.
    checksum/settings: {{ include (print $root.Template.BasePath "/configmap.yaml") $root | sha256sum }}
spec:
  serviceAccountName: {{ include "llama-vision.account" $root }}
  # The service never asks the cluster's API. IRSA and Pod Identity mount tokens of their own.
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: {{ $root.Values.terminationGracePeriodSeconds }}
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: service
      image: {{ include "llama-vision.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      ports:
        - {name: http, containerPort: 8000, protocol: TCP}
      envFrom:
        - configMapRef: {name: {{ include "llama-vision.name" $root }}}
        {{- range $root.Values.secrets }}
        - secretRef: {name: {{ . | quote }}}
        {{- end }}
      env:
        {{- if eq .component "service" }}
        - {name: LLAMA_VISION_WORK_ON_QUEUE, value: {{ not $root.Values.batch.enabled | quote }}}
        {{- else }}
        - {name: LLAMA_VISION_WORK_ON_QUEUE, value: "true"}
        {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      # Starting reads a tokenizer and opens its stores; a cold model does not hold it up.
      startupProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 1
        failureThreshold: 60
      # Without an answer for a minute the event loop is stuck for good.
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      # Fails as soon as the pod is told to stop, and while it has no AWS credentials.
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 2
      resources: {{ toYaml .resources | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /var/lib/llama-vision}
        - {name: tmp, mountPath: /tmp}
  volumes:
    - name: data
      emptyDir: {}
    - name: tmp
      emptyDir: {}
  {{- if $root.Values.topologySpread }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "llama-vision.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $.component }}
    {{- end }}
  {{- end }}
  {{- with $root.Values.nodeSelector }}
  nodeSelector: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations: {{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.affinity }}
  affinity: {{ toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
