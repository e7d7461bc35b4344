"""Alertmanager's configuration, made from the ``alerting`` section: who is told of which alert, when, how it reads.

Belongs here: routes, receivers, inhibition and templates, as data (``alertmanager_config``) and as files. Does not:
asking a running Alertmanager (``exporter.alertmanager``), taking its notifications (``api.alert_webhook``), rules
(``rules/``). Nothing of Alertmanager's work is done here.
"""

from exporter.alerting.assembly import Generated, alertmanager_config

__all__ = ["Generated", "alertmanager_config"]
