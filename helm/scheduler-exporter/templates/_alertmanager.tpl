{{/*
What `scheduler-exporter alertmanager-config` writes for `config.alerting`, as the custom resource has it. What
exporter/alerting knows beside (paces, inhibition, messages) is in files/alerting.yaml. tests/helm holds both to each other.
Structures are passed on as JSON: (include "..." ... | fromJson).
*/}}

{{/* The spec; the context in. */}}
{{- define "scheduler-exporter.alertmanager.spec" -}}
{{- $alerting := deepCopy (default (dict) .Values.config.alerting) }}
{{- include "scheduler-exporter.alertmanager.noReferences" (dict "value" $alerting "path" "config.alerting") }}
{{- /* What the configuration writes for a dollar. */}}
{{- $alerting = $alerting | toJson | replace "$$" "$" | fromJson }}
{{- $data := .Files.Get "files/alerting.yaml" | fromYaml }}
{{- $environment := default "production" .Values.config.environment }}
{{- if not (hasKey $data.settings $environment) }}
{{- fail (printf "config.environment is %q: expected %s" $environment (keys $data.settings | sortAlpha | join ", ")) }}
{{- end }}
{{- $setting := get $data.settings $environment }}
{{- $notify := ternary $setting.notify $alerting.notify (kindIs "invalid" $alerting.notify) }}
{{- $console := ternary $setting.console $alerting.console (kindIs "invalid" $alerting.console) }}
{{- $critical := mergeOverwrite (deepCopy $setting.critical) (default (dict) $alerting.critical) }}
{{- $warning := mergeOverwrite (deepCopy $setting.warning) (default (dict) $alerting.warning) }}
{{- $receiver := default (dict) $alerting.receiver }}
{{- $token := or $receiver.token $receiver.token_file }}
{{- if and $console (not $token) }}
{{- fail "config.alerting.receiver.token is not set and config.alerting.console is on, as it is in development: Alertmanager sends it to the exporter, which prints what it is told" }}
{{- end }}
{{- $c := dict "alerting" $alerting "data" $data "secret" .Values.alertmanagerConfig.existingSecret "own" (include "scheduler-exporter.alertmanager.own" .) }}
{{- $teams := list }}
{{- if $notify }}{{ $teams = default (list) $alerting.teams }}{{ end }}
{{- $receivers := list (dict "name" "nobody") }}
{{- $routes := list }}
{{- if and $token (or $notify $console) }}
{{- $routes = append $routes (dict "receiver" "history" "continue" true "groupWait" "1s" "groupInterval" "15s" "repeatInterval" "1d") }}
{{- end }}
{{- $mail := default (dict) $alerting.email }}
{{- $everybody := dict "slack" $alerting.slack "webhook" $alerting.webhook "email" (ternary (dict "to" $mail.to) nil (not (empty $mail.to))) }}
{{- $receivers = append $receivers (include "scheduler-exporter.alertmanager.receiver" (dict "c" $c "name" "everybody" "told" (ternary $everybody (dict) $notify) "console" $console) | fromJson) }}
{{- $onCall := default (dict) $alerting.on_call }}
{{- $forAll := or $console (and $notify (not (empty $onCall))) }}
{{- $escalating := list }}
{{- range $teams }}
{{- if .on_call }}
{{- $escalating = append $escalating (dict "receiver" (printf "team-%s-on-call" .name) "matchers" (include "scheduler-exporter.alertmanager.matchers" . | fromJsonArray)) }}
{{- end }}
{{- end }}
{{- if or $forAll $escalating }}
{{- $wait := include "scheduler-exporter.alertmanager.wait" (dict "alerting" $alerting "data" $data "setting" $setting "critical" $critical) }}
{{- $escalation := dict "receiver" (ternary "on-call" "nobody" $forAll) "matchers" (list (dict "name" "severity" "value" "critical" "matchType" "=")) "continue" true "groupWait" $wait "groupInterval" $wait "repeatInterval" (include "scheduler-exporter.alertmanager.text" $critical.repeat_interval) }}
{{- with $escalating }}{{ $_ := set $escalation "routes" . }}{{ end }}
{{- $routes = append $routes $escalation }}
{{- end }}
{{- if $forAll }}
{{- $receivers = append $receivers (include "scheduler-exporter.alertmanager.receiver" (dict "c" $c "name" "on-call" "told" (ternary $onCall (dict) $notify) "console" $console) | fromJson) }}
{{- end }}
{{- if and $token (or $notify $console) }}
{{- $receivers = append $receivers (dict "name" "history" "webhookConfigs" (list (include "scheduler-exporter.alertmanager.exporter" (dict "c" $c "console" false) | fromJson))) }}
{{- end }}
{{- range $teams }}
{{- $receivers = append $receivers (include "scheduler-exporter.alertmanager.receiver" (dict "c" $c "name" (printf "team-%s" .name) "told" . "console" $console) | fromJson) }}
{{- end }}
{{- range $teams }}
{{- if .on_call }}
{{- $receivers = append $receivers (include "scheduler-exporter.alertmanager.receiver" (dict "c" $c "name" (printf "team-%s-on-call" .name) "told" .on_call "console" $console) | fromJson) }}
{{- end }}
{{- end }}
{{- $routes = append $routes (dict "receiver" "nobody" "matchers" (list (dict "name" "severity" "value" "info" "matchType" "="))) }}
{{- range $teams }}
{{- $name := printf "team-%s" .name }}
{{- $routes = append $routes (dict "receiver" $name "matchers" (include "scheduler-exporter.alertmanager.matchers" . | fromJsonArray) "routes" (include "scheduler-exporter.alertmanager.severities" (dict "receiver" $name "critical" $critical) | fromJsonArray)) }}
{{- end }}
{{- $routes = concat $routes (include "scheduler-exporter.alertmanager.severities" (dict "receiver" "everybody" "critical" $critical) | fromJsonArray) (list (dict "receiver" "everybody")) }}
{{- $root := merge (dict "receiver" "everybody" "groupBy" (default $data.group_by $alerting.group_by) "routes" $routes) (include "scheduler-exporter.alertmanager.pace" $warning | fromJson) }}
{{- dict "route" $root "inhibitRules" $data.inhibitRules "receivers" $receivers | toJson }}
{{- end }}

{{/* Where Alertmanager reaches the exporter. */}}
{{- define "scheduler-exporter.alertmanager.own" -}}
{{- $given := (default (dict) (default (dict) .Values.config.alerting).receiver).url }}
{{- if $given }}{{ trimSuffix "/" $given }}
{{- else }}
{{- $name := include "scheduler-exporter.fullname" . }}
{{- printf "%s://%s.%s.svc:%d" (ternary "https" "http" .Values.webConfig.tls) (ternary (printf "%s-api" $name) $name .Values.api.enabled) .Release.Namespace (int (ternary .Values.ports.api .Values.ports.metrics .Values.api.enabled)) }}
{{- end }}
{{- end }}

{{/* What is critical is told sooner, critical jobs at once. */}}
{{- define "scheduler-exporter.alertmanager.severities" -}}
{{- $repeat := include "scheduler-exporter.alertmanager.text" .critical.repeat_interval }}
{{- $job := dict "receiver" .receiver "matchers" (list (dict "name" "critical" "value" "true" "matchType" "=")) "groupWait" "1s" "groupInterval" "15s" "repeatInterval" $repeat }}
{{- $critical := merge (dict "receiver" .receiver "matchers" (list (dict "name" "severity" "value" "critical" "matchType" "="))) (include "scheduler-exporter.alertmanager.pace" .critical | fromJson) }}
{{- list $job $critical | toJson }}
{{- end }}

{{- define "scheduler-exporter.alertmanager.pace" -}}
{{- dict "groupWait" (include "scheduler-exporter.alertmanager.text" .group_wait) "groupInterval" (include "scheduler-exporter.alertmanager.text" .group_interval) "repeatInterval" (include "scheduler-exporter.alertmanager.text" .repeat_interval) | toJson }}
{{- end }}

{{/* How long the group of whoever is on call waits: what is promised, less an evaluation and handing the alert on. */}}
{{- define "scheduler-exporter.alertmanager.wait" -}}
{{- $after := default .setting.escalate_after .alerting.escalate_after }}
{{- $parts := list (default .data.evaluation_interval .alerting.evaluation_interval) .critical.group_wait .data.handing_on }}
{{- $least := 0 }}
{{- range $parts }}{{ $least = add $least (include "scheduler-exporter.alertmanager.millis" . | int64) }}{{ end }}
{{- $millis := include "scheduler-exporter.alertmanager.millis" $after | int64 }}
{{- if le $millis (int64 $least) }}
{{- fail (printf "config.alerting.escalate_after: expected more than %s (evaluation_interval %s, critical.group_wait %s, %s to hand it on): people are told before whoever is on call; got %s" (include "scheduler-exporter.alertmanager.duration" $least) (index $parts 0) (index $parts 1) (index $parts 2) $after) }}
{{- end }}
{{- include "scheduler-exporter.alertmanager.duration" (sub $millis (sub $least (include "scheduler-exporter.alertmanager.millis" .critical.group_wait | int64))) }}
{{- end }}

{{/* A duration in the way that is written here. */}}
{{- define "scheduler-exporter.alertmanager.text" -}}
{{- include "scheduler-exporter.alertmanager.duration" (include "scheduler-exporter.alertmanager.millis" . | int64) }}
{{- end }}

{{/* Milliseconds of a duration such as 1m30s. */}}
{{- define "scheduler-exporter.alertmanager.millis" -}}
{{- if not (regexMatch "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$" (toString .)) }}
{{- fail (printf "config.alerting: %v is no duration such as 15s, 5m or 1m30s" .) }}
{{- end }}
{{- $sizes := dict "d" 86400000 "h" 3600000 "m" 60000 "s" 1000 "ms" 1 }}
{{- $millis := 0 }}
{{- range regexFindAll "[0-9]+(ms|[dhms])" (toString .) -1 }}
{{- $unit := regexFind "[a-z]+" . }}
{{- $millis = add $millis (mul (trimSuffix $unit . | int64) (get $sizes $unit)) }}
{{- end }}
{{- $millis }}
{{- end }}

{{- define "scheduler-exporter.alertmanager.duration" -}}
{{- $rest := int64 . }}
{{- range list (list "d" 86400000) (list "h" 3600000) (list "m" 60000) (list "s" 1000) (list "ms" 1) }}
{{- $size := int64 (index . 1) }}
{{- if ge $rest $size }}{{ printf "%d%s" (div $rest $size) (index . 0) }}{{ $rest = mod $rest $size }}{{ end }}
{{- end }}
{{- end }}

{{/* A team's matchers; the team in. */}}
{{- define "scheduler-exporter.alertmanager.matchers" -}}
{{- $found := list }}
{{- range default (list (printf "team=%q" .name)) .matchers }}
{{- $operator := regexFind "(=~|!~|!=|=)" . }}
{{- $value := trim (join $operator (rest (splitList $operator .))) }}
{{- if hasPrefix "\"" $value }}
{{- /* What is escaped, one after the other: a backslash may stand before a quote. */}}
{{- $value = trimSuffix "\"" (trimPrefix "\"" $value) | replace "\\\\" "\x00" | replace "\\\"" "\"" | replace "\\n" "\n" | replace "\x00" "\\" }}
{{- end }}
{{- $found = append $found (dict "name" (trim (first (splitList $operator .))) "value" $value "matchType" $operator) }}
{{- end }}
{{- $found | toJson }}
{{- end }}

{{/* Whoever is told: (dict "c" ... "name" ... "told" {slack, email, webhook, pagerduty} "console" ...). */}}
{{- define "scheduler-exporter.alertmanager.receiver" -}}
{{- $found := dict "name" .name }}
{{- $told := .told }}
{{- $file := .name | replace "-" "_" | trimPrefix "everybody" | trimPrefix "_" }}
{{- if $file }}{{ $file = printf "%s_" $file }}{{ end }}
{{- if kindIs "map" $told.slack }}
{{- $own := or $told.slack.webhook_url $told.slack.webhook_url_file }}
{{- $inherited := default (dict) .c.alerting.slack }}
{{- $slack := dict "apiURL" (include "scheduler-exporter.alertmanager.secret" (dict "c" .c "key" (printf "%sslack_url" (ternary $file "" (not (empty $own)))) "what" "Slack") | fromJson) "sendResolved" true }}
{{- with default (ternary "" $inherited.channel (not (empty $own))) $told.slack.channel }}{{ $_ := set $slack "channel" . }}{{ end }}
{{- range $field, $shown := .c.data.fields.slack }}
{{- $_ := set $slack $field (include "scheduler-exporter.alertmanager.message" (dict "c" $.c "shown" $shown)) }}
{{- end }}
{{- $_ := set $found "slackConfigs" (list $slack) }}
{{- end }}
{{- $webhooks := list }}
{{- with $told.webhook }}
{{- $webhook := dict "urlSecret" (include "scheduler-exporter.alertmanager.secret" (dict "c" $.c "key" (printf "%swebhook_url" $file) "what" "a webhook") | fromJson) "sendResolved" true }}
{{- if or .token .token_file }}
{{- $_ := set $webhook "httpConfig" (include "scheduler-exporter.alertmanager.bearer" (dict "c" $.c "key" (printf "%swebhook_token" $file)) | fromJson) }}
{{- end }}
{{- $webhooks = append $webhooks $webhook }}
{{- end }}
{{- if .console }}
{{- $webhooks = append $webhooks (include "scheduler-exporter.alertmanager.exporter" (dict "c" .c "console" true) | fromJson) }}
{{- end }}
{{- with $webhooks }}{{ $_ := set $found "webhookConfigs" . }}{{ end }}
{{- with $told.email }}
{{- $_ := set $found "emailConfigs" (list (include "scheduler-exporter.alertmanager.mail" (dict "c" $.c "to" .to) | fromJson)) }}
{{- end }}
{{- with $told.pagerduty }}
{{- $details := list (dict "key" "alerts" "value" (include "scheduler-exporter.alertmanager.message" (dict "c" $.c "shown" $.c.data.fields.pagerduty.alerts))) }}
{{- $pagerduty := dict "routingKey" (include "scheduler-exporter.alertmanager.secret" (dict "c" $.c "key" (printf "%srouting_key" $file) "what" "PagerDuty") | fromJson) "sendResolved" true "details" $details }}
{{- range $field := list "description" "severity" }}
{{- $_ := set $pagerduty $field (include "scheduler-exporter.alertmanager.message" (dict "c" $.c "shown" (get $.c.data.fields.pagerduty $field))) }}
{{- end }}
{{- $_ := set $found "pagerdutyConfigs" (list $pagerduty) }}
{{- end }}
{{- $found | toJson }}
{{- end }}

{{/* Mail: (dict "c" ... "to" [...]). The server is in each, where Alertmanager's own file has it once. */}}
{{- define "scheduler-exporter.alertmanager.mail" -}}
{{- $email := default (dict) .c.alerting.email }}
{{- $found := dict "to" (join ", " .to) "from" $email.from "smarthost" $email.smarthost "sendResolved" true "requireTLS" (ternary true $email.require_tls (kindIs "invalid" $email.require_tls)) }}
{{- with $email.username }}
{{- $_ := set $found "authUsername" . }}
{{- $_ := set $found "authPassword" (include "scheduler-exporter.alertmanager.secret" (dict "c" $.c "key" "smtp_password" "what" "mail") | fromJson) }}
{{- end }}
{{- $_ := set $found "headers" (list (dict "key" "Subject" "value" (include "scheduler-exporter.alertmanager.message" (dict "c" .c "shown" .c.data.fields.email.subject)))) }}
{{- range $field := list "html" "text" }}
{{- $_ := set $found $field (include "scheduler-exporter.alertmanager.message" (dict "c" $.c "shown" (get $.c.data.fields.email $field))) }}
{{- end }}
{{- $found | toJson }}
{{- end }}

{{/* The exporter's own receiver of notifications. */}}
{{- define "scheduler-exporter.alertmanager.exporter" -}}
{{- $url := printf "%s/api/v1/alerts/webhook%s" .c.own (ternary "?console=true" "" .console) }}
{{- dict "url" $url "sendResolved" true "httpConfig" (include "scheduler-exporter.alertmanager.bearer" (dict "c" .c "key" "receiver_token") | fromJson) | toJson }}
{{- end }}

{{- define "scheduler-exporter.alertmanager.bearer" -}}
{{- dict "authorization" (dict "credentials" (include "scheduler-exporter.alertmanager.secret" (dict "c" .c "key" .key "what" "a bearer token") | fromJson)) | toJson }}
{{- end }}

{{/* A key of the Secret: (dict "c" ... "key" ... "what" ...). */}}
{{- define "scheduler-exporter.alertmanager.secret" -}}
{{- if not .c.secret }}
{{- fail (printf "alertmanagerConfig.existingSecret is empty, and %s needs its key %s: name the Secret that has it" .what .key) }}
{{- end }}
{{- dict "name" .c.secret "key" .key | toJson }}
{{- end }}

{{/* A message with all the definitions that it takes: a custom resource has no files of templates. */}}
{{- define "scheduler-exporter.alertmanager.message" -}}
{{- $data := .c.data }}
{{- $bases := dict }}
{{- range $name, $placeholder := $data.bases }}
{{- with get $.c.alerting $name }}{{ $_ := set $bases $placeholder (trimSuffix "/" . | replace "{" "%7B" | replace "}" "%7D") }}{{ end }}
{{- end }}
{{- $variant := printf "%t,%t" (hasKey $bases $data.bases.runbook_base) (hasKey $bases $data.bases.dashboard_base) }}
{{- $text := "" }}
{{- range get $data.needs .shown }}
{{- $definition := get $data.definitions . }}
{{- if kindIs "map" $definition }}{{ $definition = get $definition $variant }}{{ end }}
{{- $text = print $text $definition }}
{{- end }}
{{- range $placeholder, $base := $bases }}{{ $text = replace $placeholder $base $text }}{{ end }}
{{- printf "%s{{ template %q . }}" $text .shown }}
{{- end }}

{{/* Fails at a reference, which only the exporter can follow, where the text itself is needed. */}}
{{- define "scheduler-exporter.alertmanager.noReferences" -}}
{{- $path := .path }}
{{- $secret := or (has (regexFind "[^.]+$" $path) (list "password" "token" "webhook_url" "routing_key")) (hasSuffix "_file" $path) (hasSuffix ".webhook.url" $path) }}
{{- if kindIs "map" .value }}
{{- range $key, $value := .value }}
{{- $here := printf "%s.%s" $path $key }}
{{- if not (has $here (list "config.alerting.alertmanager" "config.alerting.prometheus" "config.alerting.remediation" "config.alerting.thresholds" "config.alerting.overrides")) }}
{{- include "scheduler-exporter.alertmanager.noReferences" (dict "value" $value "path" $here) }}
{{- end }}
{{- end }}
{{- else if kindIs "slice" .value }}
{{- range $i, $value := .value }}
{{- include "scheduler-exporter.alertmanager.noReferences" (dict "value" $value "path" (printf "%s[%d]" $path $i)) }}
{{- end }}
{{- else if and (kindIs "string" .value) (contains "${" (replace "$$" "" .value)) (not $secret) }}
{{- fail (printf "%s is a reference, which the exporter follows and Helm cannot: an AlertmanagerConfig needs the text itself" $path) }}
{{- end }}
{{- end }}
