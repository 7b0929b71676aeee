"""How gunicorn runs the gateway: one process of many threads; most of them wait for workers or for event streams."""

from services.settings import Environment, GatewaySettings

_settings = Environment.of_process().load(GatewaySettings)

worker_class = "gthread"
workers = 1
threads = _settings.gateway_threads
timeout = 60
graceful_timeout = 8
keepalive = 30
forwarded_allow_ips = "*" if _settings.trusted_proxies else "127.0.0.1"
accesslog = None
errorlog = "-"
loglevel = "warning"
worker_tmp_dir = "/dev/shm"  # noqa: S108 - gunicorn's heartbeat file; nothing is kept in it.
control_socket_disable = True
