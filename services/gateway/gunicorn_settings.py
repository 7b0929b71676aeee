"""How gunicorn runs the gateway: one process of many threads; most of them wait for workers or for event streams."""

from services.gateway.encryption import of_gunicorn
from services.settings import Environment, GatewaySettings

_settings = Environment.of_process().load(GatewaySettings)

worker_class = "gthread"
workers = 1
threads = _settings.gateway_threads
timeout = 60
graceful_timeout = 8
keepalive = 30
forwarded_allow_ips = ""
"""Nobody: whom to believe what proxies say is the application's business (COLEGA_TRUSTED_PROXIES)."""
ssl_context = of_gunicorn
accesslog = None
errorlog = "-"
loglevel = "warning"
worker_tmp_dir = "/dev/shm"  # noqa: S108 - gunicorn's heartbeat file; nothing is kept in it.
control_socket_disable = True
